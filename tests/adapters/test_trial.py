"""From the Kustomization and the artifact to checks and findings, with a builder that is told what to build."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciliation_contract.adapters.manifests.build import Artifact, Built, LeftOut
from reconciliation_contract.adapters.manifests.error import BuildFailed, BuildUnknown
from reconciliation_contract.api.flux.controller import Controllers, Started
from reconciliation_contract.core.facts.comparison import Drift, Kind
from reconciliation_contract.core.facts.dry_run import Validation
from reconciliation_contract.core.facts.inventory import Inventory
from reconciliation_contract.core.facts.metadata_scan import Census
from reconciliation_contract.core.facts.observation import Since, SourceRef
from reconciliation_contract.core.spec.ignore_rules import IgnoreRule
from reconciliation_contract.core.values.object_key import Manifest
from reconciliation_contract.errors import Unavailable
from reconciliation_contract.observers.manifest_checks import Moved, Trial
from tests.adapters.scripted import Asked, scripted
from tests.support.builders import at, revision, sha
from tests.support.builders_core import standing

SOURCE = SourceRef("GitRepository", "apps", "shop")
SECOND = timedelta(seconds=1)
FLUX = "system:serviceaccount:flux-system:kustomize-controller"
OWNER = {"kustomize.toolkit.fluxcd.io/name": "shop"}


def manifest(name: str, **body: Any) -> Manifest:
    meta = {"name": name, "namespace": "apps", "labels": dict(OWNER)}
    raw = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, **body}
    return Manifest("v1", "ConfigMap", "apps", name, raw, f"deploy/{name}.yaml")


def stored(name: str, managed: Any = (), **body: Any) -> dict[str, Any]:
    raw = dict(manifest(name, **body).body)
    return raw | {"metadata": {**raw["metadata"], "resourceVersion": "1", "managedFields": list(managed)}}


def encrypted(name: str) -> LeftOut:
    found = Manifest("v1", "Secret", "apps", name, {}, f"deploy/{name}.yaml")
    return LeftOut(found, "Encrypted", "SOPS; Flux decrypts it")


class World:
    """An API server with a Kustomization, a source and ConfigMaps, and what the builder builds."""

    def __init__(self, *manifests: Manifest, live: dict[str, Any] | None = None, **spec: Any) -> None:
        self.built: Built | Exception = Built(manifests, ())
        self.live = live if live is not None else {each.name: stored(each.name, **_data(each)) for each in manifests}
        self.refused: dict[str, tuple[int, Any]] = {}
        self.strays: list[dict[str, Any]] = []
        """What else carries the labels."""
        self.listed: list[Asked] = []
        made = Inventory.of((f"apps_{each.name}__ConfigMap", "v1") for each in manifests)
        self.found = standing(
            "A", namespace="apps", name="shop", prunes=True, inventory=Since(made, at(0), exact=True)
        )
        self.spec = {"sourceRef": {"kind": "GitRepository", "name": "shop"}, **spec}
        self.users: set[str] = set()
        self.started = Started("", True)
        self.ready: dict[str, Any] = {"status": "True", "observedGeneration": 1}
        self.builds = 0
        self.paths: list[str] = []
        self.strict: bool | None = None
        self.moves = False
        """The source has another revision as soon as objects are looked at."""

    def flux(self) -> Controllers:
        """The one kustomize-controller, which looks at everything."""
        return Controllers((("", self.started),))

    async def build(
        self, artifact: Artifact, kustomization: Any, user: str = "", *, strict: bool | None = None
    ) -> Built:
        self.strict = strict
        self.builds += 1
        assert (artifact.url, kustomization["spec"], bool(user)) == ("http://source/a.tar.gz", self.spec, True)
        if isinstance(self.built, Exception):
            raise self.built
        return self.built

    def answer(self, asked: Asked) -> tuple[int, Any]:
        name = asked.path.rpartition("/")[2]
        self.paths.append(asked.path)
        if "toolkit.fluxcd.io" in asked.path:
            at_hand = "B" if self.moves and self.users else "A"
            artifact = {"revision": revision(at_hand), "url": "http://source/a.tar.gz", "digest": "sha256:0"}
            meta = {"name": "shop", "namespace": "apps", "generation": 1}
            status = {"artifact": artifact, "conditions": [{"type": "Ready", **self.ready}]}
            return 200, {"metadata": meta, "spec": self.spec, "status": status}
        if asked.path == "/api/v1":
            names = {"configmaps": "ConfigMap", "secrets": "Secret"}
            return 200, {"resources": [{"name": n, "kind": k, "namespaced": True} for n, k in names.items()]}
        if name == "configmaps":
            self.listed.append(asked)
            return self.refused.get(name, (200, {"items": [*self.live.values(), *self.strays]}))
        self.users.add(asked.headers.get("Impersonate-User", ""))
        if asked.method == "PATCH":
            there = self.live.get(name, {"metadata": {}})
            return self.refused.get(name, (200, {**there, **asked.body, "metadata": there["metadata"]}))
        return (200, self.live[name]) if name in self.live else (404, {})

    async def compare(self, *rules: IgnoreRule, commit: str = "A") -> Drift:
        async with scripted(self.answer) as (cluster, _):
            trial = Trial(
                cluster, self, lambda: datetime.now(UTC), ("flux-system", "kustomize-controller"), self.flux
            )
            return (await trial.compare(self.found, sha(commit), rules))[0]

    async def censuses(self, *deeds: Callable[[], None]) -> list[Census]:
        """The one that comes with a comparison, and one more after each deed."""
        async with scripted(self.answer) as (cluster, _):
            trial = Trial(
                cluster, self, lambda: datetime.now(UTC), ("flux-system", "kustomize-controller"), self.flux
            )
            _, first = await trial.compare(self.found, sha("A"), ())
            assert first is not None
            counted = [first]
            for deed in deeds:
                deed()
                counted.append(await trial.count(self.found, first.user, first.places))
            return counted

    async def validate(self, commit: str = "A", source: SourceRef = SOURCE) -> Validation:
        async with scripted(self.answer) as (cluster, _):
            flux = ("flux-system", "kustomize-controller")
            trial = Trial(cluster, self, lambda: at(3), flux, self.flux)
            return await trial.validate("apps", "shop", source, sha(commit), 30 * SECOND)


def _data(wanted: Manifest) -> dict[str, Any]:
    return {"data": wanted.body["data"]} if "data" in wanted.body else {}


async def test_all_manifests_are_tried_as_fluxs_account() -> None:
    """What is left out of the build counts as unchecked."""
    world = World(manifest("a"), manifest("b"))
    secret = encrypted("s")
    assert isinstance(world.built, Built)
    world.built = Built(world.built.objects, (secret,))
    world.refused["b"] = (422, {"message": "no", "reason": "Invalid"})

    found = await world.validate()

    assert (found.hash, found.total, found.refusals, found.unchecked) == (sha("A"), 3, 1, 1)
    assert [(str(each.key), each.file, each.refused) for each in found.refused] == [
        ("ConfigMap/apps/b", "deploy/b.yaml", "Invalid: no")
    ]
    assert found.why_unchecked == "Secret/apps/s: SOPS; Flux decrypts it"
    assert found.slowest is not None
    assert world.users == {FLUX}


async def test_an_account_that_the_kustomization_names_is_used() -> None:
    """As Flux does."""
    world = World(manifest("a"), serviceAccountName="deployer")

    await world.validate()

    assert world.users == {"system:serviceaccount:apps:deployer"}


@pytest.mark.parametrize(
    ("spec", "user"),
    [({}, "system:serviceaccount:apps:tenant"), ({"serviceAccountName": "own"}, "system:serviceaccount:apps:own")],
)
async def test_flux_may_have_been_started_otherwise(spec: dict[str, str], user: str) -> None:
    """With a default account, whose rights count as a named one's, and without strict substitution."""
    world = World(manifest("a"), **spec)
    world.started = Started("tenant", True, strict=False)
    world.refused["a"] = (
        403,
        {"message": f'User "{user}" cannot patch resource "configmaps"', "reason": "Forbidden"},
    )

    found = await world.validate()

    assert (world.users, world.strict, found.refusals) == ({user}, False, 1)


@pytest.mark.parametrize(
    ("error", "invalid", "problem"),
    [(BuildFailed("a.yaml: bad"), "a.yaml: bad", ""), (BuildUnknown("X", "no kustomize"), "", "no kustomize")],
)
async def test_what_cannot_be_built_is_told(error: Exception, invalid: str, problem: str) -> None:
    """The revision's fault, or ours."""
    world = World()
    world.built = error

    validation, drift = await world.validate(), await world.compare()

    assert (validation.invalid, validation.problem) == (invalid, problem)
    assert drift.problem == invalid or problem


async def test_another_cluster_is_not_looked_at() -> None:
    """Nobody is to be asked there."""
    world = World(manifest("a"), kubeConfig={"secretRef": {"name": "x"}})

    assert "spec.kubeConfig" in (await world.validate()).problem
    assert "spec.kubeConfig" in (await world.compare()).problem


async def test_a_source_at_another_revision_is_not_built() -> None:
    """It has moved on by now."""
    with pytest.raises(Moved):
        await World(manifest("a")).validate("B")


async def test_what_is_as_git_wants_it_is_in_sync() -> None:
    """All of it was compared."""
    assert await World(manifest("a", data={"x": "1"}), manifest("b")).compare() == Drift(sha("A"), 2)


async def test_what_differs_is_found() -> None:
    """Changed, with field and author; missing; added by a manager that Flux takes over."""
    owned = {"f:data": {"f:x": {}, "f:y": {}}}
    edit = {"manager": "kubectl-edit", "operation": "Update", "time": "2026-03-01T12:00:40Z", "fieldsV1": owned}
    live = {"a": stored("a", [edit], data={"x": "2", "y": "3"})}
    world = World(manifest("a", data={"x": "1"}), manifest("b"), live=live)

    found = await world.compare()

    missing, changed = found.findings
    assert (missing.object, missing.kind) == ("ConfigMap/apps/b", Kind.MISSING)
    assert (changed.kind, changed.by, changed.at) == (Kind.CHANGED, "kubectl-edit", at(40))
    assert {(each.path, each.want, each.have) for each in changed.fields} == {
        ("/data/x", "1", "2"),
        ("/data/y", "absent", "3"),
    }


@pytest.mark.parametrize(
    ("rules", "ignore", "annotations"),
    [
        ([IgnoreRule("ConfigMap", "a", ("/data/x",))], [], {}),
        ([IgnoreRule("ConfigMap", "a")], [], {}),
        ([], [{"paths": ["/data/x"], "target": {"kind": "ConfigMap"}}], {}),
        ([], [], {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}),
        ([], [], {"kustomize.toolkit.fluxcd.io/ssa": "Ignore"}),
    ],
)
async def test_what_is_meant_to_differ_is_no_drift(rules: Any, ignore: Any, annotations: dict[str, str]) -> None:
    """By rules of the contract, of the Kustomization, and by annotations of the live object."""
    live = stored("a", data={"x": "2"})
    live["metadata"]["annotations"] = annotations
    world = World(manifest("a", data={"x": "1"}), live={"a": live}, ignore=ignore)

    assert (await world.compare(*rules)).findings == ()
    assert (await World(manifest("a", data={"x": "1"}), live={"a": stored("a", data={"x": "2"})}).compare()).findings


async def test_what_cannot_be_compared_is_not_in_sync() -> None:
    """The dry-run of an object that is there is refused."""
    world = World(manifest("a"))
    world.refused["a"] = (422, {"message": "no", "reason": "Invalid"})

    found = await world.compare()

    assert (found.drifted, found.problem) == (0, "ConfigMap/apps/a: Invalid: no")


async def test_an_outage_in_between_is_no_finding() -> None:
    """It is raised, to be tried again."""
    world = World(*(manifest(name) for name in "abc"))
    world.refused |= dict.fromkeys("abc", (503, {"message": "no"}))

    with pytest.raises(Unavailable):
        await world.compare()


async def test_an_object_that_is_not_answered_for_hides_no_other() -> None:
    """A webhook that fails is named; what differs beside it is found all the same."""
    silent = (500, {"message": "failed calling webhook", "reason": "InternalError"})
    alone, drifted = World(manifest("a"), manifest("b")), World(manifest("a"), manifest("b"), live={"a": stored("a")})
    alone.refused["a"] = drifted.refused["a"] = silent

    calm, found = await alone.compare(), await drifted.compare()

    assert calm.compared == 1
    assert calm.problem.startswith("ConfigMap/apps/a: InternalError: failed calling webhook")
    assert [(each.object, each.kind) for each in found.findings] == [("ConfigMap/apps/b", Kind.MISSING)]


async def test_what_is_encrypted_is_not_called_in_sync() -> None:
    """Whether it is there can be told, and that no more is known of it."""
    world = World(manifest("a"), live={"a": stored("a"), "s": {"metadata": {}}})
    world.built = Built((manifest("a"),), (encrypted("s"),))

    there = await world.compare()
    del world.live["s"]
    gone = await world.compare()

    assert (there.compared, there.drifted) == (1, 0)
    assert there.uncompared == "1 not compared: Secret/apps/s: SOPS; Flux decrypts it"
    assert [(each.object, each.kind) for each in gone.findings] == [("Secret/apps/s", Kind.MISSING)]


async def test_a_comparison_that_flux_overtook_is_thrown_away() -> None:
    """Half of another revision would look like drift."""
    world = World(manifest("a"), live={})
    world.moves = True

    with pytest.raises(Moved):
        await world.compare()


async def test_what_flux_makes_anew_differs() -> None:
    """It cannot be said in what, but it is not as Git wants it."""
    world = World(manifest("a"), force=True)
    world.refused["a"] = (422, {"message": "spec: field is immutable", "reason": "Invalid"})

    found = await world.compare()

    assert [(each.object, each.kind) for each in found.findings] == [("ConfigMap/apps/a", Kind.CHANGED)]


# Census ----------------------------------------------------------------------------------------------------------


def stray(**metadata: Any) -> dict[str, Any]:
    """An object that carries the labels and is in no inventory; as a list has it, without its kind."""
    return {"metadata": {"name": "old", "namespace": "apps", "creationTimestamp": "2026-03-01T12:00:00Z", **metadata}}


async def test_an_orphan_is_drift() -> None:
    """It is found by the labels, as Flux's account, and by metadata only."""
    world = World(manifest("a"))
    world.strays = [stray()]

    found = await world.compare()

    assert [(each.object, each.kind) for each in found.findings] == [("ConfigMap/apps/old", Kind.ORPHANED)]
    (asked,) = world.listed
    assert (asked.path, asked.headers["Impersonate-User"]) == ("/api/v1/namespaces/apps/configmaps", FLUX)
    assert "as=PartialObjectMetadataList" in asked.headers["Accept"]
    assert asked.query["labelSelector"] == (
        "kustomize.toolkit.fluxcd.io/name=shop,kustomize.toolkit.fluxcd.io/namespace=apps"
    )


@pytest.mark.parametrize(
    ("metadata", "prunes", "rules"),
    [
        ({"deletionTimestamp": "2026-03-01T12:00:00Z"}, True, ()),
        ({"ownerReferences": [{"kind": "Widget", "controller": True}]}, True, ()),
        ({"annotations": {"kustomize.toolkit.fluxcd.io/prune": "Disabled"}}, True, ()),
        ({"labels": {"kustomize.toolkit.fluxcd.io/prune": "disabled"}}, True, ()),
        ({"creationTimestamp": "2126-03-01T12:00:00Z"}, True, ()),
        ({}, False, ()),
        ({}, True, (IgnoreRule("ConfigMap", "o*"),)),
    ],
)
async def test_what_is_meant_to_stay_is_no_orphan(metadata: dict[str, Any], prunes: bool, rules: Any) -> None:
    """Going, another object's, protected, new, left by a Kustomization that does not prune, or ignored."""
    world = World(manifest("a"))
    world.strays, world.found = [stray(**metadata)], replace(world.found, prunes=prunes)

    assert (await world.compare(*rules)).findings == ()


async def test_who_may_not_list_is_told_and_not_asked_again() -> None:
    """The comparison is made all the same; the next one tries again."""
    world = World(manifest("a"))
    world.refused["configmaps"] = (403, {"message": "no", "reason": "Forbidden"})

    found = await world.compare()
    first, second = await world.censuses(lambda: None)

    assert (found.drifted, found.problem) == (0, "")
    assert found.unlisted == f"{FLUX} may not list ConfigMap objects in apps"
    assert (first.places, second.mark) == ((), first.mark)
    assert len(world.listed) == 2


async def test_an_account_that_the_operator_may_not_be_is_no_right_to_list() -> None:
    """What is lacking is the operator's, so that is what the comparison says."""
    world = World(manifest("a"))
    said = 'serviceaccounts "kustomize-controller" is forbidden: User "me" cannot impersonate resource'
    world.refused["configmaps"] = (403, {"message": f'{said} "serviceaccounts"', "reason": "Forbidden"})

    found = await world.compare()

    assert "grant the operator impersonate on serviceaccounts kustomize-controller in flux-system" in found.problem
    assert found.unlisted == ""


async def test_a_census_shows_what_others_write() -> None:
    """By kubectl, also by scaling; not what Flux applies, nor what controllers write into a status."""
    world = World(manifest("a"), manifest("b"))

    def write(manager: str, subresource: str = "") -> Callable[[], None]:
        entry = {
            "manager": manager,
            "operation": "Update",
            "time": "2026-03-01T12:00:40Z",
            "subresource": subresource,
        }
        return lambda: world.live["a"]["metadata"]["managedFields"].append(entry)

    def delete() -> None:
        del world.live["b"]

    deeds = (
        write("kustomize-controller"),
        write("controller", "status"),
        write("kubectl-edit"),
        write("kubectl", "scale"),
        delete,
    )
    first, applied, reported, edited, scaled, deleted = [each.mark for each in await world.censuses(*deeds)]

    assert first == applied == reported
    assert len({reported, edited, scaled, deleted}) == 4


@pytest.mark.parametrize("account", ["", "own"])
async def test_as_whom_flux_applies_is_known_or_nothing_is_tried(account: str) -> None:
    """Where the flags cannot be read, only a Kustomization that names its account is tried and compared."""
    world = World(manifest("a"), **({"serviceAccountName": account} if account else {}))
    world.started = Started()

    found, drift = await world.validate(), await world.compare()

    assert bool(world.users) is bool(account)
    assert ("--default-service-account" in found.problem) is not bool(account)
    assert ("--default-service-account" in drift.problem) is not bool(account)
    assert found.tells_nothing is not bool(account)


CROSSING: dict[str, tuple[bool | None, dict[str, Any], bool]] = {
    "Flux may, and has": (True, {"status": "True", "observedGeneration": 1}, True),
    "Flux may": (True, {"status": "Unknown", "observedGeneration": 1}, True),
    "nobody knows, and it has": (None, {"status": "True", "observedGeneration": 1}, True),
    "nobody knows, and it has failed at something later": (
        None,
        {"status": "False", "reason": "BuildFailed", "observedGeneration": 1},
        True,
    ),
    "nobody knows, and it is at work": (None, {"status": "Unknown", "observedGeneration": 1}, False),
    "nobody knows, and it was about another spec": (None, {"status": "True", "observedGeneration": 0}, False),
    "Flux may not": (False, {"status": "True", "observedGeneration": 1}, False),
    "Flux says no": (True, {"status": "False", "reason": "AccessDenied", "observedGeneration": 1}, False),
}


@pytest.mark.parametrize("name", CROSSING)
async def test_nothing_of_another_namespaces_source_is_read_unless_flux_may(name: str) -> None:
    """Neither the source nor its artifact, whatever a Kustomization names."""
    crosses, ready, allowed = CROSSING[name]
    world = World(manifest("a"), sourceRef={"kind": "GitRepository", "name": "shop", "namespace": "infra"})
    world.started, world.ready = Started("", crosses), ready

    found = await world.validate("A", SourceRef("GitRepository", "infra", "shop"))

    assert bool(world.builds) is allowed
    assert any("/namespaces/infra/" in path for path in world.paths) is allowed
    assert bool(found.problem) is not allowed
