"""The kustomization that is built: generated, merged with the spec, confined to the artifact."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciliation_contract.adapters.manifests.confinement import MOST_DIRECTORIES, confine
from reconciliation_contract.adapters.manifests.error import BuildError, BuildFailed, BuildUnknown
from reconciliation_contract.adapters.manifests.kustomization import is_remote, merge
from reconciliation_contract.core.values import reasons

SOPS = "data: {a: b}\nsops:\n  mac: x\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    found = tmp_path / "tree"
    found.mkdir()
    return found


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


def merged(root: Path, files: Mapping[str, str], **spec: Any) -> dict[str, Any]:
    """Merge in the root directory and return what is written there."""
    write(root, files)
    merge(root, root, spec)
    name = next(
        name for name in ("kustomization.yaml", "kustomization.yml", "Kustomization") if (root / name).exists()
    )
    found: dict[str, Any] = json.loads((root / name).read_text())
    return found


def confined(root: Path, files: Mapping[str, str], *, decrypts: bool = False) -> None:
    write(root, files)
    confine(root, root / "app", decrypts=decrypts)


# Generation -----------------------------------------------------------------------------------------------------


def test_a_missing_kustomization_lists_all_manifests(root: Path) -> None:
    """Those of directories too; one with its own kustomization stands for what it holds."""
    files = {
        "b.yaml": "",
        "a.yml": "",
        "README.md": "",
        "values.json": "",
        "deep/er/c.yaml": "",
        "own/Kustomization": "",
        "own/not-named.yaml": "",
    }

    assert merged(root, files)["resources"] == ["./a.yml", "./b.yaml", "./deep/er/c.yaml", "./own"]


def test_an_empty_directory_builds_to_nothing(root: Path) -> None:
    """With Flux's placeholder, since kustomize refuses an empty kustomization."""
    assert merged(root, {})["namespace"] == "_placeholder"


def test_objects_note_where_they_come_from(root: Path) -> None:
    """Unless Flux itself lets them keep that note."""
    write(root, {"kustomization.yaml": "resources: [a.yaml]", "none/kustomization.yaml": "namePrefix: x-"})

    assert merge(root, root, {}) is True
    assert merge(root / "none", root, {}) is False
    assert merge(root, root, {"buildMetadata": ["originAnnotations"]}) is False


# Merge ----------------------------------------------------------------------------------------------------------


def test_the_spec_is_merged_as_flux_merges_it(root: Path) -> None:
    """Names and namespace replace, patches and components are added, images replace by name."""
    own = {
        "namespace": "old",
        "resources": ["a.yaml"],
        "patches": [{"path": "p.yaml"}],
        "components": ["own"],
        "images": [{"name": "web", "newTag": "1"}, {"name": "db", "newTag": "1"}],
    }
    patch = {"patch": "- op: remove\n  path: /x", "target": {"kind": "Deployment"}}

    found = merged(
        root,
        {"kustomization.yml": json.dumps(own)},
        targetNamespace="new",
        namePrefix="pre-",
        nameSuffix="-suf",
        patches=[patch],
        components=["../extra"],
        images=[{"name": "web", "newTag": "2"}, {"name": "cache", "digest": "sha256:0"}],
    )

    assert (found["namespace"], found["namePrefix"], found["nameSuffix"]) == ("new", "pre-", "-suf")
    assert found["patches"] == [{"path": "p.yaml"}, patch]
    assert found["components"] == ["own", "../extra"]
    assert found["images"] == [
        {"name": "web", "newTag": "2"},
        {"name": "db", "newTag": "1"},
        {"name": "cache", "digest": "sha256:0"},
    ]


def test_a_field_that_nobody_knows_is_dropped(root: Path) -> None:
    """Flux does so in the directory that it builds; Go takes names in any case."""
    found = merged(root, {"kustomization.yaml": "Resources: [a.yaml]\nnameprefix: x-\nmadeUp: 1\n"})

    assert (found["resources"], found["namePrefix"]) == (["a.yaml"], "x-")
    assert "madeUp" not in found


@pytest.mark.parametrize("ignore", [True, False])
def test_a_missing_component_may_be_ignored(root: Path, ignore: bool) -> None:
    """If the spec says so."""
    found = merged(root, {"x/a": ""}, components=["x", "missing"], ignoreMissingComponents=ignore)

    assert found["components"] == (["x"] if ignore else ["x", "missing"])


@pytest.mark.parametrize("component", ["/etc", "https://example.org/x", "github.com/a/b"])
def test_a_component_of_the_spec_is_local(root: Path, component: str) -> None:
    """Flux refuses others."""
    with pytest.raises(BuildFailed, match="must be local and relative"):
        merged(root, {}, components=[component])


@pytest.mark.parametrize("content", ["- a", "text", "a: [", "\xff\xfe\x00"])
def test_what_is_no_kustomization_fails(root: Path, content: str) -> None:
    """With the file's name."""
    with pytest.raises(BuildFailed, match=r"kustomization\.yaml"):
        merged(root, {"kustomization.yaml": content})


@pytest.mark.parametrize(
    "content",
    [
        "a: " + "x" * (1 << 20),
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{c}: &{c} [{', '.join([f'*{chr(ord(c) - 1)}'] * 10)}]\n" for c in "bcdef"),
    ],
    ids=["large", "aliases"],
)
def test_a_bomb_is_refused(root: Path, content: str) -> None:
    """By its size, or by what its aliases come to."""
    with pytest.raises(BuildUnknown) as caught:
        merged(root, {"kustomization.yaml": content})

    assert caught.value.reason == reasons.BUILD_TOO_COSTLY


# Confinement ----------------------------------------------------------------------------------------------------

REMOTE = [
    "https://example.org/x.yaml",
    "HTTP://example.org/x.yaml",
    "https://github.com/org/repo//path?ref=v1",
    "github.com/org/repo",
    "git@example.org:org/repo.git",
    "ssh://git@example.org/repo",
    "git::https://example.org/repo",
    "gh:org/repo",
    "file:///etc",
    "example.org/org/repo//base?ref=main",
    "example.org/org/repo.git",
]
LOCAL = ["base", "../base", "./a.yaml", "a.gitops/x.yaml", ".github/x.yaml", "at@home.yaml", "github.com-mirror/x"]


@pytest.mark.parametrize("entry", REMOTE)
def test_a_remote_base_is_told(entry: str) -> None:
    """In every form that kustomize takes."""
    assert is_remote(entry)


@pytest.mark.parametrize("entry", LOCAL)
def test_a_local_one_is_not(entry: str) -> None:
    """However much it looks like one."""
    assert not is_remote(entry)


@pytest.mark.parametrize("field", ["resources", "components", "bases", "crds", "configurations", "transformers"])
def test_nothing_is_loaded_from_elsewhere(root: Path, field: str) -> None:
    """Also not by a base of a base, named in any case."""
    deep = {field.upper(): ["https://example.org/x.yaml"]}

    with pytest.raises(BuildUnknown) as caught:
        confined(
            root, {"app/kustomization.yaml": "resources: [../base]", "base/kustomization.yaml": json.dumps(deep)}
        )

    assert caught.value.reason in (reasons.REMOTE_BASE, reasons.BUILD_REFUSED)
    assert "example.org" in caught.value.message


ESCAPES: dict[str, Any] = {
    "resource": {"resources": ["../../outside.yaml"]},
    "absolute resource": {"resources": ["/etc/passwd"]},
    "component": {"components": ["../.."]},
    "patch": {"patches": [{"path": "../../../etc/passwd"}]},
    "patch in another case": {"patches": [{"Path": "/etc/passwd"}]},
    "strategic patch": {"patchesStrategicMerge": ["/etc/passwd"]},
    "path with a line break": {"patchesStrategicMerge": ["x\n/../../../../etc/passwd"]},
    "JSON patch": {"patchesJson6902": [{"path": "/etc/passwd"}]},
    "replacement": {"replacements": [{"path": "/etc/passwd"}]},
    "schema": {"openapi": {"path": "/etc/passwd"}},
    "file": {"configMapGenerator": [{"files": ["/var/run/secrets/token"]}]},
    "file by key": {"secretGenerator": [{"files": ["key=../../token"]}]},
    "environment": {"configMapGenerator": [{"envs": ["../../../token"]}]},
    "old environment": {"configMapGenerator": [{"env": "/token"}]},
    "folded letters": {"configMapGenerator": [{"FILE\u017f": ["/token"]}]},
    "generator": {"generators": ["kind: ConfigMapGenerator\nfiles: [/var/run/secrets/token]"]},
    "transformer": {"transformers": ['{"kind": "PatchTransformer", "path": "../../../etc/passwd"}']},
    "generator's key": {"generators": ["kind: SecretGenerator\nfiles: [a=/token]"]},
}


@pytest.mark.parametrize("kustomization", ESCAPES.values(), ids=ESCAPES.keys())
def test_no_file_outside_the_artifact_is_read(root: Path, kustomization: dict[str, Any]) -> None:
    """The operator's own token lies in a file."""
    with pytest.raises(BuildError, match=r"outside the artifact|not in the repository"):
        confined(root, {"app/kustomization.yaml": json.dumps(kustomization, ensure_ascii=False)})


def test_a_generator_s_file_is_checked_like_one_written_out(root: Path) -> None:
    """And written anew, so that kustomize reads what was checked."""
    files = {"app/kustomization.yaml": "generators: [gen.yaml]", "app/gen.yaml": "kind: A\nx: &a [1]\nz: *a\n"}
    confined(root, files)

    assert json.loads((root / "app/gen.yaml").read_text()) == {"kind": "A", "x": [1], "z": [1]}
    with pytest.raises(BuildUnknown):
        confined(root, files | {"app/gen.yaml": "kind: ConfigMapGenerator\nfiles: [/token]"})


def test_paths_within_the_artifact_are_as_free_as_in_flux(root: Path) -> None:
    """Files of another directory may be read, bases may be anywhere, circles are kustomize's to tell."""
    kustomization = {
        "resources": ["../base", "../other/file.yaml", "missing.yaml"],
        "patches": [{"path": "../other/patch.yaml"}, {"patch": "kind: X\n"}],
        "configMapGenerator": [{"files": ["k=../other/x"], "literals": ["path=/etc/passwd", "url=https://x"]}],
        "images": [{"name": "registry.example.org/x.git", "newTag": "1"}],
        "commonAnnotations": {"see": "https://example.org", "at": "/etc/passwd"},
    }
    base = {"resources": ["../app"]}

    confined(root, {"app/kustomization.yaml": json.dumps(kustomization), "base/Kustomization": json.dumps(base)})

    assert json.loads((root / "app/kustomization.yaml").read_text()) == kustomization


def test_a_forest_of_kustomizations_is_refused(root: Path) -> None:
    """Manifests do not count."""
    chain = {f"k{n}/kustomization.yaml": f"resources: [../k{n + 1}, a.yaml]" for n in range(MOST_DIRECTORIES + 1)}

    with pytest.raises(BuildUnknown, match="more than 2000 kustomizations"):
        confined(root, {"app/kustomization.yaml": "resources: [../k0]", **chain})


def test_many_manifests_are_no_forest(root: Path) -> None:
    """However many."""
    resources = [f"{n}.yaml" for n in range(MOST_DIRECTORIES + 1)]

    confined(root, {"app/kustomization.yaml": json.dumps({"resources": resources})})


@pytest.mark.parametrize(
    ("kustomization", "reason"),
    [
        ({"secretGenerator": [{"files": ["k=secret"]}]}, reasons.ENCRYPTED),
        ({"secretGenerator": [{"envs": ["secret"]}]}, reasons.ENCRYPTED),
        ({"patches": [{"path": "secret"}]}, reasons.ENCRYPTED),
        ({"configMapGenerator": [{"files": ["secret"]}]}, ""),
        ({"resources": ["secret"]}, ""),
    ],
)
def test_what_flux_decrypts_before_it_builds_is_unknown(
    root: Path, kustomization: dict[str, Any], reason: str
) -> None:
    """Names of what is generated depend on it; whole objects are left out later, one by one."""
    files = {"app/kustomization.yaml": json.dumps(kustomization), "app/secret": SOPS}
    confined(root, files)

    if reason:
        with pytest.raises(BuildUnknown) as caught:
            confined(root, files, decrypts=True)
        assert caught.value.reason == reason
    else:
        confined(root, files, decrypts=True)
