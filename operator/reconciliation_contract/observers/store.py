"""What is known: slim records of the watched objects, fed by watch events, and who cares about which.

The store never asks the cluster. A put tells which contracts must be looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from reconciliation_contract.api.contract.parse import parse_contract
from reconciliation_contract.api.flux import kustomization as flux_kustomization
from reconciliation_contract.api.flux import source as source_api
from reconciliation_contract.api.kubernetes.raw import read_map, read_text
from reconciliation_contract.api.status.fleet import is_at_rest
from reconciliation_contract.core.facts.observation import (
    FluxFacts,
    Git,
    Kustomization,
    Observation,
    OperatorFacts,
    Outage,
    Source,
    SourceRef,
)
from reconciliation_contract.core.facts.source_kind import GIT_REPOSITORY, SOURCE_KINDS, Kinds, SourceKind
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.promises.dependencies import root_cause
from reconciliation_contract.core.spec.contract import Contract, Declared, DriftMode, InvalidContract, RollbackMode
from reconciliation_contract.core.values.timing import TIMING, Timing

Key = tuple[str, str]
"""Namespace and name."""
Raw = Mapping[str, Any]
_OUTAGES: Final = 8
"""Outages of a dependency that are remembered."""


@dataclass(frozen=True, slots=True)
class Record:
    """A contract as it was last seen or written."""

    contract: Declared
    resource_version: str
    status: Mapping[str, Any]


def key_of(raw: Raw) -> Key:
    """Namespace and name of a raw object."""
    meta = read_map(raw, "metadata")
    return read_text(meta, "namespace"), read_text(meta, "name")


def uid_of(raw: Raw) -> str:
    """The uid of a raw object."""
    return read_text(read_map(raw, "metadata"), "uid")


def newer(version: str, than: str) -> bool:
    """Whether a resourceVersion is newer; Kubernetes compares them as whole numbers."""
    return not (version.isdecimal() and than.isdecimal()) or int(version) > int(than)


def _outdated(raw: Raw, known: Kustomization | Source | None, *, live: bool) -> bool:
    """Whether something newer is known: of the same object, where a list is the last word, or of one made anew.

    Events of two objects of one name come in any order; the versions of a kind are one sequence.
    """
    if known is None or (known.uid == uid_of(raw) and not live):
        return False
    version = read_text(read_map(raw, "metadata"), "resourceVersion")
    return known.resource_version != version and not newer(version, known.resource_version)


def _is_same(known: Kustomization | Source | None, record: Kustomization | Source) -> bool:
    """Whether nothing has changed but the version: most of what Flux writes is news to nobody."""
    return known is not None and replace(known, resource_version=record.resource_version) == record


def _is_other(known: Declared | Kustomization | Source, uid: str) -> bool:
    """Whether what is known is not the object of this uid, where one is given."""
    return uid not in ("", known.uid)


def _may_roll_back(contract: Contract) -> bool:
    return contract.rollback.mode is not RollbackMode.DISABLED and not contract.suspended


def _may_correct(contract: Contract) -> bool:
    return contract.promises.drift_mode is DriftMode.CORRECT and not contract.suspended


def _place(ref: SourceRef) -> tuple[str, str, str]:
    return (ref.kind, ref.namespace, ref.name)


def _seniority(contract: Contract) -> tuple[datetime, str]:
    return (contract.created_at, contract.name)


class Store:
    """The one place that remembers objects. It belongs to one event loop and is not thread-safe."""

    def __init__(self, kinds: Kinds = SOURCE_KINDS, timing: Timing = TIMING) -> None:
        self._timing = timing
        self.kinds = kinds
        """Kinds of sources that can be followed, by name."""
        self.contracts: dict[Key, Record] = {}
        self.lost: dict[Key, Record] = {}
        """Contracts that went during a rollback, as they were last seen, until somebody looks."""
        self.kustomizations: dict[Key, Kustomization] = {}
        self.sources: dict[str, dict[Key, Source]] = {kind: {} for kind in kinds}
        """By kind."""
        self.flux_installed = True
        self.fresh = False
        self.outages: dict[str, tuple[Outage, ...]] = {}
        """By the name of a dependency: the last times in which it did not work, oldest first."""
        self._bound: defaultdict[Key, set[Key]] = defaultdict(set)
        self._interested: defaultdict[SourceRef, set[Key]] = defaultdict(set)
        self._interests: dict[Key, frozenset[SourceRef]] = {}
        self._uids: dict[str, Key] = {}
        self._pins: defaultdict[str, set[SourceRef]] = defaultdict(set)

    # Feeding ------------------------------------------------------------------------------------------------

    def put_contract(self, raw: Raw) -> set[Key]:
        """Take a contract; an older version than the one known is ignored."""
        key, version = key_of(raw), read_text(read_map(raw, "metadata"), "resourceVersion")
        known = self.contracts.get(key)
        parsed = replace(parse_contract(raw), timing=self._timing)
        if known and not newer(version, known.resource_version):
            return set()
        if known and known.contract.uid != parsed.uid:
            self.drop_contract(key)
        elif known:
            self._unbind(key, known)  # what it cares for stays: nobody looks again after a write of our own
        self.contracts[key] = Record(parsed, version, read_map(raw, "status"))
        self._uids[parsed.uid] = key
        if isinstance(parsed, Contract):
            self._bound[parsed.namespace, parsed.kustomization].add(key)
        same = known and (known.contract.uid, known.contract.generation) == (parsed.uid, parsed.generation)
        before = self._fellows(known.contract) if known else set()
        return {key} if same else {key} | self._fellows(parsed) | before

    def drop_contract(self, key: Key, uid: str = "") -> set[Key]:
        """Forget a contract that is gone; with a uid only that one, not one made anew under its name."""
        known = self.contracts.get(key)
        if known is None or _is_other(known.contract, uid):
            return set()
        del self.contracts[key]
        if read_text(read_map(known.status, "rollback"), "state"):
            self.lost[key] = known
        self._uids.pop(known.contract.uid, None)
        self._unbind(key, known)
        self._interest(key, frozenset())
        return {key} | self._fellows(known.contract)

    def _fellows(self, contract: Declared) -> set[Key]:
        """All contracts of its Kustomization: which of them acts depends on the specs of all."""
        if isinstance(contract, InvalidContract):
            return set()
        return set(self._bound[contract.namespace, contract.kustomization])

    def _unbind(self, key: Key, record: Record) -> None:
        if isinstance(record.contract, Contract):
            self._bound[record.contract.namespace, record.contract.kustomization].discard(key)

    def put_kustomization(self, raw: Raw, at: datetime, *, live: bool) -> set[Key]:
        """Take a Kustomization that came from a watch event (``live``) or a list."""
        key, known = key_of(raw), self.kustomizations.get(key_of(raw))
        if _outdated(raw, known, live=live):
            return set()
        record = flux_kustomization.kustomization(raw, at, live=live, before=known)
        self.kustomizations[key] = record
        return set() if _is_same(known, record) else set(self._bound[key])

    def knows(self, raw: Raw) -> bool:
        """Whether this very version of a Kustomization is known."""
        known = self.kustomizations.get(key_of(raw))
        return known is not None and known.resource_version == read_text(read_map(raw, "metadata"), "resourceVersion")

    def drop_kustomization(self, key: Key, uid: str = "") -> set[Key]:
        """Forget a Kustomization that is gone; with a uid only that one."""
        known = self.kustomizations.get(key)
        if known is None or _is_other(known, uid):
            return set()
        del self.kustomizations[key]
        return set(self._bound[key])

    def put_source(self, raw: Raw, at: datetime, *, live: bool, kind: SourceKind = GIT_REPOSITORY) -> set[Key]:
        """Take a source, one that a person made or one that we pinned."""
        key = key_of(raw)
        known = self.sources[kind.name].get(key)
        if _outdated(raw, known, live=live):
            return set()
        record = source_api.source(raw, at, live=live, before=known, kind=kind)
        self.sources[kind.name][key] = record
        if _is_same(known, record):
            return set()
        if known and known.contract_uid != record.contract_uid:
            self._pins[known.contract_uid].discard(known.reference)
        if record.contract_uid and kind.pin_field:
            self._pins[record.contract_uid].add(record.reference)
        return self._concerned(record) | (self._concerned(known) if known else set())

    def drop_source(self, key: Key, uid: str = "", kind: SourceKind = GIT_REPOSITORY) -> set[Key]:
        """Forget a source that is gone; with a uid only that one."""
        record = self.sources[kind.name].get(key)
        if record is None or _is_other(record, uid):
            return set()
        del self.sources[kind.name][key]
        self._pins[record.contract_uid].discard(record.reference)
        return self._concerned(record)

    def _concerned(self, source: Source) -> set[Key]:
        owner = self._uids.get(source.contract_uid)
        return self._interested[source.reference] | ({owner} if owner else set())

    def is_under_way(self, key: Key) -> bool:
        """Whether something may be due for a contract: it is not at rest, or Flux has moved on since its status."""
        record = self.contracts.get(key)
        if record is None or isinstance(record.contract, InvalidContract) or record.contract.deleting:
            return True
        found = self.kustomizations.get((record.contract.namespace, record.contract.kustomization))
        source = self.source(found.source) if found else None
        served = source.artifact.value.hash if source and source.artifact else ""
        return not is_at_rest(record.status, record.contract.generation, served)

    # Observing ----------------------------------------------------------------------------------------------

    def tracked(self, contract: Contract, memory: Memory) -> SourceRef | None:
        """Refer to the source that tracks the branch, whether or not a rollback is in force."""
        if memory.rollback:
            return memory.rollback.source
        kustomization = self.kustomizations.get((contract.namespace, contract.kustomization))
        return kustomization.source if kustomization else None

    def source(self, ref: SourceRef | None) -> Source | None:
        """Find a source."""
        return self.sources.get(ref.kind, {}).get((ref.namespace, ref.name)) if ref else None

    def observe(self, contract: Contract, memory: Memory, *, acts: bool, refused: str) -> Observation:
        """Put together what is known for one contract, all but Git, and remember that it cares for it."""
        key = (contract.namespace, contract.name)
        ref, needed = self.tracked(contract, memory), memory.rollback.pin if memory.rollback else None
        source = self.source(ref)
        if ref and key in self.contracts:
            self._interest(key, frozenset({ref, needed} if needed else {ref}))
        kustomization = self.kustomizations.get((contract.namespace, contract.kustomization))
        rival = self._rival(contract, kustomization)
        pins = [pin for ref in sorted(self._pins[contract.uid], key=_place) if (pin := self.source(ref))]
        used = kustomization.source if kustomization and not rival and _may_roll_back(contract) else None
        pins += [orphan for where in {used, needed} if (orphan := self._orphan(where))]
        return Observation(
            git=Git(),
            flux=FluxFacts(
                kustomization=kustomization,
                blocked_by=root_cause(kustomization, self._named) if kustomization else "",
                source=source,
                source_kinds=self.kinds,
                pin=next((pin for pin in pins if pin.reference == needed), None),
                claimed=self._is_claimed(needed, pins),
                strays=tuple(pin for pin in pins if pin.reference != needed),
                installed=self.flux_installed,
            ),
            operator=OperatorFacts(
                fresh=self.fresh,
                outages=tuple(each for known in self.outages.values() for each in known),
                acts=acts,
                rival=rival,
                corrector=self._elder(contract, _may_correct),
                refused=refused,
            ),
        )

    def _is_claimed(self, needed: SourceRef | None, pins: Sequence[Source]) -> bool:
        """Whether the pinned copy's name belongs to an object that is none of these."""
        return self.source(needed) is not None and all(pin.reference != needed for pin in pins)

    def _rival(self, contract: Contract, kustomization: Kustomization | None) -> str:
        """Name the contract that acts for the Kustomization instead: whose pin it uses, else the oldest that may."""
        where = kustomization.source if kustomization else None
        source = self.source(where)
        owner = self._uids.get(source.contract_uid) if source else None
        if owner:
            return "" if owner == (contract.namespace, contract.name) else owner[1]
        return self._elder(contract, _may_roll_back)

    def _elder(self, contract: Contract, acts: Callable[[Contract], bool]) -> str:
        """Name the oldest contract of the same Kustomization that acts; empty where none is older than this one."""
        others = (self.contracts[key].contract for key in self._fellows(contract))
        acting = [each for each in others if isinstance(each, Contract) and acts(each)]
        first = min(acting, key=_seniority, default=contract)
        return "" if _seniority(contract) <= _seniority(first) else first.name

    def _orphan(self, where: SourceRef | None) -> Source | None:
        """The pinned copy of a contract that is gone without having given it back, as from a restored backup."""
        source = self.source(where)
        return source if source and source.contract_uid and source.contract_uid not in self._uids else None

    def note(self, name: str, ready: bool | None, at: datetime) -> None:
        """Remember the outages of a dependency; what cannot be told is none."""
        known = self.outages.get(name, ())
        lasts = bool(known) and known[-1].until is None
        if ready is False and not lasts:
            self.outages[name] = (*known, Outage(name, at))[-_OUTAGES:]
        elif ready is not False and lasts:
            self.outages[name] = (*known[:-1], replace(known[-1], until=at))

    def _named(self, name: str) -> Kustomization | None:
        namespace, _, own = name.partition("/")
        return self.kustomizations.get((namespace, own))

    def _interest(self, key: Key, sources: frozenset[SourceRef]) -> None:
        known = self._interests.get(key, frozenset())
        if known == sources:
            return
        for source in known - sources:
            self._interested[source].discard(key)
        for source in sources - known:
            self._interested[source].add(key)
        self._interests[key] = sources
