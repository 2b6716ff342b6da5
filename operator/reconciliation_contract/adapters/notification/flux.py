"""Flux's notification-controller: whatever Providers and Alerts there are for the Kustomization work.

Format: Event of ``event.toolkit.fluxcd.io/v1beta1``. An Alert knows only Flux's own kinds, so the event is about the
Kustomization; the prefix of its message tells it from Flux's own. The controller drops an event that it has had
within five minutes (429), by object, message and the metadata ``token``.

The revision is in the metadata under Flux's key only where that is asked for: providers of commit statuses would
write our verdict over Flux's own, which has the same context unless `commitStatusExpr` makes another.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any, Final

from reconciliation_contract.adapters.notification.http import Poster, lean
from reconciliation_contract.core.incidents.message import Notice
from reconciliation_contract.core.spec.contract import Severity
from reconciliation_contract.core.values.timing import TIMING, Timing

GROUP: Final = "kustomize.toolkit.fluxcd.io"
_DUPLICATE: Final = 429


class FluxSink:
    """Posts events to ``--events-addr`` of Flux's own controllers."""

    name: Final = "flux"
    by_namespace: Final = True
    """An Alert hears of the namespaces that it names."""
    repeats: Final = 0.0

    def __init__(self, url: str, instance: str, *, commit_statuses: bool = False, timing: Timing = TIMING) -> None:
        self._poster = Poster(url, known=(_DUPLICATE,), timing=timing)
        self._instance = instance
        self._commit_statuses = commit_statuses
        self.gathers = not commit_statuses
        """A storm would mark the commit for one of its contracts only, and could clear the mark of another."""

    async def send(self, notices: Sequence[Notice]) -> None:
        """Post one after the other: each is an event of its own."""
        for notice in notices:
            await self._poster.post(self._event(notice))

    def _event(self, notice: Notice) -> dict[str, Any]:
        loud = not notice.over and notice.severity is not Severity.INFO
        about = {
            "apiVersion": f"{GROUP}/v1",
            "kind": "Kustomization",
            "namespace": notice.namespace,
            "name": notice.kustomization,
            "uid": notice.kustomization_uid,
        }
        said = {
            "token": notice.id,
            "contract": f"{notice.namespace}/{notice.contract}",
            "incident": notice.subject,
            "promise": notice.promise,
            "severity": notice.severity.value,
            "contractRevision": notice.revision,
            "revision": notice.revision if self._commit_statuses else "",
        }
        return {
            "involvedObject": lean(about),
            "severity": "error" if loud else "info",
            "timestamp": notice.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "message": f"[contract/{notice.contract}] {notice.title}\n{notice.text}",
            "reason": f"Contract{notice.kind.value}",
            "metadata": {f"{GROUP}/{key}": value for key, value in lean(said).items()},
            "reportingController": "reconciliation-contract",
            "reportingInstance": self._instance[:128],
        }

    async def close(self) -> None:
        """Close the connections."""
        await self._poster.close()
