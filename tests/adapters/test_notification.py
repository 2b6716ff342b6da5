"""What each sink sends, and what becomes of it when the other side does not play along."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reconciliation_contract.adapters.notification import Sink, SinkError, Undeliverable
from reconciliation_contract.adapters.notification.alertmanager import AlertmanagerSink
from reconciliation_contract.adapters.notification.apprise import MOST, AppriseSink, Urls, apprise_sinks
from reconciliation_contract.adapters.notification.cloudevents import CloudEventsSink
from reconciliation_contract.adapters.notification.flux import FluxSink
from reconciliation_contract.config import Settings
from reconciliation_contract.core.delivery.milestone import Milestone, Step
from reconciliation_contract.core.incidents.message import Notice, identity, notice
from reconciliation_contract.core.memory.memory import Incident
from reconciliation_contract.core.spec.contract import Severity
from reconciliation_contract.runtime.operator import sinks
from tests.support.builders_core import CONTRACT
from tests.support.receiver import receiving
from tests.support.virtual_time import START
from tests.support.virtual_time_port import free_port

OPENED = START - timedelta(minutes=12)
INCIDENT = Incident(
    key="Delivery",
    promise="Reconciliation",
    reason="HealthCheckFailed",
    severity=Severity.CRITICAL,
    opened_at=OPENED,
    message="Reconciliation broken: not healthy within 5m",
    revision="main@sha1:" + "b" * 40,
    cause="commit bbbb",
    count=1,
    told_at=OPENED,
)
OVER = replace(INCIDENT, count=2, closed_at=START, told_at=START + timedelta(minutes=1))
MILESTONE = Milestone(
    id="0123456789abcdef",
    step=Step.UPGRADED,
    namespace="apps",
    contract="shop",
    kustomization="shop",
    revision="main@sha1:" + "a" * 40,
    artifact="pkg:github/owner/shop@" + "a" * 40,
    at=START,
    started_at=OPENED,
)
PLUGINS = "ignore::DeprecationWarning:apprise.*"
"""Apprise loads all its plugins at the first URL; some use modules that Python has deprecated."""
SECRET = "s3cr3t-of-the-test"
MONDAY = "Mon, 05 Jan 2026 12:00"
SINKS: dict[str, Callable[[str], Sink]] = {
    "flux": lambda url: FluxSink(url, "pod-1"),
    "alertmanager": lambda url: AlertmanagerSink(url, "", lambda: START),
    "cloudevents": lambda url: CloudEventsSink(url, ""),
}
"""Those that post by themselves."""


def opening() -> Notice:
    """The first message."""
    return notice(CONTRACT, "uid-k", INCIDENT, 1)


def recovery() -> Notice:
    """The last message."""
    return notice(CONTRACT, "uid-k", OVER, 2)


# Alertmanager -------------------------------------------------------------------------------------------------------


async def test_alertmanager_is_told_what_fires() -> None:
    """Labels that stay the same for the same trouble, whatever the revision; it fires for minutes unless repeated."""
    async with receiving(200) as receiver:
        sink = AlertmanagerSink(receiver.url, "", lambda: START)
        await sink.send([opening()])
        await sink.close()

    ((alert,),) = receiver.taken
    assert receiver.came[0].path == "/api/v2/alerts"
    assert alert["labels"] == {
        "alertname": "ContractDelivery",
        "namespace": "apps",
        "contract": "shop",
        "kustomization": "shop",
        "key": "Delivery",
        "cause": "commit bbbb",
        "severity": "critical",
    }
    assert alert["startsAt"] == "2026-01-05T11:48:00.000Z"
    assert alert["endsAt"] == "2026-01-05T12:05:00.000Z"
    assert alert["annotations"]["summary"] == "apps/shop: Reconciliation broken (HealthCheckFailed)"
    assert alert["annotations"]["revision"] == INCIDENT.revision


async def test_alertmanager_is_told_what_is_over() -> None:
    """The same labels with the true end; of the messages of one incident only the newest."""
    async with receiving(200) as receiver:
        sink = AlertmanagerSink(receiver.url, "", lambda: START)
        await sink.send([opening()])
        await sink.send([opening(), recovery()])
        await sink.close()

    (first,), (second,) = receiver.taken
    assert second["labels"] == first["labels"]
    assert (second["startsAt"], second["endsAt"]) == (first["startsAt"], "2026-01-05T12:00:00.000Z")


async def test_an_alert_without_a_shared_cause_has_no_such_label() -> None:
    """A label that is empty is none, and a route can tell the two apart."""
    async with receiving(200) as receiver:
        sink = AlertmanagerSink(receiver.url, "", lambda: START)
        await sink.send([notice(CONTRACT, "uid-k", replace(INCIDENT, cause=""), 1)])
        await sink.close()

    assert "cause" not in receiver.taken[0][0]["labels"]


async def test_an_alert_never_ends_before_it_began() -> None:
    """Alertmanager refuses that for good; a clock that was set back makes it so."""
    early = OPENED - timedelta(hours=1)
    over = replace(OVER, closed_at=early)
    async with receiving(200) as receiver:
        sink = AlertmanagerSink(receiver.url, "", lambda: early)
        await sink.send([opening()])
        await sink.send([notice(CONTRACT, "uid-k", over, 2)])
        await sink.close()

    assert [(alert["startsAt"], alert["endsAt"]) for (alert,) in receiver.taken] == [
        ("2026-01-05T11:48:00.000Z",) * 2
    ] * 2


async def test_alertmanager_hears_the_end_of_the_severity_before() -> None:
    """As its own alert, at once and once: not by silence minutes later, in the midst of the incident."""
    mild = notice(CONTRACT, "uid-k", replace(INCIDENT, severity=Severity.WARNING), 1)
    worse = notice(CONTRACT, "uid-k", replace(INCIDENT, count=2), 2)
    async with receiving(200) as receiver:
        sink = AlertmanagerSink(receiver.url, "", lambda: START)
        await sink.send([mild])
        receiver.status = 503
        with pytest.raises(SinkError):
            await sink.send([worse])
        receiver.status = 200
        for told in (worse, worse, recovery()):
            await sink.send([told])
        await sink.close()

    ended = ("warning", "2026-01-05T12:00:00.000Z")
    seen = [[(a["labels"]["severity"], a["endsAt"]) for a in body] for body in receiver.taken]
    fires = "2026-01-05T12:05:00.000Z"
    assert seen == [
        [("warning", fires)],
        [("critical", fires), ended],
        [("critical", fires)],
        [("critical", "2026-01-05T12:00:00.000Z")],
    ]


async def test_each_replica_of_alertmanager_is_told() -> None:
    """They share no alerts; one that is down is a sink that fails, and no other."""
    async with receiving(200) as first, receiving(503) as second:
        settings = Settings(alertmanagers=(first.url, second.url))
        works, fails = sinks(settings, lambda: START)
        await works.send([opening()])
        with pytest.raises(SinkError):
            await fails.send([opening()])
        second.status = 200
        await fails.send([opening()])
        for sink in (works, fails):
            await sink.close()

    assert (works.name, fails.name) == ("alertmanager", "alertmanager-2")
    assert first.taken == second.taken != []


def test_more_replicas_of_alertmanager_than_a_status_holds_are_refused() -> None:
    """At the start, with the limit."""
    with pytest.raises(SinkError, match="--alertmanager is given 5 times; name each replica, at most 4"):
        list(sinks(Settings(alertmanagers=("http://am:9093",) * 5), lambda: START))


# CloudEvents --------------------------------------------------------------------------------------------------------


async def test_a_cloud_event_holds_a_cdevent() -> None:
    """Structured JSON with the required attributes of both specifications, agreeing with each other."""
    async with receiving() as receiver:
        sink = CloudEventsSink(receiver.url, "")
        await sink.send([opening(), recovery()])
        await sink.close()

    opened, over = receiver.taken
    name = identity(CONTRACT.uid, INCIDENT)
    assert receiver.came[0].headers["Content-Type"] == "application/cloudevents+json"
    assert (opened["specversion"], opened["type"]) == ("1.0", "dev.cdevents.incident.detected.0.2.0")
    assert over["type"] == "dev.cdevents.incident.resolved.0.2.0"
    assert (opened["id"], over["id"]) == (f"{name}-1", f"{name}-2")
    assert opened["subject"] == over["subject"] == name
    context, subject = opened["data"]["context"], opened["data"]["subject"]
    assert set(context) == {"version", "id", "source", "type", "timestamp"}
    assert {key: context[key] for key in ("id", "source", "type")} == {k: opened[k] for k in ("id", "source", "type")}
    assert set(subject) == {"id", "source", "type", "content"}
    assert set(subject["content"]) == {"description", "environment", "service"}
    assert set(opened["data"]) == {"context", "subject", "customData", "customDataContentType"}
    assert over["data"]["customData"]["closedAt"] == "2026-01-05T12:00:00.000Z"


REQUIRED = {
    "context": {"version", "id", "source", "type", "timestamp"},
    "subject": {"id", "type", "content"},
    "content": {"environment", "artifactId"},
    "environment": {"id"},
}
"""What ``service.deployed``, ``.upgraded`` and ``.rolledback`` 0.2.0 require: schemas/service*.json of CDEvents 0.4.1."""
KNOWN = {
    "context": REQUIRED["context"] | {"schemaUri", "chainId", "links"},
    "subject": REQUIRED["subject"] | {"source"},
    "content": REQUIRED["content"],
    "environment": REQUIRED["environment"] | {"source"},
    "data": {"context", "subject", "customData", "customDataContentType"},
}
"""What they let be there at all."""


@pytest.mark.parametrize("step", Step)
async def test_a_milestone_is_a_cdevent_about_a_service(step: Step) -> None:
    """Complete by the schema, with nothing that it does not know; agreeing with the event around it."""
    made = replace(MILESTONE, step=step, left="main@sha1:" + "b" * 40 if step is Step.ROLLED_BACK else "")
    async with receiving() as receiver:
        sink = CloudEventsSink(receiver.url, "")
        await sink.announce(made)
        await sink.close()

    (event,) = receiver.taken
    data = event["data"]
    content = data["subject"]["content"]
    parts = {**data, "data": data, "content": content, "environment": content["environment"]}
    assert not {name: missing for name, keys in REQUIRED.items() if (missing := keys - set(parts[name]))}
    assert not {name: unknown for name, keys in KNOWN.items() if (unknown := set(parts[name]) - keys)}
    assert event["type"] == data["context"]["type"] == f"dev.cdevents.service.{step.value}.0.2.0"
    assert (event["id"], event["source"]) == (data["context"]["id"], data["context"]["source"])
    assert (event["subject"], event["time"]) == (data["subject"]["id"], data["context"]["timestamp"])
    assert data["subject"]["type"] == "service"
    assert data["customData"].get("rolledBackFrom", "") == made.left


async def test_a_milestone_names_the_service_as_an_incident_does() -> None:
    """So that what is broken can be found among what was deployed."""
    async with receiving() as receiver:
        sink = CloudEventsSink(receiver.url, "")
        await sink.announce(MILESTONE)
        await sink.send([opening()])
        await sink.close()

    deployed, broken = (body["data"]["subject"] for body in receiver.taken)
    assert {"id": deployed["id"], "source": deployed["source"]} == broken["content"]["service"]
    assert deployed["content"]["environment"] == broken["content"]["environment"]


# Trouble ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "status", "kind"),
    [
        (make, status, kind)
        for make in SINKS
        for status, kind in {
            400: Undeliverable,
            422: Undeliverable,
            401: SinkError,
            404: SinkError,
            302: SinkError,
            429: SinkError,
            503: SinkError,
        }.items()
        if (make, status) != ("flux", 429)
    ],
)
async def test_what_the_other_side_says_decides(make: str, status: int, kind: type[SinkError]) -> None:
    """Only what speaks of the message itself ends it; a redirect is never followed."""
    async with receiving(status) as receiver:
        sink = SINKS[make](receiver.url)
        with pytest.raises(SinkError, match=str(status)) as caught:
            await sink.send([opening()])
        await sink.close()

    assert type(caught.value) is kind
    assert len(receiver.came) == 1


@pytest.mark.parametrize("wanted", [True, False])
async def test_a_commit_status_is_set_only_where_that_is_wanted(wanted: bool) -> None:
    """By the metadata that Flux's own events carry; with it a provider would replace Flux's own status."""
    async with receiving() as receiver:
        sink = FluxSink(receiver.url, "pod-1", commit_statuses=wanted)
        await sink.send([opening()])
        await sink.close()

    revision = receiver.taken[0]["metadata"].get("kustomize.toolkit.fluxcd.io/revision", "")
    assert revision == (INCIDENT.revision if wanted else "")
    assert INCIDENT.revision


async def test_only_flux_means_a_duplicate_by_429() -> None:
    """Its notification-controller has the event then; another receiver that is busy has nothing yet."""
    async with receiving(429) as receiver:
        sink = FluxSink(receiver.url, "pod-1")
        await sink.send([opening()])
        await sink.close()

    assert len(receiver.came) == 1


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"Retry-After": "120"}, 120),
        (503, {"Retry-After": "7"}, 7),
        (500, {"Retry-After": "7"}, 0),
        (503, {"Retry-After": "soon"}, 0),
        (503, {"Retry-After": "-5"}, 0),
        (503, {"Retry-After": f"{MONDAY}:10 GMT", "Date": f"{MONDAY}:00 GMT"}, 10),
        (503, {"Retry-After": f"{MONDAY}:00 GMT", "Date": f"{MONDAY}:10 GMT"}, 0),
        (503, {"Retry-After": f"{MONDAY}:10 -0000", "Date": f"{MONDAY}:00 GMT"}, 0),
        (503, {}, 0),
    ],
)
async def test_a_busy_sink_says_when_to_try_again(status: int, headers: dict[str, str], seconds: float) -> None:
    """In seconds or as a date by its own clock; what makes no sense is no wish."""
    async with receiving(status) as receiver:
        receiver.headers = headers
        sink = CloudEventsSink(receiver.url, "")
        with pytest.raises(SinkError) as caught:
            await sink.send([opening()])
        await sink.close()

    assert caught.value.retry_after == seconds


async def test_nobody_listens() -> None:
    """A refused connection is an outage of the sink, and names it."""
    port = free_port()
    sink = FluxSink(f"http://127.0.0.1:{port}/", "pod-1")

    with pytest.raises(SinkError, match=f"127.0.0.1:{port} does not answer"):
        await sink.send([opening()])

    await sink.close()


async def test_a_token_is_read_anew_and_never_shown(tmp_path: Path) -> None:
    """A mounted Secret changes while we run; what goes wrong is told without it."""
    token = tmp_path / "token"
    token.write_text(f"{SECRET}\n")
    async with receiving(200) as receiver:
        sink = AlertmanagerSink(receiver.url, str(token), lambda: START)
        await sink.send([opening()])
        token.write_text("another")
        await sink.send([opening()])
        receiver.status = 401
        with pytest.raises(SinkError) as refused:
            await sink.send([opening()])
        token.unlink()
        with pytest.raises(SinkError, match="cannot be read") as missing:
            await sink.send([opening()])
        await sink.close()

    sent = [post.headers["Authorization"] for post in receiver.came[:2]]
    assert sent == [f"Bearer {SECRET}", "Bearer another"]
    assert "another" not in str(refused.value) + str(missing.value)


@pytest.mark.parametrize("text", ["one\ntwo", "one\r\nX-Evil: 1", "tök"], ids=["lines", "header", "not ASCII"])
async def test_a_token_of_more_than_one_line_is_sent_nowhere(tmp_path: Path, text: str) -> None:
    """It would be a header of its own; the file is named, what it holds is not."""
    token = tmp_path / "token"
    token.write_text(text)
    async with receiving(200) as receiver:
        sink = CloudEventsSink(receiver.url, str(token))
        with pytest.raises(SinkError, match="more than one line") as caught:
            await sink.send([opening()])
        await sink.close()

    assert receiver.came == []
    assert text not in str(caught.value)


@pytest.mark.parametrize("status", [302, 400, 401, 500])
async def test_what_a_sink_answers_is_told_to_nobody(status: int) -> None:
    """Whoever set the address may show it whatever it likes, and read it in our log; the status is enough."""
    async with receiving(status) as receiver:
        receiver.headers = {"Location": "http://169.254.169.254/latest", "X-Canary": "canary"}
        sink = CloudEventsSink(receiver.url, "")
        with pytest.raises(SinkError) as caught:
            await sink.send([opening()])
        await sink.close()

    assert str(caught.value).endswith(f" answers {status}")
    assert len(receiver.came) == 1


# Apprise ------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings(PLUGINS)
async def test_apprise_sends_to_a_url_of_a_file(tmp_path: Path) -> None:
    """Title, text and kind reach a service; comments and empty lines are skipped."""
    urls = tmp_path / "urls"
    async with receiving(200) as receiver:
        urls.write_text(f"# the team\n\n{receiver.url.replace('http', 'json')}hook\n")
        (sink,) = apprise_sinks(str(urls))
        await sink.send([opening(), recovery()])
        await sink.close()

    first, last = receiver.taken
    assert (first["title"], first["message"]) == (opening().title, opening().text)
    assert (first["type"], last["type"]) == ("failure", "success")


@pytest.mark.filterwarnings(PLUGINS)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"json://user:{SECRET}@127.0.0.1/\nnonsense://{SECRET}\n", "line 2 of .* is no URL that Apprise knows"),
        ("# nothing\n", "names no URLs"),
        ("json://127.0.0.1/\n" * (MOST + 1), f"names {MOST + 1} URLs; write 1 to {MOST}"),
        (None, "cannot be read"),
    ],
)
def test_apprise_refuses_a_bad_file_at_the_start(tmp_path: Path, text: str | None, said: str) -> None:
    """What is wrong is told by its line, without the secrets in it."""
    urls = tmp_path / "urls"
    if text is not None:
        urls.write_text(text)

    with pytest.raises(SinkError, match=said) as caught:
        apprise_sinks(str(urls))

    assert SECRET not in str(caught.value)


@pytest.mark.filterwarnings(PLUGINS)
async def test_apprise_tells_when_a_service_refuses(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The message stays due, and no secret of the URL is logged."""
    urls = tmp_path / "urls"
    async with receiving(500) as receiver:
        urls.write_text(receiver.url.replace("http://", f"json://user:{SECRET}@"))
        (sink,) = apprise_sinks(str(urls))
        with pytest.raises(SinkError, match="refused"):
            await sink.send([opening()])
        await sink.close()

    assert SECRET not in caplog.text


@pytest.mark.filterwarnings(PLUGINS)
async def test_each_url_of_apprise_is_a_sink_of_its_own(tmp_path: Path) -> None:
    """One that fails has the others repeat nothing, and a URL that changes is taken up where it stands."""
    urls = tmp_path / "urls"
    async with receiving(200) as good, receiving(500) as bad:
        lines = [server.url.replace("http", "json") for server in (good, bad)]
        urls.write_text("\n".join(lines))
        works, fails = apprise_sinks(str(urls))
        await works.send([opening()])
        with pytest.raises(SinkError, match="apprise-2 refused"):
            await fails.send([opening()])
        urls.write_text("\n".join([lines[0], lines[0]]))
        await fails.send([opening()])
        urls.write_text(lines[0])
        with pytest.raises(SinkError, match="names only 1 URLs now"):
            await fails.send([opening()])
        for sink in (works, fails):
            await sink.close()

    assert (works.name, fails.name) == ("apprise-1", "apprise-2")
    assert (len(good.taken), len(bad.came)) == (2, 1)


@pytest.mark.filterwarnings(PLUGINS)
async def test_apprise_shows_markup_as_it_is(tmp_path: Path) -> None:
    """What a cluster says is text, whatever the service could make of it."""
    urls = tmp_path / "urls"
    async with receiving(200) as receiver:
        urls.write_text(f"{receiver.url.replace('http', 'json')}?format=html")
        (sink,) = apprise_sinks(str(urls))
        await sink.send([replace(opening(), text="<b>2 < 3</b>")])
        await sink.close()

    assert "&lt;b&gt;" in receiver.taken[0]["message"]


async def test_a_slow_service_behind_apprise_has_a_message_once(tmp_path: Path) -> None:
    """Given up on and tried again, it is waited for; nothing of it happens in the loop's own threads."""
    release, sent = threading.Event(), []

    class Slow:
        """A service that answers when it is told to."""

        def add(self, _: str) -> bool:
            return True

        def notify(self, title: str, **_: object) -> bool:
            sent.append((title, threading.current_thread().name))
            return release.wait(10)

    class Library:
        Apprise = Slow
        NotifyFormat = SimpleNamespace(TEXT="text")

    urls = tmp_path / "urls"
    urls.write_text("slow://")
    sink = AppriseSink(Urls(Library(), urls), 0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await sink.send([opening()])
    release.set()
    await sink.send([opening()])
    await sink.send([recovery()])
    await sink.close()

    assert [title for title, _ in sent] == [opening().title, recovery().title]
    assert {thread.partition("_")[0] for _, thread in sent} == {"apprise-1"}


def test_every_message_is_short() -> None:
    """Title and text fit a phone, whatever came from outside."""
    loud: Any = replace(INCIDENT, reason="R" * 253, promise="P" * 253)

    assert len(notice(CONTRACT, "", loud, 1).text) <= 500
    assert len(notice(CONTRACT, "", replace(loud, closed_at=START, count=2), 2).text) <= 700
