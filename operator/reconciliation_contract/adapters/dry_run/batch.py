"""All manifests of a build, tried one after the other in Flux's order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from reconciliation_contract.adapters.dry_run.apply import DryRun
from reconciliation_contract.adapters.dry_run.outcome import Applier, Outcome
from reconciliation_contract.adapters.manifests.build import Built, LeftOut
from reconciliation_contract.core.facts.dry_run import Check
from reconciliation_contract.core.values.duration import spoken
from reconciliation_contract.core.values.object_key import Manifest, ObjectKey
from reconciliation_contract.core.values.timing import TIMING, Timing

_UNANSWERED: Final = 3
"""Manifests in a row without an answer after which the others are not tried."""
_ROUNDS: Final = (0.0, 2.0, 10.0)
"""Seconds before each round over what was not answered."""
_LATE: Final = 2
"""Manifests given up at the end of their time after which the others are not tried: a webhook hangs."""


@dataclass(slots=True)
class Patience:
    """What a contract's manifests may cost in waiting, so that others have their turn."""

    timing: Timing = TIMING
    silent: int = 0
    """Manifests in a row that were not answered."""
    late: int = 0
    waited: timedelta = timedelta(0)
    """For answers that were slow to come."""

    def note(self, outcome: Outcome) -> None:
        """Take in what became of one more."""
        self.silent = self.silent + 1 if outcome.unanswered else 0
        self.late += outcome.late
        if outcome.took > self.timing.dry_run_prompt:
            self.waited += outcome.took

    @property
    def is_silent(self) -> bool:
        """Whether the API server seems to be away."""
        return self.silent >= _UNANSWERED

    @property
    def gone(self) -> str:
        """Why the others are not tried; empty while they are."""
        if self.is_silent:
            return "the API server does not answer now"
        if self.late >= _LATE:
            return "not tried, as a webhook does not answer in time"
        slow = self.waited > self.timing.dry_run_webhooks
        return f"not tried, as a webhook is slow: {spoken(self.waited)} were waited" if slow else ""


async def check_all(dry_run: DryRun, built: Built, applier: Applier) -> list[Check]:
    """Try every manifest of a build, in Flux's order; what was not answered is tried again a little later."""
    checks: dict[ObjectKey, Check] = {each.manifest.key: _left_out(each) for each in built.left_out}
    remaining: Sequence[Manifest] = built.objects
    for pause in _ROUNDS:
        if not remaining:
            break
        await asyncio.sleep(pause)
        remaining = await _round(dry_run, remaining, applier, checks)
    return list(checks.values())


async def _round(
    dry_run: DryRun, manifests: Sequence[Manifest], applier: Applier, checks: dict[ObjectKey, Check]
) -> list[Manifest]:
    """Try some manifests and return those that were not answered."""
    silent: list[Manifest] = []
    patience = Patience(dry_run.timing)
    for manifest in manifests:
        if patience.gone:
            checks[manifest.key] = Check(manifest.key, manifest.file, unchecked=patience.gone, unanswered=True)
            silent += [manifest] if patience.is_silent else []
            continue
        outcome = await dry_run.attempt(manifest, applier)
        patience.note(outcome)
        if outcome.unanswered:
            silent.append(manifest)
        if not outcome.skipped:
            checks[manifest.key] = _check(manifest, outcome)
    return silent


def _check(manifest: Manifest, outcome: Outcome) -> Check:
    return Check(
        manifest.key,
        manifest.file,
        outcome.took,
        outcome.refused,
        outcome.unchecked,
        unanswered=outcome.unanswered,
        late=outcome.late,
        dropped=outcome.dropped,
    )


def _left_out(found: LeftOut) -> Check:
    return Check(found.manifest.key, found.manifest.file, unchecked=found.message)
