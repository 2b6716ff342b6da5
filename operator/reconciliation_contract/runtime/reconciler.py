"""The one place that awaits and decides: a pass over one contract.

::

    status ──▶ memory ─┐
    store ─────────────┼──▶ evaluate ──▶ decision ──▶ write status (if changed) ──▶ effects ──▶ look again
    lookout (Git) ─────┘     (pure)

Nothing is kept here between passes but how the last act failed. Every pass starts from the status as it was written,
so what is about to be done has always been written first.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from reconciliation_contract.adapters.kubernetes.client import CONTRACTS, Cluster
from reconciliation_contract.adapters.kubernetes.events import Events
from reconciliation_contract.adapters.kubernetes.flux_acts import Flux
from reconciliation_contract.adapters.telemetry.metrics import Metrics
from reconciliation_contract.api.contract.parse import FINALIZER
from reconciliation_contract.api.status.parse import parse_memory
from reconciliation_contract.api.status.render import render_status
from reconciliation_contract.config import Settings
from reconciliation_contract.core.evaluation import Decision, evaluate
from reconciliation_contract.core.facts.observation import (
    LiveFacts,
    ManifestFacts,
    NotificationFacts,
    Observation,
    SourceRef,
)
from reconciliation_contract.core.facts.source_access import withheld
from reconciliation_contract.core.memory.effects import (
    AllowDeletion,
    DeletePin,
    Disown,
    Effect,
    EmitEvent,
    EnsurePin,
    HoldDeletion,
    RequestReconcile,
    SwitchSource,
    TellLeft,
)
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.promises.judging import presumes
from reconciliation_contract.core.rollback.bounds import within_bounds
from reconciliation_contract.core.rollback.release import orphaned
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.core.values.next_look import next_look
from reconciliation_contract.errors import ClusterError, Conflict, Missing, Refused, Unavailable
from reconciliation_contract.notifier import Notifier
from reconciliation_contract.observers.environment import Surroundings
from reconciliation_contract.observers.fleet import Pulses
from reconciliation_contract.observers.git import Lookout
from reconciliation_contract.observers.manifests import Inspection
from reconciliation_contract.observers.pruning import Removals
from reconciliation_contract.observers.recheck import look_closely
from reconciliation_contract.observers.store import Key, Raw, Record, Store
from reconciliation_contract.observers.workloads import Rollouts
from reconciliation_contract.runtime.pace import Pace, routine
from reconciliation_contract.runtime.queue import Queue
from reconciliation_contract.runtime.refused_acts import Refusal, refusal

_log = logging.getLogger(__name__)

_ACTING: Final = EnsurePin | DeletePin | SwitchSource | Disown | HoldDeletion


Follow = Callable[[Contract, Memory, Memory], None]
"""Is shown what each pass changed, once it is written; must not wait."""


@dataclass(frozen=True)
class Reach:
    """The outside world, as a pass reaches it."""

    cluster: Cluster
    flux: Flux
    events: Events
    lookout: Lookout
    removals: Removals
    inspection: Inspection
    rollouts: Rollouts
    surroundings: Surroundings
    notifier: Notifier
    metrics: Metrics
    clock: Callable[[], datetime]
    follow: Follow = lambda *_: None
    token: Callable[[], str] = lambda: secrets.token_hex(8)
    """64 bits that nobody can guess."""


def _as_kept(now: datetime) -> datetime:
    """Cut a time to milliseconds, as the status has it: what a pass decides must be what the next one reads back."""
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


class Reconciler:
    """Works the queue: one pass for each key that is due."""

    def __init__(self, store: Store, queue: Queue[Key], reach: Reach, settings: Settings) -> None:
        self._store = store
        self._queue = queue
        self._reach = reach
        self._settings = settings
        self._timing = settings.timing
        self._trouble: dict[Key, Refusal] = {}
        self._pace = Pace(settings.timing)
        self._fleet = Pulses(store, settings.fleet_brake, settings.timing)

    async def work(self) -> None:
        """Look at one contract after the other, for ever; one that fails never stops the others."""
        while True:
            key = await self._queue.get()
            try:
                await self._attempt(key)
            finally:
                self._queue.done(key)
            await asyncio.sleep(0)  # a pass may wait for nothing, and the loop has more to do than passes

    async def _attempt(self, key: Key) -> None:
        try:
            with self._reach.metrics.passing():
                await self.look(key)
        except Conflict:
            self._queue.retry(key)  # the watch brings the newer version; this is for when it does not
        except Missing:
            self._queue.retry(key)
        except ClusterError as error:
            delay = self._queue.retry(key, self._timing.retry_awaited if self._awaited(key, error) else None)
            self._reach.metrics.failed("cluster")
            _log.warning("the cluster did not do it", extra={"contract": key, "error": str(error), "retry_in": delay})
        except Exception:  # noqa: BLE001 - ours: this contract only, never the others
            delay = self._queue.retry(key)
            self._reach.metrics.failed("bug")
            _log.exception("a pass failed; please report this", extra={"contract": key, "retry_in": delay})
        else:
            self._queue.forget(key)

    def _awaited(self, key: Key, error: ClusterError) -> bool:
        record = self._store.contracts.get(key)
        refused = isinstance(error, Refused) and key in self._trouble
        return refused or (record is not None and record.contract.deleting)

    async def look(self, key: Key) -> None:
        """Make one pass over a contract: observe, decide, write, act."""
        record, lost = self._store.contracts.get(key), self._store.lost.pop(key, None)
        if record is None:
            self._lament(lost)
        if record is None or not isinstance(record.contract, Contract):
            self._reach.lookout.forget(key)
            self._reach.removals.forget(key)
            self._reach.inspection.forget(key)
            self._reach.rollouts.forget(key)
        if record is None:
            self._reach.metrics.forgot(key)
            self._reach.notifier.forget(key)
            self._trouble.pop(key, None)
            self._pace.forget(key)
            self._fleet.note(key)
            return
        now = _as_kept(self._reach.clock())
        memory = self._remembered(key, record)
        seen = self._observe(key, record, memory, now)
        decision = evaluate(record.contract, memory, seen, now)
        if presumes(memory, decision.memory):
            for other in await look_closely(self._reach.cluster, self._store, seen, now) - {key}:
                self._queue.add(other)
            seen = self._observe(key, record, memory, now)
            decision = evaluate(record.contract, memory, seen, now)
        record = await self._write(key, record, decision, seen)
        self._fleet.note(key)
        if isinstance(record.contract, Contract):
            self._reach.removals.attend(key, record.contract, decision.memory)
            self._reach.follow(record.contract, memory, decision.memory)
            if self._settings.manifests:
                self._reach.inspection.attend(key, record.contract, decision.memory, seen)
            self._reach.rollouts.attend(key, record.contract, decision.memory, seen)
            self._reach.notifier.announce(record.contract, memory, decision.memory, seen.flux.source, now)
        uid = seen.flux.kustomization.uid if seen.flux.kustomization else ""
        self._reach.notifier.note(record.contract, uid, memory.incidents, decision.memory.incidents)
        self._reach.metrics.passed(record.contract, memory, decision.memory, decision.conditions)
        if memory.rollback is None and decision.memory.rollback is not None:
            self._trouble.pop(key, None)  # it was about something else
        await self._perform(key, record, decision)
        self._again(key, decision, now)

    def _lament(self, lost: Record | None) -> None:
        """Tell what a contract has left behind that went during a rollback, whatever became of its finalizer."""
        if lost is None or not isinstance(lost.contract, Contract):
            return
        memory = self._remembered((lost.contract.namespace, lost.contract.name), lost)
        seen = self._store.observe(lost.contract, memory, acts=self._settings.acts, refused="")
        left = orphaned(lost.contract, memory, seen)
        if left:
            self._tell_left(lost.contract, left)

    def _tell_left(self, contract: Contract, message: str) -> None:
        _log.warning(
            "a rollback is left behind", extra={"contract": (contract.namespace, contract.name), "left": message}
        )
        self._reach.events.lament(contract, message)

    def _remembered(self, key: Key, record: Record) -> Memory:
        """Read the status back, as far as it is believed; what was left out of it is logged."""
        told, contract = parse_memory(record.status), record.contract
        name = contract.kustomization if isinstance(contract, Contract) else ""
        memory = within_bounds(contract, told, self._store.kustomizations.get((contract.namespace, name)))
        if told.rollback is not None and memory.rollback is None:
            refs = f"{told.rollback.source} {told.rollback.pin}"
            _log.warning(
                "a rollback in the status reaches too far; it is dropped", extra={"contract": key, "refs": refs}
            )
        return memory

    def _observe(self, key: Key, record: Record, memory: Memory, now: datetime) -> Observation:
        contract = record.contract
        if not isinstance(contract, Contract):
            return self._heard(key, Observation())
        trouble = self._trouble.get(key)
        refused = trouble.refused if trouble else ""
        seen = self._store.observe(contract, memory, acts=self._settings.acts, refused=refused)
        around = self._reach.surroundings.facts
        flux = around.kustomize.serving(seen.flux.kustomization.shard if seen.flux.kustomization else "")
        seen = withheld(seen, flux.crosses_namespaces)
        artifact = seen.flux.source.artifact if seen.flux.source else None
        dated = seen.flux.source if seen.flux.source and seen.flux.source.kind.commits else None
        git = self._reach.lookout.facts(key, dated, artifact.value.hash if artifact else "")
        source = seen.flux.source
        self._fleet.note(key)
        seen = Observation(
            flux=replace(
                seen.flux,
                source=replace(source, webhook=around.hooked_at(source.reference)) if source else None,
                controllers=around.controllers,
                cancels_health_checks=flux.cancels_health_checks,
                selectors=around.selectors,
            ),
            git=replace(git, looks_every=self._settings.git_interval),
            live=LiveFacts(
                departures=self._reach.removals.facts(key, seen.flux.kustomization, memory),
                rollout=self._reach.rollouts.facts(key),
            ),
            manifests=ManifestFacts(
                validation=self._reach.inspection.validation(key), drift=self._reach.inspection.drift(key)
            ),
            operator=replace(
                seen.operator,
                token=self._reach.token(),
                failed_for=trouble.refused_for(now, self._timing) if trouble else timedelta(0),
                account=contract.service_account or self._settings.default_service_account,
                lacking=self._reach.surroundings.lacking(contract),
                brake=self._fleet.brake(key, now),
            ),
        )
        return self._heard(key, withheld(seen, flux.crosses_namespaces))

    def _heard(self, key: Key, seen: Observation) -> Observation:
        """Add what the sinks took."""
        notifier = self._reach.notifier
        taken = NotificationFacts(
            sinks=notifier.sinks,
            told=notifier.told(key),
            storms=notifier.storms(key),
            announced=notifier.announced(key),
        )
        return replace(seen, notifications=taken)

    async def _write(self, key: Key, record: Record, decision: Decision, seen: Observation) -> Record:
        """Write the status if it changed, on the version that it was decided on."""
        status = render_status(decision.memory, seen.flux.kustomization, decision.conditions)
        if status == record.status:
            return record
        self._reach.metrics.wrote()
        written = await self._reach.cluster.replace_status(*key, record.resource_version, status)
        self._store.put_contract(written)
        return self._store.contracts[key]

    def _again(self, key: Key, decision: Decision, now: datetime) -> None:
        """Have the contract looked at when time alone changes something, and every now and then anyway."""
        if not decision.settled:
            self._look_in(key, 0.0)
            return
        look = decision.next_look.sooner(next_look(now, [("comparison", self._reach.inspection.due(key))]))
        for part in look.late:
            self._reach.metrics.needless(part)
            _log.error("a look in the past was asked for; please report this", extra={"contract": key, "part": part})
        usual = routine(key, now, self._timing.routine)
        at = min(look.at or usual, usual) + self._timing.afterwards
        self._look_in(key, (at - now).total_seconds())

    def _look_in(self, key: Key, seconds: float) -> None:
        """Have the contract looked at in some seconds, but not again and again without a pause."""
        delay, forced = self._pace.pause(key, seconds)
        if forced:
            self._reach.metrics.needless("pass")
            _log.error("passes ask for each other; please report this", extra={"contract": key, "pause": delay})
        self._queue.add(key, delay)

    async def _perform(self, key: Key, record: Record, decision: Decision) -> None:
        """Tell first, then act: an act that is refused must not silence the news, which come only once."""
        for effect in sorted(decision.effects, key=lambda effect: not isinstance(effect, EmitEvent)):
            if isinstance(record.contract, Contract):
                await self._guarded(key, record, record.contract, effect)
            elif isinstance(effect, EmitEvent):
                self._reach.events.emit(record.contract, effect)
            elif isinstance(effect, AllowDeletion):
                await self._finalize(record, key, hold=False)
        if any(isinstance(effect, _ACTING) for effect in decision.effects):
            self._trouble.pop(key, None)

    async def _guarded(self, key: Key, record: Record, contract: Contract, effect: Effect) -> None:
        """Perform one effect; what the API server does not do is told in the status and tried again later."""
        began = self._reach.clock()
        try:
            await self._act(key, record, contract, effect)
        except (Refused, Unavailable) as error:
            if isinstance(effect, _ACTING):
                self._note(key, type(effect), error, began, ending=contract.deleting)
            raise

    def _note(
        self, key: Key, act: type[Effect], error: Refused | Unavailable, began: datetime, *, ending: bool
    ) -> None:
        known, now = self._trouble.get(key), self._reach.clock()
        trouble = self._trouble[key] = refusal(known, act, error, began, now, ending=ending, timing=self._timing)
        news = trouble.refused and not (known and known.refused)  # only once: each message may be another one
        if news or trouble.refused_for(now, self._timing) >= self._timing.deletion_patience:
            self._look_in(key, self._timing.afterwards.total_seconds())

    async def _act(self, key: Key, record: Record, contract: Contract, effect: Effect) -> None:
        reach = self._reach
        match effect:
            case EmitEvent():
                reach.events.emit(contract, effect)
            case HoldDeletion():
                await self._finalize(record, key, hold=True)
            case AllowDeletion():
                await self._finalize(record, key, hold=False)
            case EnsurePin():
                await self._pin(key, contract, effect)
            case DeletePin(pin, owner):
                await self._unpin(contract, pin, owner)
            case SwitchSource():
                self._take(await reach.flux.switch(contract, effect))
            case Disown():
                self._take(await reach.flux.disown(contract, effect))
            case TellLeft(message):
                self._tell_left(contract, message)
            case RequestReconcile():
                await reach.flux.request(contract, effect)

    async def _pin(self, key: Key, contract: Contract, act: EnsurePin) -> None:
        """Make the pinned copy, and see at once what has its name: a deletion must find it, its watch may lag."""
        self._store.put_source(await self._reach.flux.ensure_pin(contract, act), self._reach.clock(), live=True)
        self._queue.add(key)

    async def _unpin(self, contract: Contract, pin: SourceRef, owner: str) -> None:
        """Remove the pinned copy, unless the Kustomization uses it after all: its watch can lag behind our act."""
        user = await self._reach.flux.user_of(contract, pin)
        if user is not None:
            # What was known already will be decided on in the same way again, so that counts as a refusal.
            problem = Conflict if self._take(user) else Refused
            raise problem("delete", f"GitRepository {pin.namespace}/{pin.name}", "the Kustomization uses it")
        await self._reach.flux.delete_pin(contract, pin, owner)

    def _take(self, kustomization: Raw) -> bool:
        """See what the API server has just shown, without waiting for the watch; return whether it is news."""
        if self._store.knows(kustomization):
            return False
        for key in self._store.put_kustomization(kustomization, self._reach.clock(), live=True):
            self._queue.add(key)
        return True

    async def _finalize(self, record: Record, key: Key, *, hold: bool) -> None:
        """Put our finalizer on the contract, or take it off; other finalizers stay."""
        found = await self._reach.cluster.get(CONTRACTS, *key)
        meta: Mapping[str, Any] = found.get("metadata") or {}
        if meta.get("uid") != record.contract.uid:
            return
        others = [name for name in meta.get("finalizers") or () if name != FINALIZER]
        wanted = [*others, FINALIZER] if hold else others
        patch = {"metadata": {"resourceVersion": meta.get("resourceVersion"), "finalizers": wanted}}
        self._store.put_contract(await self._reach.cluster.merge(CONTRACTS, *key, patch))
        self._queue.add(key)
