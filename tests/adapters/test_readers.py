"""Who may read the metrics, as the API server says, remembers and cannot say."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from reconciliation_contract.adapters.telemetry.metrics_access import MOST, Readers
from reconciliation_contract.config import Listen
from tests.adapters.scripted import Asked, scripted
from tests.support.virtual_time import START

USER = {"username": "system:serviceaccount:a:b", "uid": "u", "groups": ["g"], "extra": {"x": ["1"]}}


class Server:
    """An API server that knows two tokens: one may, one may not."""

    def __init__(self) -> None:
        self.now = START
        self.code = 201
        self.may = True

    def clock(self) -> Any:
        return self.now

    def answer(self, asked: Asked) -> tuple[int, Any]:
        if self.code != 201:
            return self.code, {"message": "no"}
        if asked.path.endswith("/tokenreviews"):
            known = asked.body["spec"]["token"] in ("good", "weak")
            return 201, {"status": {"authenticated": known, "user": USER | {"username": asked.body["spec"]["token"]}}}
        return 201, {"status": {"allowed": self.may and asked.body["spec"]["user"] == "good"}}


@pytest.mark.parametrize(
    ("header", "status", "asked"),
    [
        pytest.param("Bearer good", 200, 2, id="a token that may"),
        pytest.param("bearer  good", 200, 2, id="written otherwise"),
        pytest.param("Bearer weak", 403, 2, id="a token that may not"),
        pytest.param("Bearer wrong", 401, 1, id="a token of nobody"),
        pytest.param("", 401, 0, id="none"),
        pytest.param("Bearer ", 401, 0, id="an empty one"),
        pytest.param("Basic good", 401, 0, id="another scheme"),
        pytest.param("Bearer " + "x" * 20_000, 401, 0, id="a huge one"),
    ],
)
async def test_a_reader_is_admitted_as_kubernetes_says(header: str, status: int, asked: int) -> None:
    """Whoever shows no token, or a wrong one, is nobody; who may not get the URL is refused."""
    server = Server()
    async with scripted(server.answer) as (cluster, script):
        assert await Readers(cluster, server.clock).admit(header) == status

    assert len(script.asked) == asked


async def test_all_that_is_known_of_a_reader_is_asked_about() -> None:
    """His name, groups and extras decide, and the URL as RBAC names it."""
    server = Server()
    async with scripted(server.answer) as (cluster, script):
        await Readers(cluster, server.clock).admit("Bearer good")

    assert script.asked[1].path == "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    assert script.asked[1].body["spec"] == {
        "user": "good",
        "uid": "u",
        "groups": ["g"],
        "extra": {"x": ["1"]},
        "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
    }


@pytest.mark.parametrize(("header", "status", "asked"), [("Bearer good", 200, 2), ("Bearer wrong", 401, 1)])
async def test_an_answer_holds_for_a_minute(header: str, status: int, asked: int) -> None:
    """Each scrape, and many at once, ask nothing; after a minute a right that was taken away is gone."""
    server = Server()
    async with scripted(server.answer) as (cluster, script):
        readers = Readers(cluster, server.clock)
        assert set(await asyncio.gather(*(readers.admit(header) for _ in range(10)))) == {status}
        assert len(script.asked) == asked
        server.now += timedelta(seconds=61)
        server.may = False

        assert await readers.admit(header) == (403 if status == 200 else 401)


@pytest.mark.parametrize("code", [503, 403])
async def test_whoever_was_allowed_stays_so_while_nobody_can_tell(code: int) -> None:
    """For ten minutes; a stranger is told that nobody can tell."""
    server = Server()
    async with scripted(server.answer) as (cluster, _):
        readers = Readers(cluster, server.clock)
        await readers.admit("Bearer good")
        server.code = code
        server.now += timedelta(minutes=9)
        assert await readers.admit("Bearer good") == 200
        assert await readers.admit("Bearer other") == 503
        server.now += timedelta(minutes=2)

        assert await readers.admit("Bearer good") == 503


async def test_a_flood_of_wrong_tokens_drives_no_right_one_out() -> None:
    """What is remembered is bounded, each kind by itself."""
    server = Server()
    async with scripted(server.answer) as (cluster, script):
        readers = Readers(cluster, server.clock)
        await readers.admit("Bearer good")
        for number in range(MOST + 10):
            await readers.admit(f"Bearer wrong-{number}")
        asked = len(script.asked)
        await readers.admit("Bearer good")
        assert len(script.asked) == asked
        await readers.admit("Bearer wrong-0")

    assert len(script.asked) == asked + 1


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("127.9.9.9:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("metrics.example.com:1", False),
    ],
)
def test_only_on_loopback_everybody_is_admitted(address: str, loopback: bool) -> None:
    """An address that others may reach is none."""
    assert Listen.parse(address).loopback is loopback
