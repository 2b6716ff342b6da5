"""Settings and logs."""

from __future__ import annotations

import json
import logging
import sys
import threading
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from reconciliation_contract import logs
from reconciliation_contract.config import Listen, Settings

OURS = logging.getLogger("reconciliation_contract.test")


pytestmark = pytest.mark.usefixtures("logging_as_before")


# Settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8080", Listen("127.0.0.1", 8080)),
        ("0.0.0.0:0", Listen("0.0.0.0", 0)),
        ("localhost:65535", Listen("localhost", 65535)),
        ("[::]:8080", Listen("::", 8080)),
    ],
)
def test_an_address_is_read(text: str, expected: Listen) -> None:
    """Host and port, an IPv6 address in brackets."""
    assert Listen.parse(text) == expected


@pytest.mark.parametrize("text", ["", "8080", ":8080", "host:", "host:x", "host:65536", "host:+1", "host: 1"])
def test_what_is_no_address_is_refused_with_the_mend(text: str) -> None:
    """One sentence, with an example."""
    with pytest.raises(ValueError, match="write HOST:PORT, for example"):
        Listen.parse(text)


def test_settings_are_frozen_and_refuse_what_they_do_not_know() -> None:
    """A misspelt setting is an error, not a setting without effect."""
    with pytest.raises(TypeError):
        Settings(sweeping_interval=3)  # type: ignore[call-arg]  # that is the point
    with pytest.raises(FrozenInstanceError):
        Settings().acts = False  # type: ignore[misc]  # same


def test_by_default_nothing_listens_beyond_this_machine() -> None:
    """Probes and metrics are on loopback unless somebody says otherwise."""
    assert {Settings().health.host, Settings().metrics.host} == {"127.0.0.1"}


# Logs -------------------------------------------------------------------------------------------------------------


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was logged."""
    return capsys.readouterr().err.splitlines()


def parsed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What was logged as JSON, each line an object of its own."""
    return [json.loads(line) for line in lines(capsys)]


def test_json_is_one_object_a_line_with_the_key_values(capsys: pytest.CaptureFixture[str]) -> None:
    """Message and level, and what was said beside them; a contract is written as namespace/name."""
    logs.set_up("info", "json")
    OURS.warning("the cluster did not do it", extra={"contract": ("apps", "shop"), "retry_in": 0.25, "at": object})

    (entry,) = parsed(capsys)
    assert entry.pop("time").endswith("+00:00")
    assert entry.pop("at").startswith("<class")
    assert entry == {
        "level": "warning",
        "logger": "reconciliation_contract.test",
        "message": "the cluster did not do it",
        "contract": "apps/shop",
        "retry_in": 0.25,
    }


def test_an_exception_stays_on_its_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Traceback and line breaks are inside of the object."""
    logs.set_up("info", "json")
    try:
        int("two\nlines")
    except ValueError:
        OURS.exception("a pass\nfailed", extra={"error": 'with "quotes"'})

    (entry,) = parsed(capsys)
    assert entry["message"] == "a pass failed"
    assert entry["error"] == 'with "quotes"'
    assert "ValueError: invalid literal" in entry["traceback"]
    assert "\n" in entry["traceback"]


def test_text_is_one_line_with_the_key_values(capsys: pytest.CaptureFixture[str]) -> None:
    """For a terminal."""
    logs.set_up("info", "text")
    OURS.info("ready", extra={"contract": ("apps", "shop")})

    (line,) = lines(capsys)
    assert line.endswith(" info    ready contract=apps/shop")


def test_what_libraries_attach_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """They attach whole objects, which may hold anything."""
    logs.set_up("info", "json")
    logging.getLogger("kopf.objects").warning("careful", extra={"k8s_ref": {"data": "secret"}})

    (entry,) = parsed(capsys)
    assert sorted(entry) == ["level", "logger", "message", "time"]


@pytest.mark.parametrize(
    ("level", "ours", "theirs"),
    [
        ("debug", ["debug", "info", "warning", "error"], ["warning", "error"]),
        ("info", ["info", "warning", "error"], ["warning", "error"]),
        ("warning", ["warning", "error"], ["warning", "error"]),
        ("error", ["error"], ["error"]),
    ],
)
def test_the_level_holds_for_us_and_libraries_are_quieter(
    level: str, ours: list[str], theirs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing below the level is logged by anybody, and nothing below a warning by libraries."""
    logs.set_up(level, "json")
    for name in ("reconciliation_contract.test", "kopf.objects"):
        for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            logging.getLogger(name).log(number, "x")

    logged = parsed(capsys)
    assert [entry["level"] for entry in logged if entry["logger"] != "kopf.objects"] == ours
    assert [entry["level"] for entry in logged if entry["logger"] == "kopf.objects"] == theirs


def test_a_second_set_up_replaces_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    """Every message is logged once."""
    logs.set_up("info", "text")
    logs.set_up("info", "json")
    OURS.info("once")

    assert len(parsed(capsys)) == 1
    assert logging.getLogger().handlers[0].stream is sys.stderr  # type: ignore[attr-defined]  # a stream handler


# Words of others --------------------------------------------------------------------------------------------------

CANARY = "c4n4ry"
HOSTILE = f'x: Invalid value: "{CANARY}": see https://ann:{CANARY}@example.com/?token={CANARY}\u202e\x1b[31m'


def _fail() -> None:
    raise ValueError(HOSTILE * 2) from OSError(HOSTILE)


@pytest.mark.parametrize("style", ["json", "text"])
def test_whatever_is_logged_passes_the_filter(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Message, key-values, an error's words in its traceback and those of what caused it."""
    logs.set_up("debug", style)
    try:
        _fail()
    except ValueError:
        OURS.exception("%s failed", HOSTILE, extra={"error": HOSTILE, "at": (HOSTILE, "b"), "what": [HOSTILE]})

    said = capsys.readouterr().err
    assert "ValueError" in said
    assert "Invalid value: ***" in said
    assert CANARY not in said
    assert "\u202e" not in said


@pytest.mark.parametrize(
    "name",
    [
        "aiohttp.client",
        "urllib3.connectionpool",
        "dulwich",
        "paramiko.transport",
        "kubernetes.client.rest",
        "opentelemetry",
        "kopf",
        "asyncio",
    ],
)
def test_libraries_are_not_heard_at_debug_level(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """They say headers, keys and whole objects, in forms that no filter can know."""
    logs.set_up("debug", "json")
    logging.getLogger(name).debug("sent %s", CANARY)
    logging.getLogger(name).info("sent %s", CANARY)

    assert lines(capsys) == []


def test_a_fault_that_nothing_caught_passes_the_filter(capsys: pytest.CaptureFixture[str]) -> None:
    """Also in a thread, and what Python itself warns of."""
    logs.set_up("info", "json")
    thread = threading.Thread(target=lambda: int(HOSTILE))

    thread.start()
    thread.join()
    error = ValueError(HOSTILE)
    sys.excepthook(ValueError, error, None)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)

    told = parsed(capsys)
    assert [entry["level"] for entry in told] == ["critical", "critical"]
    assert CANARY not in json.dumps(told)
