"""What the operator may do, in each variant and with each opt-in."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.manifests.conftest import Overlay
from tests.manifests.rendering import DEPLOY, NAME, Manifest, Rendering, Right

READING = {"get", "list", "watch"}
ROW = re.compile(r"^\| `(?P<role>[\w-]+)` \| (?P<group>[\w.]+) \| (?P<resource>[\w/]+) \| (?P<verbs>[\w, ]+) \|")
"""A row of the table of rights in deploy/README.md."""

BUILT_IN = {"cluster-admin", "admin", "edit", "view"}
ESCALATING = {"bind", "escalate", "impersonate"}


def documented(*roles: str) -> set[Right]:
    """Read from the README what some of the roles are said to grant."""
    return set(_documented(roles))


def _documented(roles: tuple[str, ...]) -> Iterator[Right]:
    rows = [match for line in (DEPLOY / "README.md").read_text().splitlines() if (match := ROW.match(line))]
    assert {f"{NAME}-act", f"{NAME}-flux-health", f"{NAME}-metrics-auth", f"{NAME}-observe"} == {
        row["role"] for row in rows
    }
    for row in rows:
        if row["role"] in roles:
            namespace = "flux-system" if row["role"] == f"{NAME}-flux-health" else ""
            for verb in row["verbs"].split(", "):
                yield Right(row["role"], namespace, row["group"], row["resource"], verb)


def opt_in(name: str, resource_names: list[str]) -> Manifest:
    """Use a component the way its own comment tells a user to."""
    patch = f"- {{op: replace, path: /rules/0/resourceNames, value: [{', '.join(resource_names)}]}}"
    return {
        "namespace": "apps",
        "components": [f"../deploy/components/{name}"],
        "patches": [{"target": {"kind": "Role", "name": f"{NAME}-{name}"}, "patch": patch}],
    }


def test_the_observing_variant_grants_what_the_readme_says(observe: Rendering) -> None:
    """The table of rights in deploy/README.md is complete and exact for the observing variant."""
    rights = observe.rights()

    assert rights == documented(f"{NAME}-observe", f"{NAME}-flux-health", f"{NAME}-metrics-auth")


def test_the_full_variant_adds_only_the_acting_role(full: Rendering, observe: Rendering) -> None:
    """The table is complete and exact for the full variant, and the acting role is all that it adds."""
    added = full.rights() - observe.rights()

    assert observe.rights() < full.rights()
    assert added == documented(f"{NAME}-act")
    assert full.identities() - observe.identities() == {
        ("ClusterRole", "", f"{NAME}-act"),
        ("ClusterRoleBinding", "", f"{NAME}-act"),
    }


def test_observing_writes_no_flux_object(observe: Rendering) -> None:
    """Without the acting role, every right on Flux's objects is a reading one."""
    verbs = {right.verb for right in observe.rights() if right.group.endswith(".fluxcd.io")}

    assert verbs <= READING


def test_observing_never_writes_a_spec(observe: Rendering) -> None:
    """Without the acting role, all that can be written is a contract's status and Events; reviews write nothing."""
    reviews = {("authentication.k8s.io", "tokenreviews"), ("authorization.k8s.io", "subjectaccessreviews")}
    written = {(right.group, right.resource) for right in observe.rights() if right.verb not in READING} - reviews

    assert written == {
        ("reconciliation.dev", "reconciliationcontracts/status"),
        ("events.k8s.io", "events"),
    }


def test_no_role_has_a_wildcard(variant: Rendering) -> None:
    """Every role, for people as for the operator, spells out groups, resources and verbs."""
    wild = [
        role["metadata"]["name"]
        for role, rule in variant.rules()
        if any("*" in word for key in ("apiGroups", "resources", "verbs") for word in rule[key])
    ]

    assert wild == []


def test_no_role_reaches_secrets(variant: Rendering) -> None:
    """Neither variant reads Secrets, nor anything else of the core group."""
    groups = {group for _, rule in variant.rules() for group in rule["apiGroups"]}
    resources = {resource for _, rule in variant.rules() for resource in rule["resources"]}

    assert "" not in groups
    assert not {resource for resource in resources if resource.startswith("secrets")}


def test_no_role_can_be_used_to_gain_more(variant: Rendering) -> None:
    """No role has a verb that lends the rights of others, or covers a URL beside the resources."""
    verbs = {verb for _, rule in variant.rules() for verb in rule["verbs"]}

    assert not verbs & ESCALATING
    assert not [rule for _, rule in variant.rules() if "nonResourceURLs" in rule]


def test_the_operator_gets_no_role_made_for_people(variant: Rendering) -> None:
    """Bindings name our own roles only, not the cluster's, and our service account only."""
    bindings = variant.of_kind("RoleBinding", "ClusterRoleBinding")

    assert not {binding["roleRef"]["name"] for binding in bindings} & BUILT_IN
    assert all(
        binding["subjects"] == [{"kind": "ServiceAccount", "name": NAME, "namespace": NAME}] for binding in bindings
    )


def test_people_get_contracts_with_the_clusters_own_roles(variant: Rendering) -> None:
    """Whoever may view or edit a namespace may view or edit its contracts, but nobody writes a status."""
    roles = {role["metadata"]["name"]: role for role in variant.of_kind("ClusterRole")}
    view, edit = roles[f"{NAME}-view"], roles[f"{NAME}-edit"]

    assert _aggregates_to(view) == {"view", "edit", "admin"}
    assert _aggregates_to(edit) == {"edit", "admin"}
    for role in (view, edit):
        assert [rule["resources"] for rule in role["rules"]] == [["reconciliationcontracts"]]
    assert set(view["rules"][0]["verbs"]) == READING


def _aggregates_to(role: Manifest) -> set[str]:
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    return {
        label.removeprefix(prefix)
        for label, value in role["metadata"]["labels"].items()
        if label.startswith(prefix) and value == "true"
    }


@pytest.mark.parametrize(
    ("name", "resource", "verb"),
    [("git-secrets", "secrets", "get"), ("impersonation", "serviceaccounts", "impersonate")],
)
def test_an_opt_in_grants_one_verb_on_named_objects(name: str, resource: str, verb: str, overlay: Overlay) -> None:
    """An opt-in reaches the objects that the user names, in the namespace that the user names, and no others."""
    rendering = overlay(opt_in(name, ["first", "second"]))

    assert rendering.rights() == {Right(f"{NAME}-{name}", "apps", "", resource, verb, ("first", "second"))}
    (subject,) = rendering.one("RoleBinding")["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": NAME, "namespace": NAME}


def test_validation_acts_as_flux_and_reads_kustomizations(overlay: Overlay) -> None:
    """One account of one namespace, and the spec of Kustomizations, which says how to build."""
    rendering = overlay({"components": ["../deploy/components/validation"]})

    name = f"{NAME}-validation"
    assert rendering.rights() == {
        Right(name, "", "kustomize.toolkit.fluxcd.io", "kustomizations", "get"),
        Right(name, "", "source.toolkit.fluxcd.io", "buckets", "get"),
        Right(name, "", "source.toolkit.fluxcd.io", "ocirepositories", "get"),
        Right(name, "flux-system", "", "serviceaccounts", "impersonate", ("kustomize-controller",)),
    }


@pytest.mark.parametrize("name", ["git-secrets", "impersonation"])
def test_an_opt_in_left_as_it_is_does_not_open_everything(name: str, overlay: Overlay) -> None:
    """A user who forgets to name the objects grants a placeholder, not all of them."""
    rendering = overlay({"namespace": "apps", "components": [f"../deploy/components/{name}"]})

    assert all(right.names for right in rendering.rights())


def test_the_live_opt_in_only_reads_workloads(overlay: Overlay) -> None:
    """What follows deliveries sees workloads everywhere, writes nothing, and reads nothing of the core group."""
    rendering = overlay({"components": ["../deploy/components/live"]})

    kinds = ("deployments", "statefulsets", "daemonsets")
    assert rendering.rights() == {
        Right(f"{NAME}-live", "", "apps", kind, verb) for kind in kinds for verb in ("get", "list", "watch")
    }
