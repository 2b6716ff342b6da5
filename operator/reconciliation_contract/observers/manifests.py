"""Validation and drift beside the passes: what is due is begun here, and told when it is done.

A revision is validated once, as soon as its source serves it. The cluster is compared with Git when a revision has
become healthy, at every `drift.interval` after it, when a person asks, and when Flux has taken up a correction; and
soon after a census of the objects comes out otherwise than before. All of it waits its turn: what is under way at
once is bounded, so with very many objects an interval becomes longer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from reconciliation_contract.core.facts.comparison import Drift
from reconciliation_contract.core.facts.dry_run import Validation
from reconciliation_contract.core.facts.metadata_scan import Census
from reconciliation_contract.core.facts.observation import Kustomization, Observation, SourceRef
from reconciliation_contract.core.memory.budget import PromiseName
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.promises.comparison_trigger import Occasion, occasion_of
from reconciliation_contract.core.spec.contract import Contract, DriftMode
from reconciliation_contract.core.values.timing import TIMING, Timing
from reconciliation_contract.errors import ClusterError
from reconciliation_contract.observers.manifest_checks import Moved, Trial

Key = tuple[str, str]

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 4
"""Contracts that are validated at once, and as many that are compared."""


@dataclass
class _Post:
    """What is known of one contract."""

    validation: Validation | None = None
    drift: Drift | None = None
    occasion: Occasion | None = None
    compared_at: datetime | None = None
    """When the last comparison came off."""
    due: datetime | None = None
    """When the next comparison is due for the same occasion."""
    waits: bool = True
    """Nothing can be compared now, whatever is due; an event ends that."""
    found: Kustomization | None = None
    """The Kustomization, while a census of it makes sense."""
    census: Census | None = None
    """The one before the last comparison."""
    hurried: bool = False
    """The next comparison is for a census."""
    patience: timedelta = timedelta(0)
    """How long a census waits after a comparison; longer, while those that it asks for find nothing new."""
    calm_until: datetime | None = None
    tasks: dict[PromiseName, asyncio.Task[None]] = field(default_factory=dict)

    def hurry(self, now: datetime) -> bool:
        """Let the next comparison be due as soon as may be; return whether that is sooner than it was."""
        soon = max(now, self.calm_until or now)
        if self.due is None or self.due <= soon:
            return False
        self.due, self.hurried = soon, True
        return True

    def be_patient(self, found: Drift, now: datetime, first: timedelta, longest: timedelta) -> None:
        """Space out what censuses ask for: an object that others write to all the time is no reason to compare."""
        if not self.hurried:
            self.patience /= 2
        elif self.drift and self.drift.digest == found.digest:
            self.patience = min(longest, max(first, self.patience * 2))
        else:
            self.patience = timedelta(0)
        self.hurried, self.calm_until = False, now + self.patience


class Inspection:
    """Looks for all contracts.

    ``tell`` is called with those for which something changed, ``compared`` with every comparison.
    """

    def __init__(
        self,
        trial: Trial,
        tell: Callable[[set[Key]], None],
        compared: Callable[[Drift], None],
        clock: Callable[[], datetime],
        timing: Timing = TIMING,
    ) -> None:
        self._timing = timing
        self._trial = trial
        self._tell = tell
        self._compared = compared
        self._clock = clock
        self._posts: dict[Key, _Post] = {}
        self._turns = {
            promise: asyncio.Semaphore(_AT_ONCE) for promise in (PromiseName.VALIDATION, PromiseName.DRIFT)
        }

    def attend(self, key: Key, contract: Contract, memory: Memory, seen: Observation) -> None:
        """Begin what is due for a contract as it stands."""
        post = self._posts.setdefault(key, _Post())
        post.found, post.waits = None, True
        if contract.suspended or contract.deleting or not seen.operator.fresh or seen.flux.kustomization is None:
            return
        self._attend_validation(key, post, contract, memory, seen)
        if contract.promises.drift_mode is DriftMode.IGNORE or seen.flux.kustomization.suspended:
            post.drift = post.occasion = post.due = post.census = None
        else:
            self._attend_drift(key, post, contract, memory, seen)

    def validation(self, key: Key) -> Validation | None:
        """What is known of the revision that was looked at last."""
        post = self._posts.get(key)
        return post.validation if post else None

    def drift(self, key: Key) -> Drift | None:
        """The last comparison."""
        post = self._posts.get(key)
        return post.drift if post else None

    def due(self, key: Key) -> datetime | None:
        """When the next comparison is due, if nothing else happens; None while none can be made."""
        post = self._posts.get(key)
        return post.due if post and not post.waits else None

    def forget(self, key: Key) -> None:
        """Look at nothing for a contract any more."""
        post = self._posts.pop(key, None)
        for task in post.tasks.values() if post else ():
            task.cancel()

    def close(self) -> None:
        """Look at nothing at all."""
        for key in tuple(self._posts):
            self.forget(key)

    def _begin(self, post: _Post, promise: PromiseName, work: Coroutine[None, None, None], key: Key) -> None:
        if known := post.tasks.get(promise):
            known.cancel()
        post.tasks[promise] = asyncio.create_task(work, name=f"{promise} {key}")

    # Validation -----------------------------------------------------------------------------------------------------

    def _attend_validation(
        self, key: Key, post: _Post, contract: Contract, memory: Memory, seen: Observation
    ) -> None:
        delivery, artifact = memory.delivery, seen.flux.source.artifact if seen.flux.source else None
        if delivery is None or artifact is None or artifact.value.hash != delivery.hash:
            return
        if delivery.adopted or delivery.resumed:
            return
        said = memory.judgement(PromiseName.VALIDATION)
        if (said and said.concluded) or (post.validation and post.validation.hash == delivery.hash):
            return
        post.validation = Validation(delivery.hash)
        if seen.flux.source:
            work = self._validate(key, post, contract, seen.flux.source.reference, delivery.hash)
            self._begin(post, PromiseName.VALIDATION, work, key)

    async def _validate(self, key: Key, post: _Post, contract: Contract, source: SourceRef, hash_: str) -> None:
        within = contract.promises.validation
        while True:
            try:
                async with self._turns[PromiseName.VALIDATION]:
                    post.validation = await self._trial.validate(
                        contract.namespace, contract.kustomization, source, hash_, within
                    )
                break
            except Moved:
                post.validation = None
                return
            except ClusterError as error:
                _log.info("a revision cannot be validated now", extra={"contract": key, "error": str(error)})
                await asyncio.sleep(self._timing.manifests_retry.total_seconds())
            except Exception:  # noqa: BLE001 - ours: this contract only, never the others
                _log.exception("a validation failed; please report this", extra={"contract": key})
                post.validation = Validation(hash_, self._clock(), problem=_BUG)
                break
        self._tell({key})

    # Drift ----------------------------------------------------------------------------------------------------------

    def _attend_drift(self, key: Key, post: _Post, contract: Contract, memory: Memory, seen: Observation) -> None:
        occasion = occasion_of(contract, memory, seen)
        task = post.tasks.get(PromiseName.DRIFT)
        if task and not task.done() and occasion != post.occasion:
            # What it found would be half of what was and half of what comes.
            task.cancel()
            post.tasks.pop(PromiseName.DRIFT)
            post.due = None
        if occasion is None or seen.flux.kustomization is None:
            self._age(post, contract, "Flux is at work, or fails at it")
            return
        found, post.waits = seen.flux.kustomization, False
        asked = found.requested_at not in ("", found.handled_request)
        post.found = None if asked else found  # Flux is about to work
        task = post.tasks.get(PromiseName.DRIFT)
        busy = task is not None and not task.done()
        same = post.occasion == occasion
        if same and (busy or (post.due is not None and self._clock() < post.due)):
            return
        post.occasion, post.due = occasion, None
        self._begin(post, PromiseName.DRIFT, self._compare(key, post, contract, found, occasion.hash), key)

    async def _compare(self, key: Key, post: _Post, contract: Contract, subject: Kustomization, hash_: str) -> None:
        pause, found, why = self._timing.manifests_retry, post.drift, "Flux was at work each time"
        try:
            async with self._turns[PromiseName.DRIFT]:
                found, post.census = await self._trial.compare(subject, hash_, contract.promises.drift_ignore)
            pause, post.compared_at = _pause(contract, found, self._timing), self._clock()
            post.be_patient(found, self._clock(), self._timing.scan_round, contract.promises.drift_interval)
            self._compared(found)
        except Moved:
            pass
        except ClusterError as error:
            why = str(error)
            _log.info("the cluster cannot be compared now", extra={"contract": key, "error": why})
        except Exception:  # noqa: BLE001 - ours: this contract only, never the others
            _log.exception("a comparison failed; please report this", extra={"contract": key})
            found, pause = Drift(hash_, problem=_BUG), contract.promises.drift_interval
        post.drift, post.due = found, self._clock() + pause
        self._age(post, contract, why)
        self._tell({key})

    def _age(self, post: _Post, contract: Contract, why: str) -> None:
        """Say of a comparison that is too old to be believed that nothing is known any more."""
        if post.compared_at is None:
            post.compared_at = self._clock()
        patience = max(self._timing.comparison_believed, contract.promises.drift_interval * 2)
        if post.drift and not post.drift.problem and self._clock() - post.compared_at > patience:
            since = f"{post.compared_at:%Y-%m-%d %H:%M} UTC"
            post.drift = Drift(post.drift.hash, problem=f"nothing could be compared since {since}: {why}")

    # Census ---------------------------------------------------------------------------------------------------------

    async def patrol(self) -> None:
        """Make a census of one contract after the other, for ever."""
        while True:
            began = self._clock()
            for key, post in tuple(self._posts.items()):
                if post.found and post.census and post.due:
                    await self._count(key, post, post.found, post.census)
            left = self._timing.scan_round - (self._clock() - began)
            await asyncio.sleep(max(self._timing.scan_request, left).total_seconds())

    async def _count(self, key: Key, post: _Post, found: Kustomization, known: Census) -> None:
        """Have a contract compared soon where a census of it comes out otherwise than before its last comparison."""
        try:
            fresh = await self._trial.count(
                found, known.user, known.places, self._timing.scan_request.total_seconds()
            )
        except ClusterError as error:
            _log.info("no census can be made now", extra={"contract": key, "error": str(error)})
            return
        except Exception:  # noqa: BLE001 - ours: this contract only, never the others
            _log.exception("a census failed; please report this", extra={"contract": key})
            return
        if post.census is known and fresh.mark != known.mark and post.hurry(self._clock()):
            self._tell({key})


def _pause(contract: Contract, found: Drift, timing: Timing) -> timedelta:
    """Time to the next comparison; after drift, or trouble, it is shorter, so that its end is noticed."""
    interval = contract.promises.drift_interval
    if found.drifted:
        return min(interval, timing.comparison_drifted)
    return min(interval, timing.comparison_troubled) if found.problem else interval


_BUG: Final = "the operator failed at it; see its log, and please report it"
