"""Prometheus' Alertmanager, directly: it groups, silences and routes by itself.

Format: ``POST /api/v2/alerts``. An alert is known by its labels, so nothing that changes is one. It resolves when it
is not told again in time, so what is open is repeated; the recovery is sent with its end. The root cause is a label,
since people group by it, and stays what it was when it was told. So is the severity, since they route by it: an
incident that becomes more severe is another alert, and the one before it ends then.

Replicas of it share silences and what they have told, but no alerts: each is to be told of all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from reconciliation_contract.adapters.notification import SinkError
from reconciliation_contract.adapters.notification.http import Poster, lean, stamp
from reconciliation_contract.core.incidents.message import Notice
from reconciliation_contract.core.spec.contract import Severity
from reconciliation_contract.core.values.timing import TIMING, Timing

_MOST: Final = 20_000
"""Incidents of which it is known as what they fire."""
MOST: Final = 4
"""Replicas; the status says of each what it has taken."""


def alertmanager_sinks(
    urls: Sequence[str], token_file: str, clock: Callable[[], datetime], timing: Timing = TIMING
) -> Iterator[AlertmanagerSink]:
    """Make a sink for every replica. Raises `SinkError`."""
    if len(urls) > MOST:
        raise SinkError(f"--alertmanager is given {len(urls)} times; name each replica, at most {MOST}")
    for number, url in enumerate(urls, 1):
        name = "alertmanager" if number == 1 else f"alertmanager-{number}"
        yield AlertmanagerSink(url, token_file, clock, name, timing)


class AlertmanagerSink:
    """Posts alerts to ``URL/api/v2/alerts``."""

    gathers: Final = False
    by_namespace: Final = False

    def __init__(
        self,
        url: str,
        token_file: str,
        clock: Callable[[], datetime],
        name: str = "alertmanager",
        timing: Timing = TIMING,
    ) -> None:
        self.repeats: Final = timing.alert_repeat.total_seconds()
        self._lasts = timing.alert_lasts
        self.name = name
        self._poster = Poster(f"{url.rstrip('/')}/api/v2/alerts", token_file, timing=timing)
        self._clock = clock
        self._fired: dict[str, Severity] = {}
        """As what each incident fires, as far as this process told it; what it does not know ends by itself."""

    async def send(self, notices: Sequence[Notice]) -> None:
        """Post them all at once, the newest of each incident."""
        newest = {notice.subject: notice for notice in notices}
        alerts = [self._alert(notice) for notice in newest.values()]
        await self._poster.post([*alerts, *self._outgrown(newest.values())])
        for subject, notice in newest.items():
            self._fired.pop(subject, None)
            if not notice.over:
                self._fired[subject] = notice.severity
        for subject in [*self._fired][:-_MOST]:
            del self._fired[subject]

    def _outgrown(self, notices: Iterable[Notice]) -> Iterator[dict[str, Any]]:
        """End the alerts of incidents that are more severe now."""
        for notice in notices:
            fired = self._fired.get(notice.subject, notice.severity)
            if fired is not notice.severity:
                yield self._alert(replace(notice, severity=fired, closed_at=self._clock()))

    def _alert(self, notice: Notice) -> dict[str, Any]:
        labels = {
            "alertname": f"Contract{notice.key.partition('/')[0]}",
            "namespace": notice.namespace,
            "contract": notice.contract,
            "kustomization": notice.kustomization,
            "key": notice.key,
            "cause": notice.cause,
            "severity": notice.severity.value.lower(),
        }
        annotations = {
            "summary": notice.title,
            "description": notice.stand,
            "revision": notice.revision,
            "reason": notice.reason,
        }
        return {
            "labels": lean(labels),
            "annotations": lean(annotations),
            "startsAt": stamp(notice.opened_at),
            # A clock that was set back may put the end first, and then Alertmanager takes none of it.
            "endsAt": stamp(max(notice.closed_at or self._clock() + self._lasts, notice.opened_at)),
        }

    async def close(self) -> None:
        """Close the connections."""
        await self._poster.close()
