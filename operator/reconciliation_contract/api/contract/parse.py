"""A contract from its raw object. What its author got wrong becomes a sentence, never an exception."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypedDict

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from reconciliation_contract.api.contract.annotations import parse_requests
from reconciliation_contract.api.contract.spec_models import AlertsSpec, PromisesSpec, RollbackSpec, Spec
from reconciliation_contract.api.kubernetes.metadata import parent_of
from reconciliation_contract.api.kubernetes.raw import Raw, moment, read_map, read_number, read_strings, read_text
from reconciliation_contract.api.quote import excerpt
from reconciliation_contract.core.spec.contract import (
    AlertPolicy,
    AlertRule,
    Contract,
    Declared,
    InvalidContract,
    Promises,
    RollbackMode,
    RollbackPolicy,
)
from reconciliation_contract.core.spec.ignore_rules import IgnoreRule
from reconciliation_contract.core.values.text import cleaned

GROUP: Final = "reconciliation.dev"
VERSION: Final = "v1alpha1"
KIND: Final = "ReconciliationContract"
PLURAL: Final = "reconciliationcontracts"
FINALIZER: Final = f"{GROUP}/rollback"
"""On a contract whose rollback must be released before it may go."""
REQUESTED_AT: Final = "reconcile.fluxcd.io/requestedAt"
"""Annotation by which a person asks for a pass now; its value comes back in the status."""

_LONGEST_REQUEST: Final = 253
_LONGEST_NAME: Final = 253
_EXAMPLE: Final = "name the Kustomization, as in kustomizationRef: {name: shop}"


class _Identity(TypedDict):
    """What a contract has, valid or not."""

    namespace: str
    name: str
    uid: str
    generation: int
    deleting: bool
    finalized: bool


def parse_contract(raw: Mapping[str, Any]) -> Declared:
    """Read a contract from the object as the API server gives it. Never raises for what is in the object."""
    meta = read_map(raw, "metadata")
    identity, created = _identity(meta), moment(meta.get("creationTimestamp"))
    if created is None:
        return _invalid(identity, raw, "metadata.creationTimestamp is missing or not a time stamp")
    if raw.get("spec") is None:
        return _invalid(identity, raw, f"spec is missing; {_EXAMPLE}")
    try:
        spec = Spec.model_validate(raw["spec"])
    except ValidationError as error:
        # What is going has nothing to promise any more, but may have something to give back.
        last = _last_will(read_map(raw, "spec")) if identity["deleting"] else None
        if last is None:
            return _invalid(identity, raw, _problem(error.errors(include_url=False)))
        spec = last
    return _contract(identity, created, spec, meta)


def _invalid(identity: _Identity, raw: Raw, problem: str) -> InvalidContract:
    """How people are told of it rests on the parts that make sense by themselves."""
    spec = read_map(raw, "spec")
    name = cleaned(read_text(read_map(spec, "kustomizationRef"), "name"), _LONGEST_NAME)
    try:
        alerts = _alerts(AlertsSpec.model_validate(spec.get("alerts", {})))
    except ValidationError:
        alerts = AlertPolicy()
    return InvalidContract(**identity, problem=problem, kustomization=name, alerts=alerts)


def _last_will(raw: Raw) -> Spec | None:
    """What a release needs of a spec that makes no sense: whose Kustomization, and under which identity."""
    kept = {key: raw[key] for key in ("kustomizationRef", "serviceAccountName") if key in raw}
    try:
        return Spec.model_validate({**kept, "rollback": {"mode": RollbackMode.DISABLED}})
    except ValidationError:
        return None


def _identity(meta: Raw) -> _Identity:
    finalizers = meta.get("finalizers")
    return {
        "namespace": read_text(meta, "namespace"),
        "name": read_text(meta, "name"),
        "uid": read_text(meta, "uid"),
        "generation": read_number(meta, "generation"),
        "deleting": meta.get("deletionTimestamp") is not None,
        "finalized": isinstance(finalizers, list) and FINALIZER in finalizers,
    }


def _contract(identity: _Identity, created: datetime, spec: Spec, meta: Raw) -> Contract:
    annotations = read_map(meta, "annotations")
    return Contract(
        **identity,
        created_at=created,
        kustomization=spec.kustomization_ref.name,
        promises=_promises(spec.promises),
        rollback=_policy(spec.rollback),
        alerts=_alerts(spec.alerts),
        service_account=spec.service_account_name,
        suspended=spec.suspend,
        requests=parse_requests(read_strings(annotations)),
        parent=parent_of(meta),
        requested_at=read_text(annotations, REQUESTED_AT)[:_LONGEST_REQUEST],
    )


def _promises(spec: PromisesSpec) -> Promises:
    return Promises(
        detection=spec.detection.within,
        reconciliation=spec.reconciliation.within,
        validation=spec.validation.within,
        drift_mode=spec.drift.mode,
        drift_interval=spec.drift.interval,
        deletion=spec.deletion.within,
        drift_ignore=tuple(IgnoreRule(r.kind, r.name, tuple(r.paths)) for r in spec.drift.ignore),
        availability=spec.availability.minimum,
    )


def _policy(spec: RollbackSpec) -> RollbackPolicy:
    return RollbackPolicy(
        mode=spec.mode,
        failures=spec.after.failures,
        duration=spec.after.duration,
        within=spec.within,
        settle=spec.settle,
        max_age=spec.max_age,
        budget=spec.budget.rollbacks,
        budget_per=spec.budget.per,
    )


def _alerts(spec: AlertsSpec) -> AlertPolicy:
    return AlertPolicy(
        severity=spec.severity,
        after=spec.after,
        remind_every=spec.remind_every,
        suspended=spec.suspend,
        failures=spec.failures,
        rules=tuple(
            AlertRule(tuple(rule.about), rule.severity, rule.after, rule.remind_every, suspended=rule.suspend)
            for rule in spec.rules
        ),
    )


# Problems ----------------------------------------------------------------------------------------------------


def _problem(errors: Sequence[ErrorDetails]) -> str:
    """Say the first problem in a sentence, and how many more there are."""
    more = len(errors) - 1
    return _sentence(errors[0]) + (f" ({more} more to mend)" if more else "")


def _sentence(error: ErrorDetails) -> str:
    """Rewrite an error for the person who wrote the contract."""
    field = ".".join(("spec", *(str(part) for part in error["loc"])))
    context, value = error.get("ctx", {}), error["input"]
    match error["type"]:
        case "missing":
            return f"{field} is missing; {_EXAMPLE}"
        case "value_error":
            return f"{field}: {context['error']}"
        case "enum":
            return f"{field} is {excerpt(value)}; write one of {context['expected']}"
        case "string_pattern_mismatch" | "string_too_short" | "string_too_long":
            return (
                f"{field} is {excerpt(value)}, which cannot be a name; write the name of an object in the namespace"
            )
        case "greater_than_equal":
            return f"{field} is {excerpt(value)}; write at least {context['ge']}"
        case "less_than_equal":
            return f"{field} is {excerpt(value)}; write at most {context['le']}"
        case kind:
            return f"{field} is {excerpt(value)}; write {_WANTED.get(kind, error['msg'])}"


_WANTED: Final = {
    "model_type": "a mapping of its fields",
    "string_type": "a text in quotes",
    "bool_type": "true or false",
    "int_type": "a whole number",
}
