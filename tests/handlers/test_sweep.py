"""The sweep: what it drops, what it waits for, and when it says that the operator is blind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from reconciliation_contract.adapters.kubernetes.resource import Resource
from reconciliation_contract.config import Settings
from reconciliation_contract.core.facts.observation import API_SERVER
from reconciliation_contract.core.facts.source_kind import OCI_REPOSITORY
from reconciliation_contract.errors import ClusterError, Missing, Refused, Unavailable
from reconciliation_contract.observers.resync import Sweep
from reconciliation_contract.observers.store import Key, Store
from tests.support.virtual_time import START, eventually, now, passing, stamp

pytestmark = pytest.mark.looptime

KEY = ("apps", "shop")
CONTRACTS, KUSTOMIZATIONS, SOURCES = "reconciliationcontracts", "kustomizations", "gitrepositories"
OCI = "ocirepositories"
PUTS: dict[str, Callable[..., set[Key]]] = {
    KUSTOMIZATIONS: Store.put_kustomization,
    SOURCES: Store.put_source,
    OCI: partial(Store.put_source, kind=OCI_REPOSITORY),
}


@dataclass
class Listing:
    """Stands in for the cluster: what exists, by kind, or what to raise."""

    exists: dict[str, dict[Key, str]] = field(
        default_factory=lambda: {CONTRACTS: {}, KUSTOMIZATIONS: {}, SOURCES: {}}
    )
    errors: dict[str, ClusterError] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    slow: float = 0.0
    found: list[tuple[str, Key]] = field(default_factory=list)
    """What was read."""
    paged: list[str] = field(default_factory=list)
    """Kinds of which all was read."""
    unreadable: set[str] = field(default_factory=set)
    uid: str = "uid-1"
    """That of what is read."""

    async def list_versions(self, resource: Resource, namespace: str = "") -> dict[Key, str]:
        """List what exists, as it was when the listing began."""
        self.asked.append((resource.plural, namespace))
        if resource.plural not in self.exists:
            raise Missing("list", resource.plural, "no such kind")
        found = dict(self.exists[resource.plural])
        await passing(self.slow)
        if resource.plural in self.errors:
            raise self.errors[resource.plural]
        return {key: version for key, version in found.items() if namespace in ("", key[0])}

    async def pages(self, resource: Resource, namespace: str = "") -> AsyncIterator[list[dict[str, Any]]]:
        """Read everything, in pages of four."""
        self.paged.append(resource.plural)
        if resource.plural in self.unreadable:
            raise Unavailable("list", resource.plural, "no answer")
        found = [
            object_of(resource.plural, version, self.uid, key)
            for key, version in self.exists[resource.plural].items()
            if namespace in ("", key[0])
        ]
        for start in range(0, len(found), 4):
            yield found[start : start + 4]

    async def find(self, resource: Resource, namespace: str, name: str) -> dict[str, Any] | None:
        """Read what exists now; ``unreadable`` raises."""
        self.found.append((resource.plural, (namespace, name)))
        if resource.plural in self.unreadable:
            raise Unavailable("list", resource.plural, "no answer")
        version = self.exists[resource.plural].get((namespace, name))
        return object_of(resource.plural, version, self.uid, (namespace, name)) if version else None


@dataclass
class Swept:
    """A sweep at work."""

    store: Store
    listing: Listing
    sweep: Sweep
    told: list[set[Key]]
    missed: list[str]
    reopened: list[str]

    def put(self, plural: str, version: int, uid: str = "uid-1", key: Key = KEY) -> None:
        """Have the watch bring an object."""
        self.sweep.hear(plural, key)
        raw = object_of(plural, str(version), uid, key)
        if plural == CONTRACTS:
            self.store.put_contract(raw)
        else:
            PUTS[plural](self.store, raw, now(), live=True)


def object_of(plural: str, version: str, uid: str, key: Key) -> dict[str, Any]:
    """A raw object."""
    meta = {"namespace": key[0], "name": key[1], "uid": uid, "resourceVersion": version}
    raw: dict[str, Any] = {"metadata": {**meta, "creationTimestamp": stamp(START)}}
    return {**raw, "spec": {"kustomizationRef": {"name": "shop"}}} if plural == CONTRACTS else raw


@asynccontextmanager
async def sweeping(listing: Listing, settings: Settings | None = None) -> AsyncIterator[Swept]:
    """A sweep that ends with the context."""
    store = Store()
    told: list[set[Key]] = []
    missed: list[str] = []
    reopened: list[str] = []
    cluster: Any = listing
    sweep = Sweep(
        store,
        cluster,
        told.append,
        now,
        settings or Settings(),
        note=missed.append,
        reopen=reopened.append,
    )
    task = asyncio.create_task(sweep.run())
    try:
        yield Swept(store, listing, sweep, told, missed, reopened)
        assert not task.done(), "the sweep ended"
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_it_waits_until_the_watches_brought_everything_that_exists() -> None:
    """Before that the operator is not ready, and says why."""
    listing = Listing()
    for plural in listing.exists:
        listing.exists[plural][KEY] = "5"
    async with sweeping(listing) as swept:
        swept.put(CONTRACTS, 5)
        swept.put(KUSTOMIZATIONS, 5)
        await passing(10)
        before = swept.sweep.unready()

        swept.put(SOURCES, 5)
        await eventually(lambda: not swept.sweep.unready(), "the sweep to be content", within=1)

        assert before.startswith("not synced")
        assert swept.store.fresh is True
        assert {KEY} in swept.told


async def test_an_empty_cluster_is_known_at_once() -> None:
    """Nothing to wait for."""
    async with sweeping(Listing()) as swept:
        await passing(0.1)

        assert swept.sweep.unready() == ""


@pytest.mark.parametrize("plural", [CONTRACTS, KUSTOMIZATIONS, SOURCES])
async def test_what_is_gone_is_dropped_told_and_counted(plural: str) -> None:
    """A deletion that no watch told of."""
    listing = Listing()
    async with sweeping(listing) as swept:
        await passing(1)
        for kind in listing.exists:
            listing.exists[kind][KEY] = "5"
            swept.put(kind, 5)
        await passing(35)
        swept.told.clear()

        del listing.exists[plural][KEY]
        await passing(35)

        known = (swept.store.contracts, swept.store.kustomizations, swept.store.sources["GitRepository"])
        assert [KEY in kind for kind in known] == [kind != plural for kind in listing.exists]
        assert swept.missed == ["deleted"]
        assert ({KEY} in swept.told) is (plural != SOURCES)


async def test_what_the_watch_brings_during_a_listing_is_not_dropped() -> None:
    """An object that was deleted and made anew while the list was under way stays known."""
    listing = Listing(slow=2.0)
    async with sweeping(listing) as swept:
        await passing(10)
        swept.put(KUSTOMIZATIONS, 5)
        await eventually(lambda: listing.asked[-1][0] == KUSTOMIZATIONS, "the next listing")
        swept.put(KUSTOMIZATIONS, 9, uid="uid-2")
        await passing(10)

        assert swept.store.kustomizations[KEY].uid == "uid-2"
        assert swept.missed == []


async def test_what_a_stuck_watch_does_not_bring_is_read() -> None:
    """Half a minute to the next list, a few seconds for the watch: then the list is believed, and nobody is blind."""
    listing = Listing()
    async with sweeping(listing) as swept:
        await passing(1)
        listing.exists[KUSTOMIZATIONS][KEY] = "5"
        swept.put(KUSTOMIZATIONS, 5)
        await passing(60)

        for known in ("6", "7", "8"):
            listing.exists[KUSTOMIZATIONS][KEY] = known
            await passing(36)

            assert version(swept.store, KUSTOMIZATIONS) == known
            assert swept.sweep.unready() == ""
        assert swept.missed == ["stuck", "lost"] * 3
        assert swept.reopened == [KUSTOMIZATIONS] * 3


async def test_a_watch_has_time_to_bring_what_a_list_shows() -> None:
    """A watch that is only a moment late is not outdone, and not begun anew."""
    listing = Listing()
    async with sweeping(listing) as swept:
        await passing(1)
        for beat in range(1, 20):
            listing.exists[KUSTOMIZATIONS][KEY] = str(beat)
            await passing(3)
            swept.put(KUSTOMIZATIONS, beat)
            await passing(10)

        assert (swept.missed, swept.reopened, listing.found) == ([], [], [])


@pytest.mark.parametrize("many", [1, 25])
async def test_time_that_was_turned_back_is_noticed(many: int) -> None:
    """After a restore versions are older than those known: the list is the last word, for few objects and for all."""
    listing, names = Listing(), [("apps", f"app-{number}") for number in range(many)]
    async with sweeping(listing) as swept:
        await passing(1)
        for plural in (CONTRACTS, KUSTOMIZATIONS, SOURCES):
            for key in names:
                swept.put(plural, 900, key=key)
            listing.exists[plural] = dict.fromkeys(names, "900")
        await passing(35)
        for plural in (CONTRACTS, KUSTOMIZATIONS, SOURCES):
            listing.exists[plural] = dict.fromkeys(names, "100")

        for _ in range(9):  # the watches bring others all the time
            swept.put(KUSTOMIZATIONS, 901, key=("apps", "other"))
            listing.exists[KUSTOMIZATIONS]["apps", "other"] = "901"
            await passing(4)

        for plural in (CONTRACTS, KUSTOMIZATIONS, SOURCES):
            assert {version(swept.store, plural, key) for key in names} == {"100"}
            assert plural in swept.reopened
        assert swept.sweep.unready() == ""
        assert swept.missed.count("lost") == 3 * many
        assert bool(listing.paged) is (many > 10)


async def test_a_store_that_the_watches_do_not_fill_is_filled_by_the_list() -> None:
    """After a minute of waiting: a watch that lost an object at the very beginning keeps nobody from starting."""
    listing = Listing()
    listing.exists[KUSTOMIZATIONS][KEY] = "5"
    async with sweeping(listing) as swept:
        await passing(50)
        before = swept.sweep.unready()
        await passing(30)

        assert before == "not synced: the watches have not brought everything yet"
        assert swept.sweep.unready() == ""
        assert version(swept.store, KUSTOMIZATIONS) == "5"


def version(store: Store, plural: str, key: Key = KEY) -> str:
    """The version that is known."""
    known = {
        CONTRACTS: store.contracts,
        KUSTOMIZATIONS: store.kustomizations,
        SOURCES: store.sources["GitRepository"],
    }
    return known[plural][key].resource_version if key in known[plural] else ""


@pytest.mark.parametrize("plural", [CONTRACTS, KUSTOMIZATIONS, SOURCES])
@pytest.mark.parametrize(
    ("known", "uid"), [(0, "uid-1"), (5, "uid-1"), (5, "uid-2"), (9, "uid-1"), (9, "uid-2")], ids=str
)
async def test_what_a_working_watch_has_lost_is_read(plural: str, known: int, uid: str) -> None:
    """Unknown, older, made anew or restored: as long as the watch brings others, nobody else is blinded by it."""
    listing = Listing(uid=uid)
    async with sweeping(listing) as swept:
        await passing(1)
        if known:
            swept.put(plural, known)
        listing.exists[plural] = {KEY: "7", ("apps", "other"): "1"}
        for beat in range(1, 40):
            listing.exists[plural]["apps", "other"] = str(beat)
            swept.put(plural, beat, key=("apps", "other"))
            await passing(5)
            assert swept.sweep.unready() == ""

        assert version(swept.store, plural) == "7"
        assert listing.found == [(plural, KEY)]
        assert swept.missed == (["stuck", "lost"] if known == 9 else ["lost"])
        assert any(KEY in keys for keys in swept.told) is (plural == CONTRACTS)


async def test_an_object_that_cannot_be_read_blinds_nobody() -> None:
    """It is tried again at each sweep, until it can be."""
    listing = Listing(unreadable={KUSTOMIZATIONS})
    async with sweeping(listing) as swept:
        await passing(1)
        listing.exists[KUSTOMIZATIONS][KEY] = "7"
        for beat in range(1, 60):
            if beat == 40:
                listing.unreadable.clear()
            swept.put(KUSTOMIZATIONS, beat, key=("apps", "other"))
            listing.exists[KUSTOMIZATIONS]["apps", "other"] = str(beat)
            await passing(5)
            assert swept.sweep.unready() == ""

        assert len(listing.found) > 3
        assert version(swept.store, KUSTOMIZATIONS) == "7"


async def test_one_watch_of_a_namespace_does_not_speak_for_another() -> None:
    """Where only some namespaces are watched, each has watches of its own."""
    listing = Listing()
    async with sweeping(listing, Settings(namespaces=("apps", "shop"))) as swept:
        await passing(1)
        listing.exists[KUSTOMIZATIONS][KEY] = "7"
        for beat in range(1, 40):
            swept.put(KUSTOMIZATIONS, beat, key=("shop", "other"))
            listing.exists[KUSTOMIZATIONS]["shop", "other"] = str(beat)
            await passing(5)

        assert version(swept.store, KUSTOMIZATIONS) == "7"
        assert swept.reopened == [KUSTOMIZATIONS]


async def test_an_object_that_changes_all_the_time_is_no_stuck_watch() -> None:
    """Always a little behind, but always further than before."""
    listing = Listing()
    async with sweeping(listing) as swept:
        await passing(1)
        for version in range(5, 300, 10):
            listing.exists[KUSTOMIZATIONS][KEY] = str(version + 1)
            swept.put(KUSTOMIZATIONS, version)
            await passing(4)
            assert swept.sweep.unready() == ""
        assert swept.missed == []


async def test_an_object_that_could_not_be_read_stops_nobody() -> None:
    """It is not waited for, neither at the start nor later."""
    listing = Listing()
    listing.exists[KUSTOMIZATIONS][KEY] = "5"
    async with sweeping(listing) as swept:
        swept.sweep.skip(KUSTOMIZATIONS, KEY, "5")
        await passing(200)

        assert swept.sweep.unready() == ""


async def test_without_answers_facts_become_stale_after_ninety_seconds() -> None:
    """The reason is the API server's; as soon as it answers all is well again."""
    listing = Listing()
    async with sweeping(listing) as swept:
        await passing(60)
        listing.errors[CONTRACTS] = Unavailable("list", "contracts", "no answer")
        await passing(60)
        early = swept.sweep.unready()
        await passing(70)
        stale = swept.sweep.unready()
        listing.errors.clear()
        await passing(35)

        assert early == ""
        assert stale == "observations are stale: cannot list contracts: no answer"
        assert swept.sweep.unready() == ""


async def test_when_the_api_server_did_not_answer_is_remembered() -> None:
    """From the first request without an answer to the first proof of life: what was late then has an excuse."""
    listing = Listing()
    async with sweeping(listing) as swept:
        await passing(31)
        assert API_SERVER not in swept.store.outages

        listing.errors[CONTRACTS] = Unavailable("list", "contracts", "no answer")
        await passing(60)
        assert swept.store.outages[API_SERVER][-1].until is None

        listing.errors.clear()
        await passing(31)
        (outage,) = swept.store.outages[API_SERVER]
        assert outage.until
        assert outage.until - outage.since >= timedelta(seconds=55)


async def test_a_refused_request_is_no_outage() -> None:
    """The API server answered."""
    listing = Listing()
    async with sweeping(listing) as swept:
        await passing(31)
        listing.errors[CONTRACTS] = Refused("list", "contracts", "forbidden")
        await passing(60)

        assert API_SERVER not in swept.store.outages


async def test_an_operator_that_never_reached_the_cluster_says_so() -> None:
    """With the API server's own words."""
    listing = Listing(errors={CONTRACTS: Missing("list", "contracts", "no such kind")})
    async with sweeping(listing) as swept:
        at_first = swept.sweep.unready()
        await passing(300)

        assert at_first == "not synced: the API server has not been reached yet"
        assert swept.sweep.unready() == "not synced: cannot list contracts: no such kind"
        assert swept.store.fresh is False
        assert swept.sweep.age() == timedelta(seconds=300)
        assert len(listing.asked) < 40


@pytest.mark.parametrize("plural", [KUSTOMIZATIONS, SOURCES])
async def test_fluxs_definitions_may_be_missing_and_come_back(plural: str) -> None:
    """All contracts are told of either, and objects that went with the definition are dropped."""
    listing = Listing()
    async with sweeping(listing) as swept:
        await passing(1)
        for kind in listing.exists:
            listing.exists[kind][KEY] = "5"
            swept.put(kind, 5)
        await passing(35)
        swept.told.clear()
        listing.errors[plural] = Missing("list", plural, "no such kind")
        await passing(35)
        gone, unready = swept.store.flux_installed, swept.sweep.unready()
        told = {KEY} in swept.told
        listing.errors.clear()
        del listing.exists[plural][KEY]
        await passing(35)

        assert (gone, told, unready) == (False, True, "")
        assert swept.store.flux_installed is True
        assert KEY not in (
            swept.store.kustomizations if plural == KUSTOMIZATIONS else swept.store.sources["GitRepository"]
        )


async def test_a_kind_of_source_that_flux_can_do_without() -> None:
    """Its objects are waited for where there are any, and go with its definition; Flux counts as installed."""
    listing = Listing()
    listing.exists[OCI] = {KEY: "5"}
    async with sweeping(listing) as swept:
        await passing(1)
        before = swept.sweep.unready()
        swept.put(OCI, 5)
        await passing(35)
        synced = swept.sweep.unready()
        del listing.exists[OCI]
        await passing(35)

        assert (before.startswith("not synced"), synced) == (True, "")
        assert swept.store.flux_installed is True
        assert swept.store.sources["OCIRepository"] == {}


async def test_only_the_watched_namespaces_are_listed() -> None:
    """Each by itself, as the rights may end there."""
    listing = Listing()
    async with sweeping(listing, Settings(namespaces=("apps", "shop"))):
        await passing(0.1)

    assert {namespace for _, namespace in listing.asked} == {"apps", "shop"}
