"""Artifacts become objects: fetched, checked, built in a process of its own, remembered."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciliation_contract.adapters.kubernetes.resource import Resource
from reconciliation_contract.adapters.manifests import download
from reconciliation_contract.adapters.manifests.artifact_server import ArtifactServers
from reconciliation_contract.adapters.manifests.build import Artifact, Built
from reconciliation_contract.adapters.manifests.builder import Builder
from reconciliation_contract.adapters.manifests.error import BuildError, BuildFailed, BuildUnknown
from reconciliation_contract.adapters.manifests.program import Limits
from reconciliation_contract.core.values import reasons
from reconciliation_contract.errors import Missing, Refused, Unavailable
from tests.adapters.test_access import certificate
from tests.support.artifacts import program, serving, tar_of
from tests.support.programs import flux_build

LOOPBACK = ArtifactServers(named=("127.0.0.1",))

pytestmark = pytest.mark.slow

Raw = Mapping[str, Any]


def kustomization(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "shop", "namespace": "apps"}, "spec": spec}


def manifest(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **more}


def writes(*objects: Raw) -> str:
    """A file of manifests."""
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
def counted(tmp_path: Path) -> str:
    """The program, which counts its runs."""
    return program(tmp_path, f'echo run >>{tmp_path}/runs; exec {shlex.quote(flux_build())} "$@"')


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
    async with serving(tar_of({"all.yaml": writes(*objects), **(files or {})})) as server:
        return await builder.build(server.artifact, kustomization(**(spec or {})))


# Objects --------------------------------------------------------------------------------------------------------


async def test_objects_come_in_the_order_in_which_flux_applies_them(counted: str) -> None:
    """Definitions, classes, then by kind, namespace and name; webhooks last."""
    crd = manifest("CustomResourceDefinition", "things") | {"apiVersion": "apiextensions.k8s.io/v1"}
    hook = manifest("ValidatingWebhookConfiguration", "hook") | {"apiVersion": "admissionregistration.k8s.io/v1"}
    role = manifest("ClusterRole", "role") | {"apiVersion": "rbac.authorization.k8s.io/v1"}
    thing = manifest("Thing", "thing") | {"apiVersion": "a.example/v1"}
    given = [hook, thing, manifest("ConfigMap", "b"), manifest("ConfigMap", "a"), manifest("QuickClass", "q")]

    built = await build(Builder(None, counted, servers=LOOPBACK), *given, role, manifest("Namespace", "shop"), crd)

    names = [found.name for found in built.objects]
    assert names == ["things", "shop", "role", "q", "a", "b", "thing", "hook"]


async def test_flux_labels_and_common_metadata_are_added(counted: str) -> None:
    """The common metadata win."""
    common = {"labels": {"team": "a"}, "annotations": {"note": "b"}}

    built = await build(
        Builder(None, counted, servers=LOOPBACK),
        manifest("ConfigMap", "x"),
        spec={"commonMetadata": common, "path": "./"},
    )

    assert built.objects[0].body["metadata"] == {
        "creationTimestamp": None,
        "name": "x",
        "labels": {
            "kustomize.toolkit.fluxcd.io/name": "shop",
            "kustomize.toolkit.fluxcd.io/namespace": "apps",
            "team": "a",
        },
        "annotations": {"note": "b"},
    }


@pytest.mark.parametrize("path", ["", ".", "./", "/", "//", "./a/..", "../../.."])
async def test_no_path_leads_out_of_the_artifact(counted: str, path: str) -> None:
    """They all mean its root, as in Flux."""
    built = await build(Builder(None, counted, servers=LOOPBACK), manifest("ConfigMap", "x"), spec={"path": path})

    assert [found.name for found in built.objects] == ["x"]


async def test_the_file_of_an_object_is_told(counted: str) -> None:
    """Relative to the artifact's root; without a trace in the object."""
    files = {
        "apps/base/map.yaml": writes(manifest("ConfigMap", "x")),
        "apps/base/kustomization.yaml": "resources: [map.yaml]",
        "apps/shop/kustomization.yaml": "resources: [../base]\nnamePrefix: a-\n",
    }

    built = await build(Builder(None, counted, servers=LOOPBACK), files=files, spec={"path": "./apps/shop"})

    assert [(found.name, found.file) for found in built.objects] == [("a-x", "apps/base/map.yaml")]
    assert "annotations" not in built.objects[0].body["metadata"]


async def test_a_patch_meets_no_annotation_that_flux_does_not_make(counted: str) -> None:
    """What tells the files must not let a patch pass that Flux refuses."""
    patch = (
        '[{"op": "test", "path": "/metadata/annotations/config.kubernetes.io~1origin", "value": "path: all.yaml\\n"}]'
    )
    patches = [{"patch": patch, "target": {"kind": "ConfigMap"}}]

    with pytest.raises(BuildFailed, match=r"kustomize build failed: .*config\.kubernetes\.io~1origin"):
        await build(Builder(None, counted, servers=LOOPBACK), manifest("ConfigMap", "x"), spec={"patches": patches})


async def test_a_note_of_somebody_else_s_does_no_harm(counted: str) -> None:
    """The annotation's name is kustomize's, its value may be anybody's; Flux takes it out."""
    noted = manifest("ConfigMap", "x")
    noted["metadata"]["annotations"] = {"config.kubernetes.io/origin": "a: ["}

    built = await build(Builder(None, counted, servers=LOOPBACK), noted)

    assert built.objects[0].file in ("", "all.yaml")
    assert "annotations" not in built.objects[0].body["metadata"]


async def test_a_secret_in_plain_text_is_encoded_as_flux_encodes_it(counted: str) -> None:
    """So that it compares with what lives in the cluster."""
    built = await build(
        Builder(None, counted, servers=LOOPBACK), manifest("Secret", "x", data={"a": "YQ=="}, stringData={"b": "b"})
    )

    assert built.objects[0].body["data"] == {"a": "YQ==", "b": "Yg=="}
    assert "stringData" not in built.objects[0].body


def _bundle(folder: Path) -> str:
    return base64.b64encode(Path(certificate(folder)[0]).read_bytes()).decode()


async def test_a_ca_bundle_that_is_none_is_dropped(counted: str, tmp_path: Path) -> None:
    """Flux takes it out of a CustomResourceDefinition, which the API server would not accept with it."""
    good = _bundle(tmp_path)
    definitions = [
        manifest("CustomResourceDefinition", name, spec={"conversion": {"webhook": {"clientConfig": client}}})
        | {"apiVersion": "apiextensions.k8s.io/v1"}
        for name, client in (
            ("a", {"caBundle": "Cg=="}),
            ("b", {"caBundle": "%"}),
            ("c", {"caBundle": good}),
            ("d", {}),
        )
    ]

    built = await build(Builder(None, counted, servers=LOOPBACK), *definitions)

    clients = [found.body["spec"]["conversion"]["webhook"]["clientConfig"] for found in built.objects]
    assert clients == [{}, {}, {"caBundle": good}, {}]


async def test_what_sops_encrypted_is_left_out(counted: str) -> None:
    """Only Flux has the key; the rest is built, and Flux's digest is not known."""
    mac = "ENC[AES256_GCM,data:x]"
    encrypted = manifest("Secret", "login", data={"a": "ENC[x]"}, sops={"mac": mac})
    inner = manifest("Secret", "file", data={"f": base64.b64encode(f"a: b\nsops:\n  mac: {mac}\n".encode()).decode()})
    kept = manifest("Secret", "kept", data={"a": "ENC[x]"}, sops={"mac": mac})
    kept["metadata"]["annotations"] = {"kustomize.toolkit.fluxcd.io/decrypt": "disabled"}
    spec = {"decryption": {"provider": "sops"}}

    built = await build(
        Builder(None, counted, servers=LOOPBACK), encrypted, inner, kept, manifest("ConfigMap", "x"), spec=spec
    )

    assert [found.name for found in built.objects] == ["x", "kept"]
    assert built.digest == ""
    assert {(left.manifest.name, left.reason) for left in built.left_out} == {
        ("login", reasons.ENCRYPTED),
        ("file", reasons.ENCRYPTED),
    }


async def test_what_is_encrypted_without_decryption_fails_as_in_flux(counted: str) -> None:
    """In Flux's words."""
    encrypted = manifest("Secret", "login", data={"a": "ENC[x]"}, sops={"mac": "ENC[x]"})

    with pytest.raises(BuildFailed, match="Secret/login is SOPS encrypted, configuring decryption is required"):
        await build(Builder(None, counted, servers=LOOPBACK), encrypted)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"secretGenerator": [{"name": "s", "files": ["key.yaml=login.yaml"]}]}, "login.yaml"),
        ({"secretGenerator": [{"name": "s", "envs": ["login.env"]}]}, "login.env"),
        ({"patches": [{"path": "login.yaml"}]}, "login.yaml"),
    ],
)
async def test_what_is_made_of_encrypted_files_is_unknown(counted: str, settings: Raw, name: str) -> None:
    """Its name and its content depend on what only Flux can read."""
    files = {
        "shop/kustomization.yaml": "resources: [../base]",
        "base/kustomization.yaml": json.dumps(settings),
        f"base/{name}": "sops_mac=ENC[x]\n" if name.endswith("env") else "a: b\nsops:\n  mac: ENC[x]\n",
    }
    spec = {"path": "shop", "decryption": {"provider": "sops"}}

    with pytest.raises(BuildUnknown, match=f"base/{name}: is encrypted") as caught:
        await build(Builder(None, counted, servers=LOOPBACK), files=files, spec=spec)

    assert caught.value.reason == reasons.ENCRYPTED


@pytest.mark.parametrize(
    "wrong",
    ["just text", '{"kind": "ConfigMap", "apiVersion": "v1"}', '{"metadata": []}', "a: [", "- a"],
)
async def test_what_is_no_object_fails_the_build(counted: str, wrong: str) -> None:
    """As it does in Flux."""
    with pytest.raises(BuildFailed):
        await build(Builder(None, counted, servers=LOOPBACK), files={"all.yaml": wrong})


# Substitution ---------------------------------------------------------------------------------------------------

FROM_BOTH = [{"kind": "ConfigMap", "name": "vars"}, {"kind": "Secret", "name": "vars"}]


async def test_later_values_win_and_the_kustomization_s_own_over_all(counted: str) -> None:
    """ConfigMap, then Secret, then inline; line breaks are taken out; numbers become numbers."""
    reading = Reading(
        configmaps_vars={"data": {"a": "map", "b": "map", "c": "map", "n": "3"}},
        secrets_vars={"data": {"b": base64.b64encode(b"sec\nret").decode(), "c": "eA=="}},
    )
    text = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  v: ${a} ${b} ${c} ${d:=none}\n  count: ${n}\n"
    )
    post_build = {"substituteFrom": FROM_BOTH, "substitute": {"c": "inline"}}

    built = await build(
        Builder(reading, counted, servers=LOOPBACK), files={"all.yaml": text}, spec={"postBuild": post_build}
    )

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
    counted: str, post_build: Raw | None, annotation: dict[str, str], text: str
) -> None:
    """Not without any value, unless always; not where the object forbids it."""
    found = manifest("ConfigMap", "x", data={"v": "${a:=b}"})
    found["metadata"]["annotations"] = annotation
    spec = {} if post_build is None else {"postBuild": post_build}

    built = await build(Builder(None, counted, servers=LOOPBACK), found, spec=spec)

    assert built.objects[0].body["data"]["v"] == text


@pytest.mark.parametrize(
    ("strict", "raised", "told"),
    [
        (True, BuildFailed, 'variable not set \\(strict mode\\): "unset"'),
        (None, BuildUnknown, "strict mode.*unset.*deploy/components/flux-health"),
        (False, None, ""),
    ],
)
async def test_a_variable_without_a_value_fails_a_strict_build(
    counted: str, strict: bool | None, raised: type[BuildError] | None, told: str
) -> None:
    """As Flux does unless its gate is switched off; where that is not known, neither is the build."""
    spec = {"postBuild": {"substitute": {"a": "b"}}}
    files = {"all.yaml": writes(manifest("ConfigMap", "x", data={"v": "${unset}"}))}
    async with serving(tar_of(files)) as server:
        building = Builder(None, counted, servers=LOOPBACK).build(
            server.artifact, kustomization(**spec), strict=strict
        )

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
    counted: str, error: Exception, optional: bool, raised: type[BuildError] | None, reason: str
) -> None:
    """What is missing fails in Flux too; what we may not read is unknown."""
    reference = {"kind": "Secret", "name": "vars", "optional": optional}
    building = build(
        Builder(Reading(secrets_vars=error), counted, servers=LOOPBACK),
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


async def test_another_digest_is_refused_before_anything_is_read(counted: str, tmp_path: Path) -> None:
    """What is served must be what the source's status names."""
    async with serving(tar_of({"all.yaml": ""})) as server:
        forged = replace(server.artifact, digest="sha256:" + "0" * 64)

        with pytest.raises(BuildUnknown, match="another digest") as caught:
            await Builder(None, counted, servers=LOOPBACK).build(forged, kustomization())

    assert caught.value.reason == reasons.ARTIFACT_UNREADABLE
    assert runs(tmp_path) == 0


async def test_a_redirection_is_not_followed(counted: str) -> None:
    """It could lead anywhere in the cluster."""
    async with serving(tar_of({"all.yaml": ""})) as server:
        moved = replace(server.artifact, url=f"http://{server.address}/moved")

        with pytest.raises(BuildUnknown, match="answers 302"):
            await Builder(None, counted, servers=LOOPBACK).build(moved, kustomization())

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
async def test_only_an_artifact_is_fetched(counted: str, artifact: Artifact) -> None:
    """No file, no other scheme, nothing without a digest."""
    with pytest.raises(BuildUnknown, match="names no artifact"):
        await Builder(None, counted, servers=LOOPBACK).build(artifact, kustomization())


async def test_nobody_else_is_asked_for_an_artifact(counted: str) -> None:
    """A URL that leads elsewhere is not followed, and what is there is not told."""
    async with serving(b"the answer of an internal server") as server:
        with pytest.raises(BuildUnknown, match="--artifact-server") as caught:
            await Builder(None, counted).build(server.artifact, kustomization())

        assert server.fetched == 0
    assert "127.0.0.1" not in str(caught.value)


async def test_a_closed_artifact_server_is_explained(counted: str) -> None:
    """Most often it is Flux's own NetworkPolicy."""
    async with serving(b"") as server:
        artifact = server.artifact

    with pytest.raises(BuildUnknown, match="NetworkPolicy"):
        await Builder(None, counted, servers=LOOPBACK).build(artifact, kustomization())


async def test_an_artifact_without_end_is_cut_off(counted: str) -> None:
    """At a size, whatever was announced."""
    async with serving(b"\0" * (download.MOST_BYTES + 1)) as server:
        with pytest.raises(BuildUnknown, match="larger than 32 MiB") as caught:
            await Builder(None, counted, servers=LOOPBACK).build(server.artifact, kustomization())

    assert caught.value.reason == reasons.BUILD_TOO_COSTLY


# Bounds ---------------------------------------------------------------------------------------------------------


async def test_a_build_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    """Within the time that it has."""
    slow = program(tmp_path, f"echo $$ >{tmp_path}/pid; exec sleep 600")

    with pytest.raises(BuildUnknown, match="longer than 3 s") as caught:
        await build(Builder(None, slow, Limits(patience=3), servers=LOOPBACK))

    assert caught.value.reason == reasons.BUILD_TOO_COSTLY
    assert not is_running(tmp_path / "pid")


@pytest.mark.parametrize(
    ("limits", "files"),
    [
        (Limits(seconds=1), {f"{n}.yaml": writes(manifest("ConfigMap", f"x{n}")) for n in range(5000)}),
        (
            Limits(memory=96 << 20),
            {"a.yaml": "apiVersion: v1\nkind: X\nmetadata: {name: x}\nspec:\n" + "- a\n" * 1_000_000},
        ),
        (
            Limits(),
            {"a.yaml": "".join(f"- {each}\n" for each in (writes(manifest("ConfigMap", "x")),)) + "\0" * (200 << 20)},
        ),
    ],
    ids=["time", "memory", "disk"],
)
async def test_what_is_too_costly_is_unknown(limits: Limits, files: dict[str, str]) -> None:
    """The kernel ends it, or the program itself; the operator's own time and memory are not touched."""
    with pytest.raises(BuildUnknown) as caught:
        await build(Builder(None, flux_build(), limits, servers=LOOPBACK), files=files)

    assert caught.value.reason == reasons.BUILD_TOO_COSTLY


async def test_output_without_end_is_cut_off(tmp_path: Path) -> None:
    """At a size."""
    endless = program(tmp_path, """echo '{"confinement":{}}'; yes '{"object":{}}' | head -c 20000000""")

    with pytest.raises(BuildUnknown, match="more than 16 MiB") as caught:
        await build(Builder(None, endless, servers=LOOPBACK))

    assert caught.value.reason == reasons.BUILD_TOO_COSTLY


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 3", reasons.BUILD_REFUSED),
        ("echo 'fatal error: stack overflow' >&2; exit 2", reasons.BUILD_TOO_COSTLY),
        ("kill -9 $$", reasons.BUILD_TOO_COSTLY),
        ("""printf '{"confinement":{}}\\n{"object":{"a":1}}'""", reasons.BUILD_REFUSED),
        ("""printf '{"done":"x"}'""", reasons.BUILD_REFUSED),
        ("""echo '{"done":"x"}'; exit 1""", reasons.BUILD_REFUSED),
    ],
)
async def test_a_program_that_does_not_end_well_built_nothing(tmp_path: Path, script: str, reason: str) -> None:
    """Half of the objects would look like all of them."""
    with pytest.raises(BuildUnknown) as caught:
        await build(Builder(None, program(tmp_path, script), servers=LOOPBACK))

    assert caught.value.reason == reason


async def test_a_failed_build_says_what_flux_says(counted: str) -> None:
    """Without the directory in which it was built, which differs each time."""
    files = {"shop/kustomization.yaml": "resources: [a.yaml]"}

    with pytest.raises(BuildFailed) as caught:
        await build(Builder(None, counted, servers=LOOPBACK), files=files, spec={"path": "shop"})

    assert caught.value.message.startswith("kustomize build failed: accumulating resources: accumulation err='")
    assert "shop/a.yaml" in caught.value.message
    assert "/tmp/" not in caught.value.message


async def test_an_absent_program_is_named() -> None:
    """With what to do."""
    with pytest.raises(BuildUnknown, match=r"flux-build is not installed.*--flux-build or FLUX_BUILD") as caught:
        await build(Builder(None, "/nowhere/flux-build", servers=LOOPBACK))

    assert caught.value.reason == reasons.BUILD_PROGRAM_MISSING


async def test_a_build_sees_nothing_of_the_operator_s_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No variable, and no file that is open."""
    monkeypatch.setenv("OPERATOR_TOKEN", "hunter2")
    shown = program(tmp_path, f"export -p >{tmp_path}/environment; ls -l /proc/self/fd >{tmp_path}/files; exit 1")
    (tmp_path / "token").write_text("hunter2")

    with (tmp_path / "token").open() as token:
        os.set_inheritable(token.fileno(), True)
        with pytest.raises(BuildUnknown):
            await build(Builder(None, shown, servers=LOOPBACK), manifest("ConfigMap", "x"))

    assert "hunter2" not in (tmp_path / "environment").read_text()
    assert "token" not in (tmp_path / "files").read_text()


async def test_how_the_kernel_confines_builds_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A warning where it does not; nothing more while that is so."""
    lacking = program(tmp_path, """echo '{"confinement":{"landlock":0,"seccomp":true}}'; echo '{"done":""}'""")
    told: list[tuple[int, bool]] = []
    builder = Builder(
        None, lacking, servers=LOOPBACK, note=lambda landlock, seccomp: told.append((landlock, seccomp))
    )

    for prefix in ("a", "b"):
        await build(builder, spec={"namePrefix": prefix})

    assert told == [(0, True)]
    assert [(found.levelname, found.message) for found in caplog.records] == [
        ("WARNING", "how the kernel confines builds of manifests")
    ]


async def test_nothing_is_left_on_the_disk(counted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the build succeeds or not."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = names_in(tmp_path)

    await build(Builder(None, counted, servers=LOOPBACK), manifest("ConfigMap", "x"))
    with pytest.raises(BuildFailed):
        await build(Builder(None, counted, servers=LOOPBACK), files={"all.yaml": "a: ["})

    assert names_in(tmp_path) - before == {"runs"}


# Cache ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure",
    ["kill -9 $$", """echo '{"unknown":"costly","message":"no space left on device"}'; exit 0"""],
    ids=["killed", "no room"],
)
async def test_a_failure_that_may_pass_is_no_verdict(tmp_path: Path, failure: str) -> None:
    """It is unknown then, for a while, and built anew after it."""
    once = f"if [ ! -e {tmp_path}/seen ]; then touch {tmp_path}/seen; {failure}; fi; echo run >>{tmp_path}/runs"
    flaky = program(tmp_path, f'{once}; exec {shlex.quote(flux_build())} "$@"')
    builder = Builder(None, flaky, Limits(doubt=1.0), servers=LOOPBACK)
    async with serving(tar_of({"all.yaml": writes(manifest("ConfigMap", "x"))})) as server:
        for _ in range(2):
            with pytest.raises(BuildUnknown) as caught:
                await builder.build(server.artifact, kustomization())
        again = runs(tmp_path)
        await asyncio.sleep(1.0)
        built = await builder.build(server.artifact, kustomization())

    assert (caught.value.reason, again) == (reasons.BUILD_TOO_COSTLY, 0)
    assert [found.name for found in built.objects] == ["x"]


async def test_what_holds_a_value_of_a_secret_is_private(counted: str) -> None:
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

    built = await build(Builder(cluster, counted, servers=LOOPBACK), *maps, manifest("Secret", "s"), spec=spec)

    assert {found.name for found in built.objects if found.is_private} == {"straight", "nested", "length", "s"}


async def test_nothing_is_built_twice(counted: str, tmp_path: Path) -> None:
    """Neither fetched; also not when only the pace of the Kustomization changes, and not when asked at once."""
    builder = Builder(None, counted, servers=LOOPBACK)
    async with serving(tar_of({"all.yaml": writes(manifest("ConfigMap", "x"))})) as server:
        first = await builder.build(server.artifact, kustomization(interval="1m"))
        second = await builder.build(server.artifact, kustomization(interval="2m", suspend=True))

        assert (runs(tmp_path), server.fetched) == (1, 1)
    assert first == second


@pytest.mark.parametrize("spec", [{"namePrefix": "a-"}, {"postBuild": {"substitute": {"a": "b"}}}])
async def test_another_spec_is_another_build(counted: str, tmp_path: Path, spec: Raw) -> None:
    """Values to substitute belong to it."""
    builder = Builder(None, counted, servers=LOOPBACK)
    async with serving(tar_of({"all.yaml": writes(manifest("ConfigMap", "x"))})) as server:
        await builder.build(server.artifact, kustomization())
        await builder.build(server.artifact, kustomization(**spec))

    assert runs(tmp_path) == 2


async def test_the_memory_of_builds_is_bounded(counted: str, tmp_path: Path) -> None:
    """The one used longest ago is forgotten."""
    builder = Builder(None, counted, Limits(entries=2), servers=LOOPBACK)
    async with serving(tar_of({"all.yaml": writes(manifest("ConfigMap", "x"))})) as server:
        for prefix in ("a", "b", "a", "c", "a", "b"):
            await builder.build(server.artifact, kustomization(namePrefix=prefix))

    assert runs(tmp_path) == 4
