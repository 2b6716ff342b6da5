"""Artifacts become objects: fetched, checked, built in a process of its own, remembered."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciliation_contract.adapters.kubernetes.resource import Resource
from reconciliation_contract.adapters.manifests.artifact import download
from reconciliation_contract.adapters.manifests.build import Artifact, Built
from reconciliation_contract.adapters.manifests.builder import Builder, Limits
from reconciliation_contract.adapters.manifests.error import BuildError, BuildFailed, BuildUnknown
from reconciliation_contract.core.values import reasons
from reconciliation_contract.errors import Missing, Refused, Unavailable
from tests.adapters.test_access import certificate
from tests.support.artifacts import program, serving, tar_of

pytestmark = pytest.mark.slow

Raw = Mapping[str, Any]


def kustomization(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "shop", "namespace": "apps"}, "spec": spec}


def manifest(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **more}


def writes(*objects: Raw) -> str:
    """What kustomize writes, as a file of the tree that a stand-in prints."""
    return "---\n".join(json.dumps(item) + "\n" for item in objects)


class Reading:
    """A cluster that holds these ConfigMaps and Secrets, by plural and name; an error is raised."""

    def __init__(self, **found: Raw | Exception) -> None:
        self.found = found

    async def get(self, resource: Resource, namespace: str, name: str, *, user: str = "") -> Raw:
        assert (namespace, user) == ("apps", "")
        answer = self.found.get(f"{resource.plural}_{name}", Missing("read", name))
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def stand_in(tmp_path: Path) -> str:
    """A kustomize that prints the file ``output`` of the directory and counts its runs."""
    return program(tmp_path, f'echo run >>{tmp_path}/runs; cat "$3/output"')


def is_running(pid: Path) -> bool:
    """Whether a process is there, by a file that names it, and not only its remains."""
    process = Path("/proc", pid.read_text().strip(), "stat")
    return process.exists() and process.read_text().rpartition(")")[2].split()[0] != "Z"


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def runs(tmp_path: Path) -> int:
    return len((tmp_path / "runs").read_text().splitlines()) if (tmp_path / "runs").exists() else 0


async def build(
    builder: Builder, *objects: Raw, spec: Raw | None = None, files: Mapping[str, str] | None = None
) -> Built:
    async with serving(tar_of({"output": writes(*objects), **(files or {})})) as server:
        return await builder.build(server.artifact, kustomization(**(spec or {})))


# Objects --------------------------------------------------------------------------------------------------------


async def test_objects_come_in_the_order_in_which_flux_applies_them(stand_in: str) -> None:
    """Definitions, classes, then by kind, namespace and name; webhooks last."""
    crd = manifest("CustomResourceDefinition", "things") | {"apiVersion": "apiextensions.k8s.io/v1"}
    hook = manifest("ValidatingWebhookConfiguration", "hook") | {"apiVersion": "admissionregistration.k8s.io/v1"}
    role = manifest("ClusterRole", "role") | {"apiVersion": "rbac.authorization.k8s.io/v1"}
    thing = manifest("Thing", "thing") | {"apiVersion": "a.example/v1"}
    given = [hook, thing, manifest("ConfigMap", "b"), manifest("ConfigMap", "a"), manifest("QuickClass", "q")]

    built = await build(Builder(None, stand_in), *given, role, manifest("Namespace", "shop"), crd)

    names = [found.name for found in built.objects]
    assert names == ["things", "shop", "role", "q", "a", "b", "thing", "hook"]


async def test_flux_labels_and_common_metadata_are_added(stand_in: str) -> None:
    """The common metadata win."""
    common = {"labels": {"team": "a"}, "annotations": {"note": "b"}}

    built = await build(
        Builder(None, stand_in), manifest("ConfigMap", "x"), spec={"commonMetadata": common, "path": "./"}
    )

    assert built.objects[0].body["metadata"] == {
        "name": "x",
        "labels": {
            "kustomize.toolkit.fluxcd.io/name": "shop",
            "kustomize.toolkit.fluxcd.io/namespace": "apps",
            "team": "a",
        },
        "annotations": {"note": "b"},
    }


@pytest.mark.parametrize("path", ["", ".", "./", "/", "//", "./a/..", "../../.."])
async def test_no_path_leads_out_of_the_artifact(stand_in: str, path: str) -> None:
    """They all mean its root, as in Flux."""
    built = await build(Builder(None, stand_in), manifest("ConfigMap", "x"), spec={"path": path})

    assert [found.name for found in built.objects] == ["x"]


async def test_the_file_of_an_object_is_told_and_the_note_of_it_removed(stand_in: str) -> None:
    """Relative to the artifact's root."""
    noted = manifest("ConfigMap", "x")
    noted["metadata"]["annotations"] = {"config.kubernetes.io/origin": "path: ../base/map.yaml\n"}
    files = {"apps/shop/output": writes(noted), "apps/shop/kustomization.yaml": "resources: [../base]"}

    built = await build(Builder(None, stand_in), files=files, spec={"path": "./apps/shop"})

    assert built.objects[0].file == "apps/base/map.yaml"
    assert "annotations" not in built.objects[0].body["metadata"]


async def test_a_note_of_somebody_else_s_does_no_harm(stand_in: str) -> None:
    """The annotation's name is kustomize's, its value may be anybody's."""
    noted = manifest("ConfigMap", "x")
    noted["metadata"]["annotations"] = {"config.kubernetes.io/origin": "a: ["}

    built = await build(Builder(None, stand_in), noted)

    assert built.objects[0].file == ""


async def test_a_secret_in_plain_text_is_encoded_as_flux_encodes_it(stand_in: str) -> None:
    """So that it compares with what lives in the cluster."""
    built = await build(Builder(None, stand_in), manifest("Secret", "x", data={"a": "YQ=="}, stringData={"b": "b"}))

    assert built.objects[0].body["data"] == {"a": "YQ==", "b": "Yg=="}
    assert "stringData" not in built.objects[0].body


def _bundle(folder: Path) -> str:
    return base64.b64encode(Path(certificate(folder)[0]).read_bytes()).decode()


async def test_a_ca_bundle_that_is_none_is_dropped(stand_in: str, tmp_path: Path) -> None:
    """Flux takes it out of a CustomResourceDefinition, which the API server would not accept with it."""
    good = _bundle(tmp_path)
    definitions = [
        manifest("CustomResourceDefinition", name, spec={"conversion": {"webhook": {"clientConfig": client}}})
        for name, client in (
            ("a", {"caBundle": "Cg=="}),
            ("b", {"caBundle": "%"}),
            ("c", {"caBundle": good}),
            ("d", {}),
        )
    ]

    built = await build(Builder(None, stand_in), *definitions)

    clients = [found.body["spec"]["conversion"]["webhook"]["clientConfig"] for found in built.objects]
    assert clients == [{}, {}, {"caBundle": good}, {}]


async def test_what_sops_encrypted_is_left_out(stand_in: str) -> None:
    """Only Flux has the key; the rest is built."""
    encrypted = manifest("Secret", "login", data={"a": "ENC[x]"}, sops={"mac": "x"})
    inner = manifest("Secret", "file", data={"f": base64.b64encode(b"a: b\nsops:\n  mac: x\n").decode()})
    spec = {"decryption": {"provider": "sops"}}

    built = await build(Builder(None, stand_in), encrypted, inner, manifest("ConfigMap", "x"), spec=spec)

    assert [found.name for found in built.objects] == ["x"]
    assert {(left.manifest.name, left.reason) for left in built.left_out} == {
        ("login", reasons.ENCRYPTED),
        ("file", reasons.ENCRYPTED),
    }


@pytest.mark.parametrize(
    "wrong",
    ["just text", '{"kind": "ConfigMap", "apiVersion": "v1"}', '{"metadata": []}', "a: [", "- a"],
)
async def test_what_is_no_object_fails_the_build(stand_in: str, wrong: str) -> None:
    """As it does in Flux."""
    with pytest.raises(BuildFailed):
        await build(Builder(None, stand_in), files={"output": wrong})


# Substitution ---------------------------------------------------------------------------------------------------

FROM_BOTH = [{"kind": "ConfigMap", "name": "vars"}, {"kind": "Secret", "name": "vars"}]


async def test_later_values_win_and_the_kustomization_s_own_over_all(stand_in: str) -> None:
    """ConfigMap, then Secret, then inline; line breaks are taken out; numbers become numbers."""
    reading = Reading(
        configmaps_vars={"data": {"a": "map", "b": "map", "c": "map", "n": "3"}},
        secrets_vars={"data": {"b": base64.b64encode(b"sec\nret").decode(), "c": "eA=="}},
    )
    text = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  v: ${a} ${b} ${c} ${d:=none}\n  count: ${n}\n"
    )
    post_build = {"substituteFrom": FROM_BOTH, "substitute": {"c": "inline"}}

    built = await build(Builder(reading, stand_in), files={"output": text}, spec={"postBuild": post_build})

    assert built.objects[0].body["data"] == {"v": "map secret inline none", "count": 3}


@pytest.mark.parametrize(
    ("post_build", "annotation", "text"),
    [
        (None, {}, "${a:=b}"),
        ({}, {}, "${a:=b}"),
        ({"substituteStrategy": "Always"}, {}, "b"),
        ({"substitute": {"x": "y"}}, {}, "b"),
        ({"substitute": {"x": "y"}}, {"kustomize.toolkit.fluxcd.io/substitute": "disabled"}, "${a:=b}"),
    ],
)
async def test_substitution_happens_when_flux_substitutes(
    stand_in: str, post_build: Raw | None, annotation: dict[str, str], text: str
) -> None:
    """Not without any value, unless always; not where the object forbids it."""
    found = manifest("ConfigMap", "x", data={"v": "${a:=b}"})
    found["metadata"]["annotations"] = annotation
    spec = {} if post_build is None else {"postBuild": post_build}

    built = await build(Builder(None, stand_in), found, spec=spec)

    assert built.objects[0].body["data"]["v"] == text


@pytest.mark.parametrize(
    ("strict", "raised", "told"),
    [
        (True, BuildFailed, "'unset' is not set"),
        (None, BuildUnknown, "'unset' is not set.*deploy/components/flux-health"),
        (False, None, ""),
    ],
)
async def test_a_variable_without_a_value_fails_a_strict_build(
    stand_in: str, strict: bool | None, raised: type[BuildError] | None, told: str
) -> None:
    """As Flux does unless its gate is switched off; where that is not known, neither is the build."""
    spec = {"postBuild": {"substitute": {"a": "b"}}}
    files = {"output": writes(manifest("ConfigMap", "x", data={"v": "${unset}"}))}
    async with serving(tar_of(files)) as server:
        building = Builder(None, stand_in).build(server.artifact, kustomization(**spec), strict=strict)

        if raised:
            with pytest.raises(raised, match=told):
                await building
        else:
            assert (await building).objects[0].body["data"] == {"v": ""}


@pytest.mark.parametrize(
    ("error", "optional", "raised", "reason"),
    [
        (Missing("read", "x"), False, BuildFailed, reasons.BUILD_FAILED),
        (Missing("read", "x"), True, None, ""),
        (Refused("read", "x"), True, BuildUnknown, reasons.VALUES_UNREADABLE),
        (Unavailable("read", "x"), False, BuildUnknown, reasons.VALUES_UNREADABLE),
    ],
)
async def test_values_that_cannot_be_read_are_told_apart(
    stand_in: str, error: Exception, optional: bool, raised: type[BuildError] | None, reason: str
) -> None:
    """What is missing fails in Flux too; what we may not read is unknown."""
    reference = {"kind": "Secret", "name": "vars", "optional": optional}
    building = build(
        Builder(Reading(secrets_vars=error), stand_in),
        manifest("ConfigMap", "x"),
        spec={"postBuild": {"substituteFrom": [reference]}},
    )

    if raised is None:
        assert len((await building).objects) == 1
        return
    with pytest.raises(raised) as caught:
        await building
    assert caught.value.reason == reason
    assert "Secret apps/vars" in caught.value.message


# Artifacts ------------------------------------------------------------------------------------------------------


async def test_another_digest_is_refused_before_anything_is_read(stand_in: str, tmp_path: Path) -> None:
    """What is served must be what the source's status names."""
    async with serving(tar_of({"output": ""})) as server:
        forged = replace(server.artifact, digest="sha256:" + "0" * 64)

        with pytest.raises(BuildUnknown, match="another digest") as caught:
            await Builder(None, stand_in).build(forged, kustomization())

    assert caught.value.reason == reasons.ARTIFACT_UNREADABLE
    assert runs(tmp_path) == 0


async def test_a_redirection_is_not_followed(stand_in: str) -> None:
    """It could lead anywhere in the cluster."""
    async with serving(tar_of({"output": ""})) as server:
        moved = replace(server.artifact, url=f"http://{server.address}/moved")

        with pytest.raises(BuildUnknown, match="answers 302"):
            await Builder(None, stand_in).build(moved, kustomization())

        assert server.fetched == 1


@pytest.mark.parametrize(
    "artifact",
    [
        Artifact("", ""),
        Artifact("file:///etc/passwd", "sha256:" + "0" * 64),
        Artifact("https://source/x", "sha256:" + "0" * 64),
        Artifact("http://127.0.0.1/x", "md5:00"),
        Artifact("http:///x", "sha256:" + "0" * 64),
    ],
)
async def test_only_an_artifact_is_fetched(stand_in: str, artifact: Artifact) -> None:
    """No file, no other scheme, nothing without a digest."""
    with pytest.raises(BuildUnknown, match="names no artifact"):
        await Builder(None, stand_in).build(artifact, kustomization())


async def test_a_closed_artifact_server_is_explained(stand_in: str) -> None:
    """Most often it is Flux's own NetworkPolicy."""
    async with serving(b"") as server:
        artifact = server.artifact

    with pytest.raises(BuildUnknown, match="NetworkPolicy"):
        await Builder(None, stand_in).build(artifact, kustomization())


async def test_an_artifact_without_end_is_cut_off(stand_in: str) -> None:
    """At a size, whatever was announced."""
    async with serving(b"\0" * (download.MOST_BYTES + 1)) as server:
        with pytest.raises(BuildUnknown, match="larger than 32 MiB") as caught:
            await Builder(None, stand_in).build(server.artifact, kustomization())

    assert caught.value.reason == reasons.BUILD_TOO_COSTLY


# Bounds ---------------------------------------------------------------------------------------------------------


async def test_a_build_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    """Within the time that it has."""
    slow = program(tmp_path, f"echo $$ >{tmp_path}/pid; exec sleep 600")

    with pytest.raises(BuildUnknown, match="longer than 3 s") as caught:
        await build(Builder(None, slow, Limits(patience=3)))

    assert caught.value.reason == reasons.BUILD_TOO_COSTLY
    assert not is_running(tmp_path / "pid")


async def test_a_build_that_computes_for_ever_is_ended(tmp_path: Path) -> None:
    """By the kernel, when it has used its seconds of the processor."""
    with pytest.raises(BuildUnknown) as caught:
        await build(Builder(None, program(tmp_path, "while :; do :; done"), Limits(seconds=2)))

    assert caught.value.reason == reasons.BUILD_TOO_COSTLY


async def test_output_without_end_is_cut_off(tmp_path: Path) -> None:
    """By the kernel, at a size of the file."""
    with pytest.raises(BuildUnknown) as caught:
        await build(Builder(None, program(tmp_path, "exec yes 'a: b'")))

    assert caught.value.reason == reasons.BUILD_TOO_COSTLY


async def test_a_million_lines_do_not_take_the_operator_s_memory(tmp_path: Path) -> None:
    """They are read in the worker, which may hold so much and no more."""
    lines = program(
        tmp_path, "echo 'apiVersion: v1\nkind: X\nmetadata: {name: x}\nspec:'; yes -- '- a' | head -n 1000000"
    )

    with pytest.raises(BuildUnknown) as caught:
        await build(Builder(None, lines, Limits(memory=64 << 20)))

    assert caught.value.reason == reasons.BUILD_TOO_COSTLY


async def test_a_failed_build_says_what_kustomize_says(tmp_path: Path) -> None:
    """Without the directory in which it was built, which differs each time."""
    failing = program(tmp_path, 'echo "Error: $3/a.yaml: no such file" >&2; exit 1')

    with pytest.raises(BuildFailed) as caught:
        await build(Builder(None, failing), files={"shop/x.yaml": "a: b"}, spec={"path": "shop"})

    assert caught.value.message == "kustomize build failed: shop/a.yaml: no such file"


async def test_an_absent_kustomize_is_named() -> None:
    """With what to do."""
    with pytest.raises(BuildUnknown, match="kustomize is not installed") as caught:
        await build(Builder(None, "/nowhere/kustomize"))

    assert caught.value.reason == reasons.KUSTOMIZE_MISSING


async def test_kustomize_sees_nothing_of_the_operator_s_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither variables nor a way to the network."""
    monkeypatch.setenv("OPERATOR_TOKEN", "hunter2")
    shown = program(tmp_path, f'export -p >{tmp_path}/environment; cat "$3/output"')

    await build(Builder(None, shown), manifest("ConfigMap", "x"))

    environment = (tmp_path / "environment").read_text()
    assert "hunter2" not in environment
    assert "HTTPS_PROXY='http://127.0.0.1:1'" in environment


async def test_nothing_is_left_on_the_disk(stand_in: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the build succeeds or not."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = names_in(tmp_path)

    await build(Builder(None, stand_in), manifest("ConfigMap", "x"))
    with pytest.raises(BuildFailed):
        await build(Builder(None, stand_in), files={"output": "a: ["})

    assert names_in(tmp_path) - before == {"runs"}


# Cache ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure",
    ["kill -9 $$", "echo 'Error: write /tmp/x: no space left on device' >&2; exit 1"],
    ids=["killed", "no room"],
)
async def test_a_failure_that_may_pass_is_no_verdict(tmp_path: Path, failure: str) -> None:
    """It is unknown then, for a while, and built anew after it."""
    once = f"if [ ! -e {tmp_path}/seen ]; then touch {tmp_path}/seen; {failure}; fi; echo run >>{tmp_path}/runs"
    builder = Builder(None, program(tmp_path, f'{once}; cat "$3/output"'), Limits(doubt=1.0))
    async with serving(tar_of({"output": writes(manifest("ConfigMap", "x"))})) as server:
        for _ in range(2):
            with pytest.raises(BuildUnknown) as caught:
                await builder.build(server.artifact, kustomization())
        again = runs(tmp_path)
        await asyncio.sleep(1.0)
        built = await builder.build(server.artifact, kustomization())

    assert (caught.value.reason, again) == (reasons.BUILD_TOO_COSTLY, 0)
    assert [found.name for found in built.objects] == ["x"]


async def test_what_holds_a_value_of_a_secret_is_private(stand_in: str) -> None:
    """Whatever kind it is, and however the value got into it; a later reference takes a name over."""
    secret = {"data": {name: base64.b64encode(b"hunter2").decode() for name in ("pw", "host", "shade")}}
    cluster = Reading(secrets_a=secret, configmaps_b={"data": {"host": "db"}})
    texts = {
        "plain": "${host}",
        "straight": "user:${pw}",
        "nested": "${absent:-${pw}}",
        "length": "${#pw}",
        "escaped": "$${pw}",
        "own": "${shade}",
    }
    spec = {
        "postBuild": {
            "substitute": {"shade": "red"},
            "substituteFrom": [{"kind": "Secret", "name": "a"}, {"kind": "ConfigMap", "name": "b"}],
        }
    }
    maps = [manifest("ConfigMap", name, data={"v": text}) for name, text in texts.items()]

    built = await build(Builder(cluster, stand_in), *maps, manifest("Secret", "s"), spec=spec)

    assert {found.name for found in built.objects if found.is_private} == {"straight", "nested", "length", "s"}


async def test_nothing_is_built_twice(stand_in: str, tmp_path: Path) -> None:
    """Neither fetched; also not when only the pace of the Kustomization changes, and not when asked at once."""
    builder = Builder(None, stand_in)
    async with serving(tar_of({"output": writes(manifest("ConfigMap", "x"))})) as server:
        first = await builder.build(server.artifact, kustomization(interval="1m"))
        second = await builder.build(server.artifact, kustomization(interval="2m", suspend=True))

        assert (runs(tmp_path), server.fetched) == (1, 1)
    assert first == second


@pytest.mark.parametrize("spec", [{"namePrefix": "a-"}, {"postBuild": {"substitute": {"a": "b"}}}])
async def test_another_spec_is_another_build(stand_in: str, tmp_path: Path, spec: Raw) -> None:
    """Values to substitute belong to it."""
    builder = Builder(None, stand_in)
    async with serving(tar_of({"output": writes(manifest("ConfigMap", "x"))})) as server:
        await builder.build(server.artifact, kustomization())
        await builder.build(server.artifact, kustomization(**spec))

    assert runs(tmp_path) == 2


async def test_the_memory_of_builds_is_bounded(stand_in: str, tmp_path: Path) -> None:
    """The one used longest ago is forgotten."""
    builder = Builder(None, stand_in, Limits(entries=2))
    async with serving(tar_of({"output": writes(manifest("ConfigMap", "x"))})) as server:
        for prefix in ("a", "b", "a", "c", "a", "b"):
            await builder.build(server.artifact, kustomization(namePrefix=prefix))

    assert runs(tmp_path) == 4
