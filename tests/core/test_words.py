"""What people read: durations, texts from outside, and whose fault a failure is."""

from __future__ import annotations

import re
import unicodedata
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciliation_contract.core.facts.failure_cause import CURABLE_REASONS, classify
from reconciliation_contract.core.values.duration import spoken
from reconciliation_contract.core.values.text import LIMIT, bounded, cleaned
from tests.support.builders import ATTEMPT_FAILED, FAILED, PHASES

SPOKEN: dict[str, timedelta] = {
    "0s": timedelta(0),
    "480ms": timedelta(milliseconds=480),
    "1s": timedelta(seconds=1),
    "4.2s": timedelta(milliseconds=4231),
    "59.9s": timedelta(milliseconds=59_900),
    "5m": timedelta(minutes=5),
    "1m30s": timedelta(seconds=90),
    "1h30m": timedelta(minutes=90),
    "26h": timedelta(hours=26),
    "-4.2s": timedelta(milliseconds=-4231),
}


@pytest.mark.parametrize("text", SPOKEN)
def test_durations_are_written_as_go_does(text: str) -> None:
    """Rounded to what a person can use."""
    assert spoken(SPOKEN[text]) == text


@example(timedelta(seconds=59.96))
@example(timedelta(seconds=3599.7))
@example(timedelta(seconds=0.9996))
@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=400)))
def test_a_duration_always_has_words(duration: timedelta) -> None:
    """No duration is written as nothing, and none as sixty seconds or minutes."""
    text = spoken(duration)

    assert text
    assert not re.search(r"(?<![0-9.])(1000ms|60s|60m)", text)


TEXTS: dict[str, tuple[str, str]] = {
    "a plain text": ("all is well", "all is well"),
    "a password in a URL": (
        "cannot clone https://ann:s3cret@git.example.com/x",
        "cannot clone https://git.example.com/x",
    ),
    "a token in a URL": ("https://ghp_abc@github.com/a/b.git: denied", "https://github.com/a/b.git: denied"),
    "a user of SSH": ("ssh://git@example.com/x", "ssh://example.com/x"),
    "a password with an @": ("https://ann:p@s3cret@example.com/x", "https://example.com/x"),
    "a password in a URL broken by what is not seen": (
        "https:\u200b//ann:s3cret@example.com/x",
        "https://example.com/x",
    ),
    "a commit": (f"main@sha1:{'0123456789' * 4} is applied", "main@sha1:01234567 is applied"),
    "a commit alone": ("0123456789" * 4, "01234567"),
    "a digest of something else": (f"sha256:{'ab' * 32}", f"sha256:{'ab' * 32}"),
    "a signed query": ("GET https://s3/x?X-Amz-Signature=abc&y=1: 403", "GET https://s3/x 403"),
    "a quoted URL with a query": ('Post "https://hook/x?token=abc": EOF', 'Post "https://hook/***": EOF'),
    "lines": ("one\ntwo\r\n\tthree", "one two three"),
    "control characters": ("a\x00b\x1b[31mc", "ab[31mc"),
    "characters that turn the direction": ("user\u202egnp.exe\u2066", "usergnp.exe"),
    "characters without width": ("a\u200bb\ufeffc", "abc"),
    "a lone surrogate": ("a\ud800b", "ab"),
    "line separators": ("a\u2028b", "ab"),
    "other scripts": ("größer 検査 ✓", "größer 検査 ✓"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_from_outside_are_made_fit(name: str) -> None:
    """No secret, no second line, nothing invisible."""
    text, expected = TEXTS[name]

    assert bounded(text) == expected


@pytest.mark.parametrize("length", [LIMIT - 1, LIMIT, LIMIT + 1, LIMIT * 100])
def test_texts_are_cut(length: int) -> None:
    """A text that is too long ends in an ellipsis and is exactly as long as allowed."""
    cut = bounded("x" * length)

    assert len(cut) == min(length, LIMIT)
    assert cut.endswith("…") == (length > LIMIT)


@given(st.text(st.characters(), max_size=400), st.integers(1, 350))
def test_any_text_becomes_one_visible_line(text: str, limit: int) -> None:
    """Whatever comes in: bounded, printable, and stable when done twice."""
    once = bounded(text, limit)

    assert len(once) <= limit
    assert not {unicodedata.category(ch) for ch in once} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert bounded(once, limit) == once


def test_a_password_cut_in_two_is_not_shown() -> None:
    """Of a text that is too long to be read whole, no first half of a password is left."""
    url = "https://ann:s3cret@example.com/x"
    spaces = " " * (LIMIT * 80 - len("https://ann:s3c"))

    assert bounded(spaces + url) == "https://"
    assert "s3cret" not in cleaned(url, 300)


@given(st.text("ab:/@? \n", max_size=60))
def test_no_user_information_survives(rest: str) -> None:
    """However a URL is broken up, what stands before its @ is not shown."""
    shown = bounded(f"https://ann:s3cret@example.com/{rest}")

    assert "s3cret" not in shown


# Whose fault ----------------------------------------------------------------------------------------------------------

INNOCENT: dict[str, tuple[str, str]] = {
    "a missing right": (
        (
            'dry-run failed (Forbidden): deployments.apps "web" is forbidden: User "system:serviceaccount:apps:x" cannot '
            'patch resource "deployments" in API group "apps" in the namespace "apps"'
        ),
        "grant it",
    ),
    "an escalation": ('clusterroles "x" is forbidden: user "y" is attempting to grant RBAC permissions', "grant it"),
    "a quota": ('pods "web" is forbidden: exceeded quota: compute, requested: cpu=1, used: cpu=4', "free some"),
    "a webhook that is down": (
        'Internal error occurred: failed calling webhook "x": failed to call webhook: Post "https://x.svc/": dial tcp',
        "repair it",
    ),
    "an API server that is down": (
        'Get "https://10.0.0.1:443/api": dial tcp 10.0.0.1:443: connect: connection refused',
        "repair it",
    ),
    "an etcd that is slow": ("etcdserver: request timed out", "repair it"),
    "a controller that is stopped": ("context canceled", "repair it"),
    "a key that is missing": ("failed to decrypt and decode data: cannot get sops data key", "provide the key"),
}


@pytest.mark.parametrize("name", INNOCENT)
def test_what_no_commit_can_help(name: str) -> None:
    """A rollback would not cure it, and the remedy says what would."""
    message, remedy = INNOCENT[name]

    cause = classify("ReconciliationFailed", message)

    assert not cause.curable
    assert cause.remedy.endswith(remedy)


GUILTY = {
    "an immutable field": "Deployment/apps/web dry-run failed (Invalid): spec.selector: field is immutable",
    "an unknown kind": 'no matches for kind "Widget" in version "example.com/v1"',
    "a webhook that says no": 'admission webhook "policy.example.com" denied the request: no latest tags',
    "a rollout that hangs": "timeout waiting for: [Deployment/apps/web status: 'InProgress']",
    "a text that nobody knows": "something new in Flux 3",
    "nothing said": "",
}


@pytest.mark.parametrize("name", GUILTY)
def test_what_a_commit_can_be_blamed_for(name: str) -> None:
    """An unknown text counts as the commit's own fault."""
    assert classify("ReconciliationFailed", GUILTY[name]).curable


@pytest.mark.parametrize("phase", sorted(FAILED))
def test_every_failure_of_flux_is_placed(phase: str) -> None:
    """Only failures of an attempt, and not those of rights and webhooks, are a commit's."""
    reason, message = PHASES[phase].reason, PHASES[phase].message

    cause = classify(reason, message)

    guilty = phase in ATTEMPT_FAILED - {"forbidden", "webhookless", "unpruned"}
    assert cause.curable == guilty
    assert cause.curable <= (reason in CURABLE_REASONS)


def test_a_reason_that_nobody_gave_is_not_curable() -> None:
    """Without a reason nothing is known, so nothing is done."""
    assert classify("", "x").remedy == "the failure does not come from the manifests"
