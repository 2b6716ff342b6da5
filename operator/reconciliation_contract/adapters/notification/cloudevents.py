"""CloudEvents 1.0 over HTTP in structured mode, with types of CDEvents.

CDEvents 0.4.1: an incident is ``detected`` when it opens and ``resolved`` when it is over. It has no word for a
reminder, which is a type of our own with the same data. ``source`` and ``id`` together are unique, and the same when
a message is sent again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from reconciliation_contract.adapters.notification.http import Poster, lean, stamp
from reconciliation_contract.core.notice import Kind, Notice

_VERSION: Final = "0.4.1"
TYPES: Final = {
    Kind.OPENED: "dev.cdevents.incident.detected.0.2.0",
    Kind.REMINDED: "dev.reconciliation.incident.reminded.v1",
    Kind.RECOVERED: "dev.cdevents.incident.resolved.0.2.0",
    Kind.ENDED: "dev.reconciliation.incident.ended.v1",
}


class CloudEventsSink:
    """Posts one event for each message."""

    name: Final = "cloudevents"
    gathers: Final = True
    by_namespace: Final = False
    repeats: Final = 0.0

    def __init__(self, url: str, token_file: str) -> None:
        self._poster = Poster(url, token_file)

    async def send(self, notices: Sequence[Notice]) -> None:
        """Post one after the other."""
        for notice in notices:
            await self._poster.post(event(notice), content="application/cloudevents+json")

    async def close(self) -> None:
        """Close the connections."""
        await self._poster.close()


def event(notice: Notice) -> dict[str, Any]:
    """Write a message as a CloudEvent that holds a CDEvent."""
    source = f"/namespaces/{notice.namespace}/reconciliationcontracts/{notice.contract}"
    context = {
        "version": _VERSION,
        "id": notice.id,
        "source": source,
        "type": TYPES[notice.kind],
        "timestamp": stamp(notice.at),
    }
    content = {
        "description": f"{notice.title}. {notice.text}",
        "environment": {"id": notice.namespace},
        "service": {"id": f"kustomization/{notice.kustomization}", "source": f"/namespaces/{notice.namespace}"},
    }
    more = {
        "severity": notice.severity.value,
        "promise": notice.promise,
        "reason": notice.reason,
        "revision": notice.revision,
        "cause": notice.cause,
        "openedAt": stamp(notice.opened_at),
        "closedAt": stamp(notice.closed_at) if notice.closed_at else None,
        "contracts": notice.concerned,
    }
    return {
        "specversion": "1.0",
        "id": notice.id,
        "source": source,
        "type": TYPES[notice.kind],
        "subject": notice.subject,
        "time": stamp(notice.at),
        "datacontenttype": "application/json",
        "data": {
            "context": context,
            "subject": {"id": notice.subject, "source": source, "type": "incident", "content": content},
            "customData": lean(more),
            "customDataContentType": "application/json",
        },
    }
