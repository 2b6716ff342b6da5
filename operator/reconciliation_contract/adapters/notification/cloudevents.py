"""CloudEvents 1.0 over HTTP in structured mode, with types of CDEvents.

CDEvents 0.4.1: an incident is ``detected`` when it opens and ``resolved`` when it is over. It has no word for a
reminder, which is a type of our own with the same data. A Kustomization is a service in the environment that is its
namespace: ``deployed``, ``upgraded`` or ``rolledback``, with what runs now as the artifact. ``source`` and ``id``
together are unique, and the same when a message is sent again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from reconciliation_contract.adapters.notification.http import Poster, lean, stamp
from reconciliation_contract.core.delivery.milestone import Milestone
from reconciliation_contract.core.incidents.message import Kind, Notice
from reconciliation_contract.core.values.timing import TIMING, Timing

_VERSION: Final = "0.4.1"
_STORMS: Final = "/reconciliationcontracts"
"""The source of messages about many, whichever of them a message names."""
TYPES: Final = {
    Kind.OPENED: "dev.cdevents.incident.detected.0.2.0",
    Kind.REMINDED: "dev.reconciliation.incident.reminded.v1",
    Kind.RECOVERED: "dev.cdevents.incident.resolved.0.2.0",
    Kind.ENDED: "dev.reconciliation.incident.ended.v1",
}


class CloudEventsSink:
    """Posts one event for each message, and one for each milestone of a delivery."""

    name: Final = "cloudevents"
    gathers: Final = True
    by_namespace: Final = False
    repeats: Final = 0.0

    def __init__(self, url: str, token_file: str, timing: Timing = TIMING) -> None:
        self._poster = Poster(url, token_file, timing=timing)

    async def send(self, notices: Sequence[Notice]) -> None:
        """Post one after the other."""
        for notice in notices:
            await self._post(incident(notice))

    async def announce(self, milestone: Milestone) -> None:
        """Post one."""
        await self._post(service(milestone))

    async def _post(self, event: Mapping[str, Any]) -> None:
        await self._poster.post(event, content="application/cloudevents+json")

    async def close(self) -> None:
        """Close the connections."""
        await self._poster.close()


def incident(notice: Notice) -> dict[str, Any]:
    """Write a message as a CloudEvent that holds a CDEvent."""
    source = _STORMS if notice.of_storm else _source(notice.namespace, notice.contract)
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
    context = _context(notice.id, source, TYPES[notice.kind], notice.at)
    subject = {"id": notice.subject, "source": source, "type": "incident", "content": content}
    return _event(context, subject, more)


def service(milestone: Milestone) -> dict[str, Any]:
    """Write a milestone of a delivery, likewise; the service is named as incidents name it."""
    space = milestone.namespace
    content = {"environment": {"id": space}, "artifactId": milestone.artifact}
    more = {
        "contract": milestone.contract,
        "revision": milestone.revision,
        "startedAt": stamp(milestone.started_at),
        "committedAt": stamp(milestone.committed_at) if milestone.committed_at else None,
        "rolledBackFrom": milestone.left,
        "reason": milestone.reason,
    }
    name = f"kustomization/{milestone.kustomization}"
    subject = {"id": name, "source": f"/namespaces/{space}", "type": "service", "content": content}
    kind = f"dev.cdevents.service.{milestone.step}.0.2.0"
    context = _context(milestone.id, _source(space, milestone.contract), kind, milestone.at)
    return _event(context, subject, more)


def _source(namespace: str, contract: str) -> str:
    return f"/namespaces/{namespace}/reconciliationcontracts/{contract}"


def _context(id_: str, source: str, kind: str, at: datetime) -> dict[str, str]:
    return {"version": _VERSION, "id": id_, "source": source, "type": kind, "timestamp": stamp(at)}


def _event(context: Mapping[str, str], subject: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        **{key: context[key] for key in ("id", "source", "type")},
        "subject": subject["id"],
        "time": context["timestamp"],
        "datacontenttype": "application/json",
        "data": {
            "context": context,
            "subject": subject,
            "customData": lean(more),
            "customDataContentType": "application/json",
        },
    }
