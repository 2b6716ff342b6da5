"""What the API server's answers to a dry-run mean for a manifest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciliation_contract.adapters.dry_run.apply import DryRun
from reconciliation_contract.adapters.dry_run.outcome import Applier, Outcome
from reconciliation_contract.adapters.kubernetes.client import Cluster
from reconciliation_contract.core.facts.dry_run import Forthcoming
from reconciliation_contract.core.values.object_key import Manifest
from reconciliation_contract.errors import Powerless
from tests.adapters.scripted import Asked, scripted

Answer = Callable[[Asked], tuple[int, Any]]

USER = "system:serviceaccount:apps:deployer"
APPLIER = Applier(USER)
DISCOVERY: dict[str, Any] = {
    "resources": [
        {"name": "configmaps", "kind": "ConfigMap", "namespaced": True},
        {"name": "secrets", "kind": "Secret", "namespaced": True},
        {"name": "namespaces", "kind": "Namespace", "namespaced": False},
        {"name": "namespaces/status", "kind": "Namespace", "namespaced": False},
    ]
}
UNTYPED = "failed to create typed patch object (apps/a; v1, Kind=ConfigMap)"
ESCALATES = (
    f'roles "a" is forbidden: user "{USER}" (groups=[]) is attempting to grant RBAC permissions not currently held'
)
RIGHT = f'configmaps "a" is forbidden: User "{USER}" cannot patch resource "configmaps" in API group ""'
IMPERSONATE = f'users "{USER}" is forbidden: User "me" cannot impersonate resource "serviceaccounts"'


def manifest(kind: str = "ConfigMap", namespace: str = "apps", **body: Any) -> Manifest:
    meta = {"name": "a", "namespace": namespace, **body.pop("metadata", {})}
    return Manifest("v1", kind, namespace, "a", {"apiVersion": "v1", "kind": kind, "metadata": meta, **body})


def annotated(name: str, value: str) -> dict[str, Any]:
    return {"annotations": {f"kustomize.toolkit.fluxcd.io/{name}": value}}


def stored(**metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "a", "resourceVersion": "7", **metadata}}


def status(code: int, message: str, reason: str = "") -> tuple[int, Any]:
    return code, {"kind": "Status", "message": message, "reason": reason}


def answering(answer: tuple[int, Any], live: tuple[int, Any] = (404, {})) -> Answer:
    def answered(asked: Asked) -> tuple[int, Any]:
        if asked.path in ("/api/v1", "/apis/example.org/v1"):
            return (200, DISCOVERY) if asked.path == "/api/v1" else (404, {})
        return answer if asked.method == "PATCH" else live

    return answered


def dry_run(cluster: Cluster) -> DryRun:
    return DryRun(cluster, lambda: datetime.now(UTC))


async def tried(answer: Answer, wanted: Manifest | None = None, applier: Applier = APPLIER) -> Outcome:
    async with scripted(answer) as (cluster, _):
        return await dry_run(cluster).attempt(wanted or manifest(), applier)


async def test_it_asks_what_flux_asks() -> None:
    """A forced apply under Flux's field manager, as Flux's account, and a dry-run."""
    async with scripted(answering((200, stored()))) as (cluster, script):
        outcome = await dry_run(cluster).attempt(manifest(data={"a": "b"}), APPLIER)

    asked = script.asked[-1]
    assert (asked.method, asked.path) == ("PATCH", "/api/v1/namespaces/apps/configmaps/a")
    assert dict(asked.query) == {"dryRun": "All", "force": "true", "fieldManager": "kustomize-controller"}
    assert asked.headers["Content-Type"] == "application/apply-patch+yaml"
    assert asked.headers["Impersonate-User"] == USER
    assert asked.body["data"] == {"a": "b"}
    assert outcome.exists
    assert outcome.took > timedelta(0)


async def test_an_object_of_the_whole_cluster_has_no_namespace() -> None:
    """Even if a tool in between gave it one."""
    async with scripted(answering((200, stored()))) as (cluster, script):
        await dry_run(cluster).attempt(manifest("Namespace", "apps"), APPLIER)

    assert script.asked[-1].path == "/api/v1/namespaces/a"
    assert "namespace" not in script.asked[-1].body["metadata"]


async def test_kinds_are_asked_for_once() -> None:
    """However many manifests there are."""
    async with scripted(answering((200, stored()))) as (cluster, script):
        trial = dry_run(cluster)
        for _ in range(3):
            await trial.attempt(manifest(), APPLIER)

    assert [asked.path for asked in script.asked].count("/api/v1") == 1


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (status(422, 'ConfigMap "a" is invalid: data: bad', "Invalid"), "Invalid: data: bad"),
        (status(403, "exceeded quota: pods", "Forbidden"), "Forbidden: exceeded quota: pods"),
        (status(403, RIGHT, "Forbidden"), f"Forbidden: {RIGHT}"),
        (status(404, 'namespaces "apps" not found', "NotFound"), "namespace apps does not exist"),
        (status(500, f"{UNTYPED}: .data.a: expected string, got 1"), ".data.a: expected string"),
        (status(422, "data: field is immutable", "Invalid"), "Invalid: data: field is immutable"),
    ],
)
async def test_what_is_not_accepted_is_refused(answer: tuple[int, Any], told: str) -> None:
    """With the server's own words."""
    outcome = await tried(answering(answer, live=(200, stored())))

    assert outcome.refused.startswith(told)


@pytest.mark.parametrize(
    ("answer", "applier", "told"),
    [
        (
            status(404, 'namespaces "apps" not found'),
            Applier(USER, coming=Forthcoming(frozenset({"apps"}))),
            "not checkable before its namespace exists",
        ),
        (status(403, RIGHT), Applier(USER, named=False), "may not patch configmaps; if that is Flux's account"),
        (status(403, RIGHT), Applier("", named=False), "this account may not patch configmaps; which says nothing"),
        (status(403, RIGHT), Applier(USER, coming=Forthcoming(roles=True)), "the revision's own ClusterRoles"),
        (
            status(403, ESCALATES),
            Applier(USER, coming=Forthcoming(roles=True)),
            "the revision's own ClusterRoles may",
        ),
        (
            status(403, 'pods "a" is forbidden: no PriorityClass with name high was found'),
            Applier(USER, coming=Forthcoming(classes=frozenset({"high"}))),
            "not checkable before high exists",
        ),
        (status(404, "the server could not find the requested resource"), APPLIER, "could not find"),
        (status(409, "the object is being deleted", "Conflict"), APPLIER, "Conflict: "),
        (status(500, "failed calling webhook", "InternalError"), APPLIER, "InternalError: failed calling webhook"),
    ],
)
async def test_what_cannot_be_told_is_not_refused(answer: tuple[int, Any], applier: Applier, told: str) -> None:
    """What the revision itself makes first, rights that Flux may have, and outages."""
    outcome = await tried(answering(answer), applier=applier)

    assert outcome.refused == ""
    assert told in outcome.unchecked
    assert outcome.unanswered == (answer[0] == 500)


async def test_an_unknown_kind_is_refused_unless_the_revision_brings_it() -> None:
    """A CRD of the same revision comes first."""
    widget = Manifest("example.org/v1", "Widget", "apps", "a", {})
    coming = Forthcoming(kinds={("example.org", "Widget"): manifest("CustomResourceDefinition")})

    refused = await tried(answering((200, {})), widget)
    unchecked = await tried(answering((200, {})), widget, Applier(USER, coming=coming))

    assert "knows no Widget in example.org/v1" in refused.refused
    assert "before its CustomResourceDefinition exists" in unchecked.unchecked


async def test_fields_that_flux_drops_are_no_refusal() -> None:
    """They are left out, one after the other, and named; of what Flux has no types for they are refused."""

    def strict(asked: Asked) -> tuple[int, Any]:
        unknown = [name for name in ("dta", "moar") if name in (asked.body or {})]
        answer = (
            status(500, f"{UNTYPED}: .{unknown[0]}: field not declared in schema") if unknown else (200, stored())
        )
        return answering(answer, live=(200, stored()))(asked)

    definition = Manifest("a.example/v1", "ConfigMap", "apps", "a", {"metadata": {"name": "a"}, "dta": 1})

    def elsewhere(asked: Asked) -> tuple[int, Any]:
        return (200, DISCOVERY) if asked.path == "/apis/a.example/v1" else strict(asked)

    dropped = await tried(strict, manifest(data={"a": "b"}, dta=1, moar=2))
    refused = await tried(elsewhere, definition)

    assert (dropped.refused, dropped.exists, dropped.dropped) == ("", True, ("/dta", "/moar"))
    assert refused.refused.endswith(".dta: field not declared in schema")


@pytest.mark.parametrize(("generation", "told"), [(2, "before its changed CustomResourceDefinition"), (1, "")])
async def test_what_a_changed_definition_may_allow_is_not_refused(generation: int, told: str) -> None:
    """Flux applies it first. One that stays as it is allows nothing new."""
    definition = manifest("Namespace")

    def answered(asked: Asked) -> tuple[int, Any]:
        if asked.path.startswith("/api/v1/namespaces/a") and "configmaps" not in asked.path:
            return 200, stored(generation=generation if asked.method == "PATCH" else 1)
        return answering(status(422, "spec.size: Unsupported value", "Invalid"), (200, stored()))(asked)

    outcome = await tried(answered, applier=Applier(USER, coming=Forthcoming(kinds={("", "ConfigMap"): definition})))

    assert bool(outcome.refused) is not bool(told)
    assert told in outcome.unchecked


async def test_an_object_without_a_namespace_is_refused() -> None:
    """Flux does not guess one either."""
    outcome = await tried(answering((200, {})), manifest(namespace=""))

    assert "names no namespace" in outcome.refused


async def test_one_without_a_namespace_can_be_given_one() -> None:
    """Before a merge there may be no Kustomization that says where it goes; its name stays as it is."""
    outcome = await tried(answering((200, stored())), manifest(namespace=""), Applier("", namespace="apps"))

    assert outcome.exists


async def test_a_right_of_our_own_that_is_lacking_is_our_problem() -> None:
    """It says nothing about the manifest."""
    with pytest.raises(Powerless, match=r"cannot act as .*deployer.*impersonate on serviceaccounts deployer in apps"):
        await tried(answering(status(403, IMPERSONATE)))


@pytest.mark.parametrize(
    ("wanted", "answer", "live"),
    [
        (manifest(metadata=annotated("reconcile", "disabled")), (200, stored()), (404, {})),
        (manifest(), (200, stored(**annotated("ssa", "Ignore"))), (404, {})),
        (manifest(metadata=annotated("ssa", "IfNotPresent")), (200, stored()), (404, {})),
        (manifest(), status(422, "no"), (200, stored(**annotated("reconcile", "disabled")))),
    ],
)
async def test_what_flux_leaves_alone_is_skipped(wanted: Manifest, answer: Any, live: Any) -> None:
    """By what the manifest says, or the live object."""
    outcome = await tried(answering(answer, live), wanted)

    assert outcome.skipped
    assert outcome.refused == ""


async def test_what_flux_makes_anew_is_not_refused() -> None:
    """Only where it cannot be changed; what is invalid stays so."""
    immutable, invalid = status(422, "spec: field is immutable"), status(422, "spec: Required value")
    live = (200, stored())
    forced = Applier(USER, force=True)

    assert (await tried(answering(immutable, live), applier=forced)).refused == ""
    assert (await tried(answering(immutable, live), manifest(metadata=annotated("force", "enabled")))).refused == ""
    assert (await tried(answering(immutable, live))).refused
    assert (await tried(answering(invalid, live), applier=forced)).refused


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (
            'admission webhook denied it: .stringData.password: expected string, got &value{Value:"hunter2"}',
            "BadRequest: .stringData.password: expected string",
        ),
        (
            'Secret "a" is invalid: data[.dockerconfigjson]: Invalid value: "hunter2"',
            "BadRequest: data[.dockerconfigjson]",
        ),
        (
            "admission webhook denied the request: hunter2 is weak",
            "BadRequest: HTTP 400, not shown as it holds a Secret's values",
        ),
    ],
)
async def test_of_a_secret_only_places_are_shown(message: str, shown: str) -> None:
    """Whatever the API server or a webhook quotes of its values."""
    outcome = await tried(answering(status(400, message, "BadRequest")), manifest("Secret"))

    assert outcome.refused == shown


async def test_a_webhook_that_hangs_is_given_up() -> None:
    """After the time for one manifest, and that is told."""

    async def slow() -> None:
        async with scripted(answering((200, stored()))) as (cluster, script):
            trial = dry_run(cluster)
            await trial.attempt(manifest(), APPLIER)
            script.pause = 30.0
            outcome = await trial.attempt(manifest(), Applier(USER, limit=timedelta(milliseconds=50)))
            assert outcome.late
            assert outcome.took >= timedelta(milliseconds=50)

    await slow()


async def test_it_waits_where_the_server_asks_for_it() -> None:
    """A server that is busy with others says when to come again."""
    answers = [(429, {"message": "too many"}), (200, stored())]

    def busy(asked: Asked) -> tuple[int, Any]:
        return answering(answers.pop(0))(asked) if asked.method == "PATCH" else (200, DISCOVERY)

    async with scripted(busy) as (cluster, script):
        script.headers = {"Retry-After": "1"}
        outcome = await dry_run(cluster).attempt(manifest(), APPLIER)

    assert outcome.exists
    assert answers == []
