"""Hostile objects: whatever they hold, they are read, decided on and written about."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation_contract.adapters.telemetry.metrics import Metrics
from reconciliation_contract.api.status.render import render_status
from reconciliation_contract.api.status.size import BUDGET, measure
from reconciliation_contract.core.evaluation import evaluate
from reconciliation_contract.core.incidents.message import notice
from reconciliation_contract.core.memory.effects import EmitEvent
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.core.values.text import bounded
from reconciliation_contract.observers.store import Store
from tests.support import builders
from tests.support.builders import Object, at, sha
from tests.support.builders_status import Told, read_back

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
STAMP = st.sampled_from(["2026-03-01T12:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+14:00", "now", ""])
TEXT = st.sampled_from(
    [f"main@sha1:{sha('A')}", f"Health check of sha1:{sha('B')}", "Ready", "True", "GitRepository"]
)
VALUE = JSON | STAMP | TEXT
CONDITION = st.dictionaries(
    st.sampled_from(["type", "status", "reason", "message", "lastTransitionTime", "observedGeneration"]), VALUE
)


def _some(*names: str, **parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fields = dict.fromkeys(names, VALUE) | {name: part | VALUE for name, part in parts.items()}
    return st.fixed_dictionaries({}, optional=fields)


META = _some(
    "resourceVersion", "generation", "deletionTimestamp", "creationTimestamp", "finalizers", uid=st.just("u")
)
RAW = _some(
    metadata=META.map(lambda m: m | {"name": "shop", "namespace": "apps"})
    | _some("name", "namespace", "labels", annotations=st.dictionaries(TEXT | st.text(), VALUE, max_size=3)),
    spec=_some(
        "suspend",
        "path",
        "wait",
        "prune",
        "interval",
        "dependsOn",
        "ref",
        "url",
        "postBuild",
        sourceRef=_some("kind", "name"),
    ),
    status=_some(
        "lastAttemptedRevision",
        "lastAppliedRevision",
        "observedGeneration",
        "history",
        conditions=st.lists(CONDITION, max_size=4),
        artifact=_some("revision", lastUpdateTime=STAMP),
    ),
)


@given(st.lists(RAW, min_size=1, max_size=3), st.booleans())
def test_any_object_can_be_read(raws: list[Object], live: bool) -> None:
    """A hostile object reads as one that says little; it never breaks the watch."""
    store = Store()

    for number, raw in enumerate(raws):
        store.put_kustomization(raw, at(number), live=live)
        store.put_source(raw, at(number), live=live)
        store.put_contract(raw)

    for record in store.kustomizations.values():
        assert len(record.failures) <= 16
        assert len(record.ready.message) <= 4096


@given(st.lists(RAW, min_size=2, max_size=4))
def test_any_object_can_be_decided_on(raws: list[Object]) -> None:
    """A pass over hostile objects comes to a decision, and its status can be written."""
    store = Store()
    store.fresh = True
    store.put_contract(builders.contract())
    for raw in raws:
        named = {"name": "shop", "namespace": "apps", "uid": "u"}
        meta = raw.get("metadata")
        whole = raw | {"metadata": (meta if isinstance(meta, dict) else {}) | named}
        store.put_kustomization(whole, at(1), live=True)
        store.put_source(whole, at(1), live=True)

    memory = _passes(store)

    assert len(memory.conditions["Ready"].message) <= 300


def _passes(store: Store) -> Told:
    memory = Told()
    contract = store.contracts["apps", "shop"].contract
    assert isinstance(contract, Contract)
    for seconds in (2, 400, 800):
        seen = store.observe(contract, memory, acts=True, refused="")
        decision = evaluate(contract, memory, seen, at(seconds))
        memory = read_back(render_status(decision.memory, seen.flux.kustomization, decision.conditions))
    return memory


# The whole way --------------------------------------------------------------------------------------------------------

SECRET = "s3cr3t"
MEGABYTE = 1024 * 1024
MESSAGES = {
    "a secret in a URL": f"cannot clone https://bot:{SECRET}@git.example.com/shop.git?token={SECRET}: 403",
    "a secret in a header": f'webhook: 401, sent "Authorization: Bearer {SECRET}"',
    "a secret in a header without a scheme": f"request had authorization={SECRET}; denied",
    "a bearer token": f"denied for bearer {SECRET}{SECRET}",
    "a password with a slash": f"cannot clone https://bot:pa/{SECRET}@git.example.com/shop.git",
    "a secret in a URL in JSON": f'{{"url": "https:\\/\\/bot:{SECRET}@git.example.com"}}',
    "a secret without a scheme": f"cannot reach bot:{SECRET}@git.example.com",
    "a secret in a fragment": f"redirected to https://git.example.com/#access_token={SECRET}",
    "a secret by its name": f"sent token={SECRET} to the server",
    "a secret behind what is invisible": f"cannot clone https:/\u200b/bot:{SECRET}@git.example.com/shop.git",
    "a secret where the text is cut": "x" * 4_780 + f" https://bot:{SECRET}" + "y" * MEGABYTE,
    "bidirectional and control characters": "safe \u202egnp.exe\u2066\x1b[2J\x00\r\n# Ready\u2028end",
    "a megabyte of one word": "w" * MEGABYTE,
    "a megabyte of digits": "0a" * (MEGABYTE // 2),
    "a megabyte of addresses": "://" * (MEGABYTE // 3),
    "a megabyte of user names": "://a@" * (MEGABYTE // 5),
    "a megabyte of spaces": " " * MEGABYTE,
    "a megabyte of what is invisible": "\u200b" * MEGABYTE,
}


def _failing(message: str, conditions: int = 0) -> Store:
    """A world in which a commit fails at every attempt and everybody says the same about it."""
    store, source = Store(), builders.git_repository("A", updated=at(0))
    store.fresh = True
    store.put_contract(builders.contract(created=at(-60)))
    source = builders.source_failed(builders.serve(source, "B", at(10)), message, at(12))
    source["status"]["artifact"]["url"] = message
    store.put_source(source, at(12), live=True)
    raw = builders.kustomization("ready", "A", when=at(1))
    for seconds in (20, 60, 100):
        raw = builders.advance(raw, "checking", "B", at(seconds))
        raw = builders.advance(raw, "unhealthy", "B", at(seconds + 5), message=message)
        more = [
            {"type": f"T{n}", "status": "False", "reason": "R", "message": message[:60]} for n in range(conditions)
        ]
        raw["status"]["conditions"] = [*raw["status"]["conditions"], *more]
        store.put_kustomization(raw, at(seconds + 5), live=True)
    return store


def _told(store: Store) -> tuple[Told, list[str]]:
    """All that leaves the operator: the status, its events, metrics and notices."""
    contract, memory = store.contracts["apps", "shop"].contract, Told()
    texts: list[str] = []
    assert isinstance(contract, Contract)
    metrics = Metrics()
    for seconds in (106, 400, 800):
        seen = store.observe(contract, memory, acts=True, refused="")
        decision = evaluate(contract, memory, seen, at(seconds))
        texts += [effect.message for effect in decision.effects if isinstance(effect, EmitEvent)]
        written = render_status(decision.memory, seen.flux.kustomization, decision.conditions)
        assert measure(written) <= BUDGET
        texts += _strings(written)
        before, memory = memory, read_back(written)
        metrics.passed(contract, before, memory, memory.conditions)
        for incident in memory.incidents:
            message = notice(contract, "uid", incident, 1)
            texts += [message.title, message.text]
    texts += b"".join(metrics.scrape("")[1]).decode().splitlines()
    return memory, texts


def _strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for part in value.values() for text in _strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in _strings(part)]
    return [value] if isinstance(value, str) else []


@pytest.mark.timeout(20)  # a tenth of a second; minutes if any step were quadratic
@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_what_is_hostile_leaves_harmless(message: str) -> None:
    """From Flux's objects to the status, events, metrics and notices: redacted, bounded, one line, and soon."""
    memory, texts = _told(_failing(message))

    assert memory.delivery
    assert memory.delivery.failures
    assert memory.delivery.failures.count == 3
    assert memory.incidents
    for text in texts:
        assert SECRET not in text
        assert len(text) <= 1_000
        assert not any(
            unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"} for character in text.replace("\n", "")
        )


@pytest.mark.timeout(20)
def test_ten_thousand_conditions_are_read() -> None:
    """Only those that are asked for by name count."""
    memory, texts = _told(_failing("timeout waiting", conditions=10_000))

    assert memory.delivery
    assert memory.delivery.failures
    assert len(memory.conditions) < 20
    assert all(len(text) <= 1_000 for text in texts)


@pytest.mark.timeout(20)  # milliseconds; hours if a pattern were quadratic in the text itself
@pytest.mark.parametrize(
    "piece",
    [
        "w",
        "0",
        "://",
        "://a@",
        "a" * 40,
        "://?",
        " \n",
        "\u202e",
        "a:",
        ":a@",
        "token=",
        "bearer ",
        "authorization:",
        ":\\/",
    ],
)
def test_a_text_is_made_safe_in_linear_time(piece: str) -> None:
    """Even where all of it is to be kept: nothing but the limit makes it short."""
    text = piece * (MEGABYTE // len(piece))

    assert len(bounded(text, MEGABYTE)) <= MEGABYTE


@pytest.mark.parametrize(
    "text",
    [
        "cannot fetch https://registry.example.com/@scope/package: 404",
        "cannot fetch https://registry.example.com:8443/@scope/package: 404",
        "image ghcr.io/stefanprodan/podinfo@sha256:1234: not found",
        "secrets is forbidden: User system:serviceaccount:apps:shop cannot list secrets",
        "the token of the request is not valid",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """People need the rest of the message."""
    assert bounded(text) == text
