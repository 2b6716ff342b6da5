"""Whose fault a failure is, told from what kustomize-controller really says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciliation_contract.core.facts.failure_cause import CURABLE_REASONS, classify, excerpt
from reconciliation_contract.core.values.text import LIMIT, bounded

MESSAGES: dict[str, dict[str, str]] = yaml.safe_load(Path(__file__).with_name("flux_messages.yaml").read_text())
COMMIT = "commit"
"""Said of a failure that an older revision can cure."""


def cured_by(reason: str, message: str) -> str:
    cause = classify(reason, message)
    return COMMIT if cause.curable else cause.remedy


def assert_cured_by(expected: str, reason: str, message: str) -> None:
    assert cured_by(reason, message).endswith(expected), cured_by(reason, message)


@pytest.mark.parametrize("name", MESSAGES)
def test_what_flux_says_is_understood(name: str) -> None:
    """Each captured message is the commit's fault or not, and where it is not the remedy says what helps."""
    said = MESSAGES[name]

    cause = classify(said["reason"], said["message"])

    assert cause.curable == (said["cured_by"] == COMMIT)
    assert_cured_by(said["cured_by"], said["reason"], said["message"])


PERTURBATIONS: dict[str, Callable[[str], str]] = {
    "in capitals": str.upper,
    "in small letters": str.lower,
    "wrapped": lambda text: text.replace(" ", "\n   "),
    "indented with tabs": lambda text: text.replace(" ", "\t\t"),
    "with other quotes": lambda text: text.replace('"', "'"),
    "without quotes": lambda text: text.replace('"', "").replace("'", ""),
    "within a longer text": lambda text: f"reconciliation of shop/web failed:\n{text}\n; will retry in 2s",
    "as the status keeps it": bounded,
}


@pytest.mark.parametrize("how", PERTURBATIONS)
@pytest.mark.parametrize("name", MESSAGES)
def test_another_wording_is_understood(name: str, how: str) -> None:
    """Case, line breaks, quotes and what stands around are free to change from one version of Flux to the next."""
    said = MESSAGES[name]

    changed = PERTURBATIONS[how](said["message"])

    assert_cured_by(said["cured_by"], said["reason"], changed)


OTHERS: dict[str, tuple[str, str]] = {
    "the connection is refused": ('Patch "https://10.0.0.1:443/x": dial tcp 10.0.0.1:443: connect: connection refused', "repair it"),
    "the connection is lost": ("http2: client connection lost", "repair it"),
    "the answer ends": ('Get "https://10.0.0.1:443/api": EOF', "repair it"),
    "the API server is slow": ("Timeout: request did not complete within requested timeout 30s", "repair it"),
    "the API server is overloaded": ("the server was unable to return a response in the time allotted", "repair it"),
    "an aggregated API is down": ("the server is currently unable to handle the request", "repair it"),
    "admission is not ready": ('pods "web" is forbidden: not yet ready to handle request', "repair it"),
    "the token has expired": ("the server has asked for the client to provide credentials", "repair it"),
    "a conversion webhook is down": ("conversion webhook for example.com/v1, Kind=Widget failed: Post x", "repair it"),
    "the API server answers too late": (
        'Deployment/apps/web dry-run failed: Patch "https://10.0.0.1:443/x": context deadline exceeded',
        "repair it",
    ),
    "Flux throttles itself": ("client rate limiter Wait returned an error: rate: Wait(n=1) would exceed x", "repair it"),
    "somebody else wrote in between": (
        "Operation cannot be fulfilled on x: please apply your changes to the latest version and try again",
        "repair it",
    ),
    "a remote cluster has no credentials": (
        "unable to read KubeConfig secret 'apps/prod' error: secrets \"prod\" not found",
        "look at its Secret",
    ),
    "a registry is down behind a policy": (
        'admission webhook "images.example.com" denied the request: Get "https://registry": dial tcp: i/o timeout',
        "repair it",
    ),
    "a policy that speaks of rights": (
        'admission webhook "x" denied the request: User "ann" cannot create resource "pods" without a label',
        COMMIT,
    ),
    "a policy that speaks of quotas": ('admission webhook "x" denied the request: exceeded quota of labels', COMMIT),
    "a restricted namespace": ('pods "web" is forbidden: violates PodSecurity "restricted:latest": privileged', COMMIT),
    "a quota that wants limits": ('pods "web" is forbidden: failed quota: few: must specify limits.cpu', COMMIT),
    "a secret that was edited by hand": ("decryption failed for 'Secret.v1/s': MAC mismatch. File has X", COMMIT),
    "an application that is called sops": (
        "timeout waiting for: [Deployment/apps/sops-operator status: 'InProgress']",
        COMMIT,
    ),
    "an application that is called quota": ("timeout waiting for: [Job/apps/exceeded-quota status: 'Failed']", COMMIT),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_rare_is_understood(name: str) -> None:
    """What the API server says in an outage, and words that only look like it."""
    message, expected = OTHERS[name]

    assert_cured_by(expected, "ReconciliationFailed", message)


def test_an_application_may_be_late_itself() -> None:
    """A health check quotes what objects say of themselves."""
    message = "health check failed after 30s: [Widget/apps/w status: 'Failed': context deadline exceeded]"

    assert classify("HealthCheckFailed", message).curable


def test_only_a_build_lacks_what_its_spec_refers_to() -> None:
    """The same words of an apply are about an object in Git."""
    message = 'secrets "key" not found'

    built, applied = classify("BuildFailed", message), classify("ReconciliationFailed", message)

    assert (built.curable, applied.curable) == (False, True)


@given(st.text(max_size=200), st.text(max_size=200))
def test_nothing_is_curable_at_an_unknown_stage(reason: str, message: str) -> None:
    """A new reason of Flux's never leads to an act."""
    cause = classify(reason, message)

    assert cause.curable <= (reason in CURABLE_REASONS)
    assert cause.curable != bool(cause.remedy)


# Shortening -------------------------------------------------------------------------------------------------------

LONG = "n" * 240


@pytest.mark.parametrize(
    "tail",
    [
        '"https://10.0.0.1:443/apis": dial tcp 10.0.0.1:443: connect: connection refused',
        'is forbidden: User "system:serviceaccount:apps:x" cannot patch resource "deployments"',
        "is forbidden: exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1",
        'failed calling webhook "x": failed to call webhook: Post "https://x": context deadline exceeded',
        "Invalid value: -1: must be greater than or equal to 0",
    ],
)
@pytest.mark.parametrize("more", ["", f" and {LONG}{LONG}"])
def test_long_names_do_not_hide_the_cause(tail: str, more: str) -> None:
    """A status keeps so much of a message that the cause is the same as that of the whole."""
    message = f"Deployment/{LONG}/{LONG} dry-run failed: {tail}{more}"

    kept = excerpt("ReconciliationFailed", message)

    assert len(kept) <= LIMIT
    assert classify("ReconciliationFailed", kept) == classify("ReconciliationFailed", message)
    assert bounded(kept) == kept
    assert kept.startswith("Deployment/")


@pytest.mark.parametrize("name", MESSAGES)
def test_a_short_message_is_kept_whole(name: str) -> None:
    """Where nothing has to be left out nothing is."""
    said = MESSAGES[name]

    kept = excerpt(said["reason"], said["message"])

    assert kept == bounded(said["message"])


@given(st.sampled_from(sorted(CURABLE_REASONS)), st.text(max_size=2000))
def test_an_excerpt_is_bounded(reason: str, message: str) -> None:
    """Whatever a message holds, the status stays small."""
    assert len(excerpt(reason, message)) <= LIMIT
