"""People's requests: annotations that ask for something, and those that make no sense and ask for nothing."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciliation_contract.api.contract.annotations import hash_in, parse_requests
from reconciliation_contract.core.spec.requests import NAMES, Requests, Signature, names
from reconciliation_contract.core.values.text import bounded

BAD, GOOD = "a3" * 20, "b4" * 20
KEYS = [f"reconciliation.dev/{name}" for name in ("approve", "rollback", "release", "hold", "forget", "pause-until")]
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The first text that hypothesis makes costs seconds on a busy machine."""

HASHES = {
    "a whole hash": (BAD, BAD),
    "a revision as Flux names it": (f"main@sha1:{BAD}", BAD),
    "a revision of a tag with a slash": (f"refs/tags/v1@sha1:{BAD}", BAD),
    "a revision without a branch": (f"sha1:{BAD}", BAD),
    "capitals, and spaces around": (f" {BAD.upper()} \n", BAD),
    "a hash as Git abbreviates it": ("a3a3a3a", "a3a3a3a"),
    "a hash abbreviated beyond use": ("a3a3a3", ""),
    "a hash with a character too many": (f"{BAD}0", ""),
    "a word": ("true", ""),
    "a branch": ("main", ""),
    "nothing": ("", ""),
    "digits of another script": ("\u0663" * 40, ""),
    "another kind of hash": (f"sha256:{BAD}", ""),
    "100 kB": ("x" * 100_000, ""),
    "two hashes": (f"{BAD} {GOOD}", ""),
}

ROLLBACKS = {
    "two whole hashes": (f"{BAD}..{GOOD}", (BAD, GOOD)),
    "two revisions": (f"main@sha1:{BAD}..main@sha1:{GOOD}", (BAD, GOOD)),
    "two abbreviations, spaced": ("a3a3a3a .. b4b4b4b", ("a3a3a3a", "b4b4b4b")),
    "no target": (f"{BAD}..", ("", "")),
    "no start": (f"..{GOOD}", ("", "")),
    "a target that is none": (f"{BAD}..main", ("", "")),
    "a start that is none": (f"HEAD..{GOOD}", ("", "")),
    "three dots": (f"{BAD}...{GOOD}", ("", "")),
    "a chain": (f"{BAD}..{GOOD}..{BAD}", ("", "")),
    "one hash": (BAD, ("", "")),
    "nothing": ("", ("", "")),
}

PAUSES = {
    "2026-11-23T06:00:00Z": datetime(2026, 11, 23, 6, tzinfo=UTC),
    "2026-11-23T06:00:00.250Z": datetime(2026, 11, 23, 6, 0, 0, 250_000, tzinfo=UTC),
    "2026-11-23T07:00:00+01:00": datetime(2026, 11, 23, 6, tzinfo=UTC),
    "2026-11-23T06:00:00": None,
    "0001-01-01T00:00:00+23:59": None,
    "2h": None,
    "tomorrow": None,
    "": None,
}


@pytest.mark.parametrize("case", HASHES)
def test_a_revision_is_named_by_its_hash(case: str) -> None:
    """A hash, its beginning or a whole revision names one; a word or too short a beginning does not."""
    text, expected = HASHES[case]

    assert hash_in(text) == expected


def written(key: str, text: str) -> dict[str, str]:
    """What is kept of a request that makes no sense."""
    return {key: bounded(text)} if text else {}


@pytest.mark.parametrize("key", ["approve", "release", "forget"])
@pytest.mark.parametrize("case", HASHES)
def test_requests_about_one_revision_name_it(key: str, case: str) -> None:
    """Approval, release and forgetting each ask about the revision that they name, and of no other request."""
    text, expected = HASHES[case]

    asked = parse_requests({f"reconciliation.dev/{key}": text})

    unclear = {} if expected else written(key, text)
    assert asked == Requests(**{key: expected}, unclear=unclear)


@pytest.mark.parametrize("case", ROLLBACKS)
def test_a_rollback_names_both_its_ends(case: str) -> None:
    """A rollback is asked for as a range; half a range asks for nothing."""
    text, expected = ROLLBACKS[case]

    asked = parse_requests({"reconciliation.dev/rollback": text})

    assert (asked.rollback_from, asked.rollback_to) == expected
    assert asked.unclear == ({} if any(expected) else written("rollback", text))


@pytest.mark.parametrize("text", PAUSES)
def test_a_pause_has_an_end(text: str) -> None:
    """A pause ends at a time with a zone; without one it does not begin."""
    asked = parse_requests({"reconciliation.dev/pause-until": text})

    assert asked == Requests(paused_until=PAUSES[text], unclear={} if PAUSES[text] else written("pause", text))


SIGNED = {
    f"{BAD} by zoe: prices are wrong": (BAD, Signature("zoe", "prices are wrong")),
    f"{BAD} by zoe": (BAD, Signature("zoe")),
    f"{BAD} by zoe at 2026-11-23T06:00:00Z: prices": (
        BAD,
        Signature("zoe", "prices", datetime(2026, 11, 23, 6, tzinfo=UTC)),
    ),
    f"{BAD} at 2026-11-23T06:00:00Z": (BAD, Signature(at=datetime(2026, 11, 23, 6, tzinfo=UTC))),
    f"{BAD} by zoe at noon": (BAD, Signature("zoe at noon")),
    f"{BAD}: prices are wrong": (BAD, Signature(why="prices are wrong")),
    f"{BAD}: broken by max: look": (BAD, Signature(why="broken by max: look")),
    f"main@sha1:{BAD} by system:serviceaccount:apps:ci: rule: 5": (
        BAD,
        Signature("system:serviceaccount:apps:ci", "rule: 5"),
    ),
    " by zoe: why": ("", Signature("zoe", "why")),
    "by zoe": ("", Signature("zoe")),
}


@pytest.mark.parametrize("value", SIGNED)
@pytest.mark.parametrize("key", ["approve", "release", "forget"])
def test_a_request_is_signed_in_its_own_value(key: str, value: str) -> None:
    """Who asks and why stand behind what is asked, so that they belong to nothing else."""
    hash_, signature = SIGNED[value]

    asked = parse_requests({f"reconciliation.dev/{key}": value})

    unclear = {} if hash_ else written(key, value)
    assert asked == Requests(**{key: hash_}, signatures={key: signature}, unclear=unclear)
    assert parse_requests({f"reconciliation.dev/{key}": asked.written(key)}).signature(key) == signature


def test_ranges_and_times_are_signed_too() -> None:
    """A rollback and a pause carry their signature the same way."""
    asked = parse_requests(
        {
            "reconciliation.dev/rollback": f"{BAD}..{GOOD} by zoe: prices",
            "reconciliation.dev/pause-until": "2026-11-23T06:00:00Z by max: sale",
        }
    )

    assert (asked.rollback_from, asked.rollback_to) == (BAD, GOOD)
    assert asked.paused_until == PAUSES["2026-11-23T06:00:00Z"]
    assert asked.signatures == {"rollback": Signature("zoe", "prices"), "pause": Signature("max", "sale")}


HOLDS = {
    "Zoë: shop must stay until Monday": ("Zoë: shop must stay until Monday", {}),
    "by zoe: until Monday": ("until Monday", {"hold": Signature("zoe")}),
    "released by nobody": ("released by nobody", {}),
    "": ("", {}),
}


@pytest.mark.parametrize("value", HOLDS)
def test_a_hold_is_its_reason(value: str) -> None:
    """Why a rollback is held comes through in his own words, and who, where he says so first."""
    hold, signatures = HOLDS[value]

    assert parse_requests({"reconciliation.dev/hold": value}) == Requests(hold=hold, signatures=signatures)


def test_words_lose_their_tricks() -> None:
    """Words end up in the status and in events: one line, bounded, and without a secret of a URL."""
    words = "https://zoe:hunter2@example.org/?token=hunter2\n\u202e" + "x" * 100_000

    asked = parse_requests(
        {"reconciliation.dev/hold": words, "reconciliation.dev/release": f"{BAD} by {words}: {words}"}
    )

    release = asked.signature("release")
    for found, limit in ((asked.hold, 300), (release.by, 100), (release.why, 300)):
        assert found.startswith("https://example.org/ x")
        assert len(found) == limit


def test_everything_can_be_asked_at_once() -> None:
    """No request hides another, and none is lost."""
    asked = parse_requests(
        {
            "reconciliation.dev/approve": BAD,
            "reconciliation.dev/rollback": f"{BAD}..{GOOD}",
            "reconciliation.dev/release": "a3a3a3a",
            "reconciliation.dev/hold": "audit",
            "reconciliation.dev/forget": f"{GOOD} by zoe: prices are wrong",
            "reconciliation.dev/pause-until": "2026-11-23T06:00:00Z",
        }
    )

    until, signed = datetime(2026, 11, 23, 6, tzinfo=UTC), {"forget": Signature("zoe", "prices are wrong")}
    assert asked == Requests(BAD, BAD, GOOD, "a3a3a3a", "audit", GOOD, until, signed)
    assert all(asked.written(name) for name in NAMES)


@pytest.mark.parametrize("key", ["approved", "Rollback", "hold ", "until"])
def test_other_annotations_ask_for_nothing(key: str) -> None:
    """Only the exact names are requests."""
    assert parse_requests({f"reconciliation.dev/{key}": BAD, "example.org/approve": BAD}) == Requests()


TEXTS = (
    st.text(max_size=60)
    | st.text(st.sampled_from("0123456789abcdefsha1:@.-TZ+ \n\0\u202e"), max_size=90)
    | st.datetimes().map(str)
    | st.sampled_from([BAD, f"{BAD}..{GOOD}", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"])
)


@PATIENT
@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=40), TEXTS, max_size=len(KEYS)))
def test_any_annotation_is_a_request_or_nothing(annotations: dict[str, str]) -> None:
    """Whatever people annotate: never an exception, every hash is one, every word is fit to be shown."""
    asked = parse_requests(annotations)

    for hash_ in (asked.approve, asked.rollback_from, asked.rollback_to, asked.release, asked.forget):
        assert hash_ == "" or re.fullmatch("[0-9a-f]{7,40}", hash_)
    assert bool(asked.rollback_from) == bool(asked.rollback_to)
    assert asked.paused_until is None or asked.paused_until.tzinfo is UTC
    assert all(f"{word}".isprintable() for word in (asked.hold, *asked.signatures.values()))


@PATIENT
@given(st.text(max_size=60), st.integers(7, 40))
def test_what_was_read_names_the_revision_it_was_read_from(branch: str, length: int) -> None:
    """Any revision, and any abbreviation of its hash, leads back to the same hash."""
    whole, short = hash_in(f"{branch}@sha1:{BAD}"), hash_in(BAD[:length])

    assert names(whole, BAD)
    assert names(short, BAD)
    assert not names(short, GOOD)
