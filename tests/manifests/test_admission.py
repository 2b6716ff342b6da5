"""The admission policy as it is rendered: in force, strict, and about the names that the operator reads."""

from __future__ import annotations

from reconciliation_contract.api.contract.annotations import PREFIX
from reconciliation_contract.api.contract.parse import GROUP, PLURAL, VERSION
from reconciliation_contract.core.spec.contract import DriftMode, RollbackMode, RollbackPolicy
from tests.manifests.rendering import Manifest, Rendering

POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
ACTING = {
    ("kustomize.toolkit.fluxcd.io", "kustomizations", "patch"),
    ("source.toolkit.fluxcd.io", "gitrepositories", "create"),
}
"""What the operator does for an author, and an author must therefore be allowed to do."""


def variables(policy: Manifest) -> dict[str, str]:
    """The named expressions of the policy."""
    return {variable["name"]: variable["expression"] for variable in policy["spec"]["variables"]}


def test_the_policy_is_in_force(variant: Rendering) -> None:
    """Both variants deny what the policy refuses, and deny as well where it cannot be evaluated."""
    policy, binding = variant.one(POLICY), variant.one(BINDING)

    assert binding["spec"] == {"policyName": policy["metadata"]["name"], "validationActions": ["Deny"]}
    assert policy["spec"]["failurePolicy"] == "Fail"
    assert "matchConditions" not in policy["spec"]
    assert {validation["reason"] for validation in policy["spec"]["validations"]} == {"Forbidden"}


def test_the_policy_is_about_contracts(variant: Rendering) -> None:
    """Writing a contract and deleting it are looked at; its status is not, for it is the operator's."""
    (rule,) = variant.one(POLICY)["spec"]["matchConstraints"]["resourceRules"]

    assert (rule["apiGroups"], rule["apiVersions"], rule["resources"]) == ([GROUP], [VERSION], [PLURAL])
    assert rule["operations"] == ["CREATE", "UPDATE", "DELETE"]


def test_the_policy_demands_what_the_operator_does(full: Rendering) -> None:
    """Every write of the acting role to a Flux object, but for cleaning up after itself, is demanded of the author."""
    demanded = [validation["expression"] for validation in full.one(POLICY)["spec"]["validations"]]
    granted = {(right.group, right.resource, right.verb) for right in full.rights() if right.role.endswith("-act")}
    flux = {right for right in granted if right[0].endswith(".fluxcd.io") and right[2] != "delete"}

    assert flux == ACTING
    for group, resource, verb in flux:
        (expression,) = (text for text in demanded if f"group('{group}')" in text)
        assert f"resource('{resource}')" in expression
        assert f"check('{verb}').allowed()" in expression
        assert ".namespace(request.namespace)" in expression


def test_the_policy_knows_every_request(variant: Rendering) -> None:
    """A request annotation of any name begins as the policy expects it."""
    asks = variables(variant.one(POLICY))["asks"]

    assert asks.count(f"startsWith('{PREFIX}')") == 2


def test_a_mode_left_out_acts(variant: Rendering) -> None:
    """Only the one mode that never acts is free; the default is not."""
    acts = variables(variant.one(POLICY))["acts"]

    assert RollbackPolicy().mode is not RollbackMode.DISABLED
    assert acts.startswith("!has(object.spec.rollback) || !has(object.spec.rollback.mode)")
    assert acts.endswith(f"object.spec.rollback.mode != '{RollbackMode.DISABLED}'")


def test_to_correct_is_to_patch(variant: Rendering) -> None:
    """A contract that has Flux asked to put drift right patches its Kustomization, whatever it does not roll back."""
    known = variables(variant.one(POLICY))

    assert known["corrects"].endswith(f"object.spec.promises.drift.mode == '{DriftMode.CORRECT}'")
    assert "variables.corrects" in known["patches"]
    assert "corrects" not in known["pins"]


def test_nobody_is_exempt_by_name(variant: Rendering) -> None:
    """The policy names no user, so that an overlay may move the operator to another namespace."""
    policy = str(variant.one(POLICY)["spec"])

    assert "userInfo" not in policy
    assert "serviceaccount" not in policy.lower()
