"""What stands around a delivery: which controllers live, what they watch, who tells them of pushes, what we may do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from reconciliation_contract.adapters.kubernetes.resource import Resource
from reconciliation_contract.config import Settings
from reconciliation_contract.core.facts.observation import SourceRef
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.core.values.timing import TIMING
from reconciliation_contract.errors import ClusterError, Missing, Refused, Unavailable
from reconciliation_contract.observers.environment import Surroundings
from reconciliation_contract.observers.store import Key, Store
from tests.support import builders
from tests.support.virtual_time import START, eventually, now, passing

pytestmark = pytest.mark.looptime

SOURCE, KUSTOMIZE = "source-controller", "kustomize-controller"
FORBIDDEN = Refused("list", "it", "forbidden")


def deployment(name: str, *args: str, available: int = 1, replicas: int = 1) -> dict[str, Any]:
    """A controller's Deployment, started with these arguments."""
    return {
        "metadata": {"name": name, "namespace": "flux-system"},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"args": list(args)}]}}},
        "status": {"availableReplicas": available},
    }


def lease(name: str, renewed: str, holder: str = "somebody") -> dict[str, Any]:
    """A controller's leader Lease."""
    spec = {"renewTime": renewed, "leaseDurationSeconds": 35, "holderIdentity": holder}
    return {"metadata": {"name": name}, "spec": spec}


def receiver(*resources: dict[str, str], **spec: Any) -> dict[str, Any]:
    """A Receiver in `flux-system`."""
    return {
        "metadata": {"name": "github", "namespace": "flux-system"},
        "spec": {"resources": [{"kind": "GitRepository", **named} for named in resources], **spec},
    }


@dataclass
class Around:
    """Stands in for the cluster: what exists by kind, or what to raise; and what may be done."""

    exists: dict[str, list[dict[str, Any]] | ClusterError] = field(
        default_factory=lambda: {
            "deployments": [deployment(SOURCE), deployment(KUSTOMIZE)],
            "leases": [],
            "receivers": [],
        }
    )
    allowed: bool | ClusterError = True
    renewing: bool = True
    questions: set[tuple[str, str, str]] = field(default_factory=set)
    """Verb, plural and namespace of each question about a right."""
    asked: int = 0
    takes: float = 0.0
    """Seconds for a question about a right."""
    unanswered: str = ""
    """A user whose rights cannot be asked for."""

    async def list_all(self, resource: Resource, _namespace: str = "") -> Mapping[str, Any]:
        """List a kind; Leases are renewed each time while their holder lives."""
        found = self.exists[resource.plural]
        if isinstance(found, ClusterError):
            raise found
        if resource.plural == "leases" and self.renewing:
            found = [lease(thing["metadata"]["name"], now().isoformat()) for thing in found]
            self.exists["leases"] = found
        return {"items": found}

    async def may(self, verb: str, _group: str, resource: str, namespace: str, *, user: str = "") -> bool:
        """Say whether something is allowed."""
        self.asked += 1
        self.questions.add((verb, resource, namespace))
        await passing(self.takes)
        if user and user == self.unanswered:
            raise Unavailable("ask", "a right", "no answer")
        if isinstance(self.allowed, ClusterError):
            raise self.allowed
        return self.allowed


@dataclass
class Looking:
    """Surroundings at work, with what they told."""

    around: Around
    surroundings: Surroundings
    told: list[set[Key]]
    store: Store

    def controller(self, name: str) -> tuple[bool | None, str]:
        """How a controller stands."""
        found = next(each for each in self.surroundings.facts.controllers if each.name == name)
        return found.ready, found.message


@asynccontextmanager
async def looking(
    around: Around | None = None, settings: Settings | None = None, *objects: dict[str, Any]
) -> AsyncIterator[Looking]:
    """Look around while the context lasts; the first look is over when it begins."""
    store, told, around = Store(), [], around or Around()
    for raw in objects or (builders.contract(),):
        put = (
            store.put_contract
            if raw["kind"] == "ReconciliationContract"
            else partial(store.put_kustomization, at=START, live=False)
        )
        put(raw)
    surroundings = Surroundings(store, around, told.append, now, settings or Settings())  # type: ignore[arg-type]
    task = asyncio.create_task(surroundings.run())
    try:
        await eventually(surroundings.looked.is_set, "the first look")
        yield Looking(around, surroundings, told, store)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def seeing(**exists: list[dict[str, Any]] | ClusterError) -> Around:
    """A cluster in which these kinds differ."""
    around = Around()
    around.exists |= exists
    return around


# Controllers ----------------------------------------------------------------------------------------------------------

HIDDEN = "the operator may not read Deployments and Leases in flux-system"
CONTROLLERS: dict[str, tuple[Around, bool | None, str]] = {
    "its Deployment is available": (Around(), True, ""),
    "its Deployment is scaled to zero": (
        seeing(deployments=[deployment(SOURCE, replicas=0, available=0)]),
        False,
        "source-controller is scaled to zero; scale it up",
    ),
    "it has no pod": (
        seeing(deployments=[deployment(SOURCE, available=0)]),
        False,
        "source-controller has no available pod; see kubectl -n flux-system get pods",
    ),
    "one shard has no pod": (
        seeing(deployments=[deployment(SOURCE), deployment(f"{SOURCE}-shard1", available=0)]),
        False,
        "source-controller-shard1 has no available pod; see kubectl -n flux-system get pods",
    ),
    "only its Lease can be seen": (seeing(deployments=FORBIDDEN, leases=[lease(SOURCE, "1")]), True, ""),
    "nothing can be seen": (seeing(deployments=FORBIDDEN, leases=FORBIDDEN), None, HIDDEN),
    "it is elsewhere": (
        seeing(deployments=[]),
        None,
        "source-controller is not in namespace flux-system; set --flux-namespace",
    ),
    "there are no such kinds": (
        seeing(deployments=Missing("list", "it"), leases=Missing("list", "it")),
        None,
        "source-controller is not in namespace flux-system; set --flux-namespace",
    ),
}


@pytest.mark.parametrize("name", CONTROLLERS)
async def test_how_a_controller_stands(name: str) -> None:
    """Dead, alive, or not to be told; what may not be read is never dead."""
    around, ready, message = CONTROLLERS[name]

    async with looking(around) as found:
        assert found.controller(SOURCE) == (ready, message)


async def test_a_controller_that_died_silently_is_noticed_by_its_lease() -> None:
    """Its Deployment looks well, but nobody renews the Lease; once somebody does it lives again."""
    async with looking(seeing(leases=[lease(SOURCE, "1")])) as found:
        await passing(300)
        assert found.controller(SOURCE) == (True, "")

        found.around.renewing = False
        dead = await eventually(lambda: found.controller(SOURCE)[0] is False, "the death to be noticed", 75)
        assert dead
        assert "does not renew its leader Lease source-controller" in found.controller(SOURCE)[1]

        found.around.renewing = True
        assert await eventually(
            lambda: found.controller(SOURCE)[0], "the recovery", 2 * TIMING.environment.total_seconds()
        )


POD = "6d9f7b5c8-x2x4z_0b1c2d3e"
LEFT: dict[str, tuple[str, bool]] = {
    "held by its Deployment": (f"{SOURCE}-{POD}", False),
    "held by nobody that can be told": ("somebody", False),
    "left by a shard that was removed": (f"{SOURCE}-shard1-{POD}", True),
    "given back": ("", True),
}


@pytest.mark.parametrize("name", LEFT)
async def test_a_lease_that_nobody_must_renew_tells_of_no_death(name: str) -> None:
    """Leases outlive the shards that held them."""
    holder, alive = LEFT[name]
    around = seeing(deployments=[deployment(SOURCE)], leases=[lease(f"{SOURCE}-1a2b", "1", holder)])
    around.renewing = False

    async with looking(around) as found:
        await passing(300)

        assert found.controller(SOURCE)[0] is alive


async def test_while_the_api_server_is_silent_the_last_look_stands() -> None:
    """An outage of the API server says nothing of the controllers."""
    async with looking() as found:
        before = found.surroundings.facts

        found.around.exists["deployments"] = Unavailable("list", "deployments", "timed out")
        await passing(600)

        assert found.surroundings.facts == before


# What they watch ------------------------------------------------------------------------------------------------------

ARGS: dict[str, tuple[tuple[str, ...], str]] = {
    "everything": (("--watch-all-namespaces=true",), ""),
    "one argument": (("--log-level=info", "--watch-label-selector=team=x"), "team=x"),
    "two arguments": (("--watch-label-selector", "!team", "--log-level=info"), "!team"),
}


@pytest.mark.parametrize("name", ARGS)
async def test_what_a_controller_watches(name: str) -> None:
    """From how its Deployment starts it, in both ways of writing."""
    args, selector = ARGS[name]

    async with looking(seeing(deployments=[deployment(SOURCE), deployment(f"{SOURCE}-1", *args)])) as found:
        assert found.surroundings.facts.selectors == {SOURCE: ("", selector), KUSTOMIZE: ()}


@pytest.mark.parametrize("args", [None, "--watch-label-selector=x", 7, [None, {}]])
async def test_arguments_that_make_no_sense_select_nothing(args: object) -> None:
    """A Deployment that somebody spoilt does not end the looking."""
    spoilt = deployment(SOURCE)
    spoilt["spec"]["template"]["spec"]["containers"] = [{"args": args}, "x"]

    async with looking(seeing(deployments=[spoilt])) as found:
        assert found.surroundings.facts.selectors[SOURCE] == ("",)


GATES: dict[str, tuple[list[dict[str, Any]] | ClusterError, bool | None]] = {
    "not set": ([deployment(KUSTOMIZE)], False),
    "open": ([deployment(KUSTOMIZE, "--feature-gates=CancelHealthCheckOnNewRevision=true")], True),
    "open in one shard of two": (
        [
            deployment(KUSTOMIZE),
            deployment("kustomize-controller-1", "--feature-gates=CancelHealthCheckOnNewRevision=true"),
        ],
        False,
    ),
    "not to be seen": (FORBIDDEN, None),
}


@pytest.mark.parametrize("name", GATES)
async def test_whether_health_checks_are_cancelled(name: str) -> None:
    """The gate of kustomize-controller, as it was started."""
    deployments, expected = GATES[name]

    async with looking(seeing(deployments=deployments)) as found:
        assert found.surroundings.facts.kustomize.serving("").cancels_health_checks is expected


OVERRIDES: dict[str, tuple[list[dict[str, Any]] | ClusterError, tuple[str, ...]]] = {
    "none": ([deployment(KUSTOMIZE)], ()),
    "two": ([deployment(KUSTOMIZE, "--override-manager=b", "--override-manager", "a")], ("a", "b")),
    "another in one shard of two": (
        [deployment(KUSTOMIZE, "--override-manager=a"), deployment("kustomize-controller-1")],
        (),
    ),
    "not to be seen": (FORBIDDEN, ()),
}


@pytest.mark.parametrize("name", OVERRIDES)
async def test_whose_fields_flux_was_told_to_take_over(name: str) -> None:
    """A field of such a manager is removed by Flux, so it is drift; shards that disagree tell nothing."""
    deployments, expected = OVERRIDES[name]

    async with looking(seeing(deployments=deployments)) as found:
        assert found.surroundings.facts.kustomize.serving("").overrides == expected


HOOKS: dict[str, tuple[list[dict[str, Any]] | ClusterError, bool | None]] = {
    "there is none": ([], False),
    "it names the source": ([receiver({"name": "shop", "namespace": "apps"})], True),
    "it names another": ([receiver({"name": "other", "namespace": "apps"})], False),
    "its namespace is its own": ([receiver({"name": "shop"})], False),
    "it names another kind": ([receiver({"kind": "Bucket", "name": "shop", "namespace": "apps"})], False),
    "it is suspended": ([receiver({"name": "shop", "namespace": "apps"}, suspend=True)], False),
    "it selects by label": ([receiver({"name": "*", "namespace": "apps"})], None),
    "it selects by label what another names": (
        [receiver({"name": "*", "namespace": "apps"}), receiver({"name": "shop", "namespace": "apps"})],
        True,
    ),
    "they may not be read": (FORBIDDEN, None),
}


@pytest.mark.parametrize("name", HOOKS)
async def test_whether_flux_is_told_of_pushes(name: str) -> None:
    """By a Receiver, as far as Receivers can be seen."""
    receivers, expected = HOOKS[name]

    async with looking(seeing(receivers=receivers)) as found:
        assert found.surroundings.facts.hooked_at(SourceRef("GitRepository", "apps", "shop")) is expected


# Rights ---------------------------------------------------------------------------------------------------------------

RIGHTS: dict[str, tuple[bool | ClusterError, Settings, str]] = {
    "all are there": (True, Settings(), ""),
    "one is lacking": (
        False,
        Settings(),
        "the operator may not patch kustomizations in apps, so no rollback is possible; grant it",
    ),
    "it may not act as another": (
        Refused("create", "a review", "cannot impersonate"),
        Settings(default_service_account="flux"),
        "the operator may not act as system:serviceaccount:apps:flux: cannot impersonate",
    ),
    "nothing is to be done": (False, Settings(acts=False), ""),
}


@pytest.mark.parametrize("name", RIGHTS)
async def test_which_right_is_lacking(name: str) -> None:
    """Asked of the API server for the identity that acts, before it is needed."""
    allowed, settings, message = RIGHTS[name]
    around = Around(allowed=allowed)

    async with looking(around, settings) as found:
        assert found.surroundings.lacking(_contract()) == message


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        (
            "Correct",
            "the operator may not patch kustomizations in apps, so Flux cannot be asked to put drift right; grant it",
        ),
        ("Detect", ""),
    ],
)
async def test_a_contract_that_only_corrects_needs_the_right_to_ask(mode: str, message: str) -> None:
    """It never rolls back, so nothing is said of that; one that does neither needs nothing."""
    written = builders.contract(rollback={"mode": "Disabled"}, promises={"drift": {"mode": mode}})

    async with looking(Around(allowed=False), None, written) as found:
        assert found.surroundings.lacking(_contract(written)) == message


async def test_a_right_is_asked_for_seldom_and_a_lacking_one_often() -> None:
    """Whoever grants a right watches the status; one that is there stays for minutes."""
    async with looking() as found:
        once = found.around.asked
        await passing(60)
        assert found.around.asked == once

        found.around.allowed = False
        await eventually(lambda: found.surroundings.lacking(_contract()), "the loss", 400)
        found.around.allowed = True
        await eventually(
            lambda: not found.surroundings.lacking(_contract()), "the grant", 3 * TIMING.environment.total_seconds()
        )


def _contract(raw: dict[str, Any] | None = None) -> Contract:
    store = Store()
    store.put_contract(raw or builders.contract())
    (found,) = store.contracts.values()
    assert isinstance(found.contract, Contract)
    return found.contract


def _many(count: int, **spec: Any) -> list[dict[str, Any]]:
    """Contracts, each in a namespace of its own."""
    made = [builders.contract(**spec) for _ in range(count)]
    return [
        raw | {"metadata": raw["metadata"] | {"namespace": f"n{n}", "uid": f"u{n}"}} for n, raw in enumerate(made)
    ]


async def test_the_operators_own_rights_are_asked_for_once() -> None:
    """As it is deployed they are the same in all namespaces."""
    async with looking(Around(), None, *_many(300)) as found:
        assert found.around.asked == 3
        assert {namespace for _, _, namespace in found.around.questions} == {""}


async def test_rights_of_many_accounts_keep_nobody_waiting() -> None:
    """They are asked for side by side, and one that cannot be told is no matter of the others."""
    contracts = _many(300, serviceAccountName="flux")
    around = Around(takes=0.02, unanswered="system:serviceaccount:n7:flux")
    around.allowed = False
    began = now()

    async with looking(around, None, *contracts) as found:
        took = now() - began
        lacking = [found.surroundings.lacking(_contract(raw)) for raw in contracts]

    assert took < timedelta(seconds=3)
    assert [number for number, right in enumerate(lacking) if not right] == [7]


async def test_rights_on_sources_are_those_where_the_source_is() -> None:
    """The pinned copy is made beside it."""
    elsewhere = builders.kustomization(sourceRef={"kind": "GitRepository", "name": "shop", "namespace": "infra"})

    async with looking(Around(), None, elsewhere, builders.contract(serviceAccountName="flux")) as found:
        assert found.around.questions == {
            ("patch", "kustomizations", "apps"),
            ("create", "gitrepositories", "infra"),
            ("delete", "gitrepositories", "infra"),
        }


async def test_only_a_change_is_told() -> None:
    """Looking again and finding the same costs no pass."""
    async with looking() as found:
        told = len(found.told)
        await passing(600)
        assert len(found.told) == told

        found.around.exists["deployments"] = []
        await eventually(lambda: len(found.told) > told, "the news", timedelta(minutes=1).total_seconds())
        assert found.told[-1] == {("apps", "shop")}


async def test_when_a_controller_did_not_work_is_remembered() -> None:
    """What was late then has an excuse, also once the controller is back; the next outage takes its place."""
    async with looking() as found:
        works = found.around.exists["deployments"]
        assert found.store.outages == {}

        found.around.exists["deployments"] = [deployment(SOURCE), deployment(KUSTOMIZE, available=0)]
        await passing(60)
        assert found.store.outages.keys() == {KUSTOMIZE}
        assert found.store.outages[KUSTOMIZE][-1].until is None

        found.around.exists["deployments"] = works
        await passing(60)
        (first,) = found.store.outages[KUSTOMIZE]
        assert first.until
        assert timedelta(seconds=30) <= first.until - first.since <= timedelta(seconds=75)

        found.around.exists["deployments"] = FORBIDDEN
        await passing(60)
        assert found.store.outages[KUSTOMIZE] == (first,), "what cannot be looked at is no outage"
