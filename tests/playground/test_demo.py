"""The demo reads the contract's status as it is meant, and is content with nothing less than its story."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from playground.process import ProcessDiedError
from playground.story.checks import greets, is_gone, is_pinned, is_released, leaves_nothing, runs
from playground.story.facts import Facts, conditions, of_budget, readable, short
from playground.story.failure import NotYet, StepFailed, errors_in, explain
from playground.story.play import Watch, is_complete, missing, require_pods
from playground.story.scene import NAMESPACE, sample
from playground.story.step import Outcome
from playground.story.steps import BASE, STEPS
from playground.story.summary import rows
from playground.waiting import WaitTimeoutError
from tests.playground.demo_contract import COMMIT, OTHER, STAGES, contract

NEW, UPDATE, DELETION, BROKEN, FIX = STEPS
KEPT = {"Detection": "Kept", "Validation": "Kept", "Reconciliation": "Kept", "Drift": "Kept"}
DELIVERED = contract(stages=STAGES, verdicts=KEPT, good=COMMIT)
FAILED = {"failures": {"count": 2, "reason": "HealthCheckFailed"}}
ACTIVE = {"state": "Active", "to": f"main@sha1:{OTHER}"}
ROLLED_BACK = contract(
    stages=STAGES[:3],
    verdicts=KEPT | {"Reconciliation": "Broken", "Drift": "Unknown", "Availability": "Kept", "Rollback": "Kept"},
    delivery=FAILED,
    rollback=ACTIVE,
)
MARKS: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "a commit that the contract does not know": ("detected", contract(commit=OTHER, stages=STAGES), None),
    "a commit whose own time is not read yet": ("detected", contract(stages=("detected",)), None),
    "a detected commit": ("detected", DELIVERED, "after 2.4s of 1m"),
    "an applied commit": ("applied", DELIVERED, "after 2.4s"),
    "a commit that is not yet healthy": ("healthy", contract(stages=STAGES[:3]), None),
    "a healthy commit": ("healthy", DELIVERED, "after 2.4s of 5m"),
    "a commit that has to prove itself": ("last good", contract(stages=STAGES), None),
    "a commit that has proved itself": ("last good", DELIVERED, "after 2s without trouble"),
    "one failed attempt of two": ("failed", contract(delivery={"failures": {"count": 1}}), None),
    "two failed attempts": ("failed", ROLLED_BACK, "2 times: HealthCheckFailed"),
    "no decision": ("rollback", contract(), None),
    "a decision": ("rollback", contract(rollback=ACTIVE | {"state": "Intended"}), "decided, to 0fb7cc1"),
    "a rollback under way": ("rolled back", contract(rollback=ACTIVE | {"state": "Switching"}), None),
    "a rollback": ("rolled back", ROLLED_BACK, "after 2.4s of 5m"),
    "a rollback that is in force still": ("released", contract(rollback=ACTIVE), None),
    "the end of a rollback": ("released", contract(rollback={"badRevisions": []}), "no rollback is in force"),
}
REACHED = {mark.label: mark.reached for step in STEPS for mark in step.marks}


class ScriptedScene:
    """Shows one contract after the other; None is an API server that does not answer."""

    def __init__(self, *contracts: dict[str, Any] | None, pods: int = 2) -> None:
        self._contracts = iter(contracts)
        self._pods = pods

    def look(self, commit: str) -> tuple[Facts, int] | None:
        """The next contract."""
        found = next(self._contracts)
        return None if found is None else (Facts(found, commit), self._pods)


class Board:
    """Remembers what was ticked."""

    def __init__(self) -> None:
        self.ticked: list[str] = []

    def tick(self, label: str, text: str) -> None:
        """A mark is reached."""
        self.ticked.append(f"{label}: {text}")

    def wait(self) -> None:
        """Nothing new."""


def objects(found: dict[str, Any], images: Sequence[str] = ()) -> Any:
    """A scene with these objects by `Kind/name`, and Ready pods with these images."""
    return SimpleNamespace(
        find=lambda kind, name="shop": found.get(f"{kind}/{name}"),
        every=lambda kind: [each for key, each in found.items() if key.startswith(f"{kind}/")],
        ready_images=lambda: list(images),
    )


@pytest.mark.parametrize(("label", "found", "told"), MARKS.values(), ids=MARKS)
def test_a_mark_is_reached_when_the_status_says_so(label: str, found: dict[str, Any], told: str | None) -> None:
    """And is told with the measure of the status."""
    assert REACHED[label](Facts(found, COMMIT)) == told


def test_marks_are_ticked_once_as_they_are_reached() -> None:
    """In the order of their appearance, over looks that the API server may leave unanswered."""
    scene: Any = ScriptedScene(contract(), None, contract(stages=STAGES[:2]), DELIVERED)
    watch, board = Watch(NEW, scene, COMMIT), Board()

    complete = [watch.look(board) for _ in range(4)]

    assert complete == [False, False, False, True]
    assert [line.partition(":")[0] for line in board.ticked] == ["detected", "applied", "healthy", "last good"]
    assert watch.looks == 3


def test_a_rolled_back_release_is_complete_with_its_broken_promise() -> None:
    """Broken is the verdict that the story wants there."""
    scene: Any = ScriptedScene(ROLLED_BACK)

    assert Watch(BROKEN, scene, COMMIT).look(Board())


@pytest.mark.parametrize(
    ("step", "verdicts", "said"),
    [
        (NEW, {"Detection": "Broken"}, "Detection to be Kept"),
        (NEW, {"Detection": "Unknown"}, "Detection to be Kept"),
        (NEW, {"Validation": "Broken"}, "Validation to be Kept"),
        (BROKEN, {"Reconciliation": "Kept"}, "Reconciliation to be Broken"),
        (BROKEN, {"Rollback": "Broken"}, "Rollback to be Kept"),
    ],
)
def test_a_wrong_verdict_ends_the_story_at_once(step: Any, verdicts: dict[str, str], said: str) -> None:
    """Nobody waits for what can no longer come."""
    facts = Facts(contract(verdicts=verdicts), COMMIT)

    with pytest.raises(StepFailed, match=said):
        is_complete(step, facts, set())


@pytest.mark.parametrize("verdicts", [{"Detection": "Pending"}, {"Availability": "Unknown"}, {}])
def test_an_open_verdict_is_waited_for(verdicts: dict[str, str]) -> None:
    """A pending one may still become what the story wants, and others are not its business."""
    assert not is_complete(NEW, Facts(contract(verdicts=verdicts), COMMIT), set())


def test_a_broken_release_may_break_other_promises() -> None:
    """The story of that step is the way back, not what else went wrong."""
    assert not is_complete(BROKEN, Facts(contract(verdicts={"Drift": "Broken"}), COMMIT), set())


def test_a_failed_rollback_ends_the_story() -> None:
    """With the contract's own words."""
    facts = Facts(contract(rollback={"state": "Failed", "message": "the good one fails too"}), COMMIT)

    with pytest.raises(StepFailed, match="the good one fails too"):
        is_complete(BROKEN, facts, set())


def test_what_never_came_is_named() -> None:
    """Marks first, then verdicts."""
    facts = Facts(contract(verdicts={"Detection": "Kept"}), COMMIT)

    assert missing(NEW, facts, {"detected", "applied"}) == (
        "the contract to report healthy, last good, Validation Kept, Reconciliation Kept, Drift Kept"
    )


def test_an_interrupted_service_ends_the_story() -> None:
    """An update that leaves too few pods is no success, even if it ends well."""
    require_pods(UPDATE, 2)
    with pytest.raises(StepFailed, match="there were only 1"):
        require_pods(UPDATE, 1)


def test_the_cluster_is_checked_itself() -> None:
    """Each check holds in the world that it describes."""
    settings = {"ConfigMap/settings": {"data": {"greeting": "hello"}}}

    assert greets("hello")(objects(settings)) == "ConfigMap settings has the greeting 'hello'"
    assert is_gone("ConfigMap", "settings")(objects({})) == "ConfigMap settings is gone from the cluster"
    assert runs("1.0.0")(objects({}, ["shop:1.0.0"] * 2)) == "2 pods are Ready, all with shop:1.0.0"


@pytest.mark.parametrize(
    ("check", "scene"),
    [
        (greets("hello"), objects({})),
        (greets("hello"), objects({"ConfigMap/settings": {"data": {"greeting": "no"}}})),
        (is_gone("ConfigMap", "settings"), objects({"ConfigMap/settings": {}})),
        (runs("1.0.0"), objects({}, ["shop:1.0.0"])),
        (runs("1.0.0"), objects({}, ["shop:1.0.0", "shop:never-ready"])),
        (is_pinned, objects({"Kustomization/shop": {"spec": {"sourceRef": {"name": "shop"}}}})),
        (is_released, objects({"Kustomization/shop": {"spec": {"sourceRef": {"name": "shop-copy"}}}})),
        (leaves_nothing, objects({"GitRepository/a": {"metadata": {"name": "shop-copy"}}})),
    ],
)
def test_a_check_fails_in_any_other_world(check: Any, scene: Any) -> None:
    """What the contract claims is not enough."""
    with pytest.raises(NotYet):
        check(scene)


def test_a_summary_names_each_step_once_and_every_verdict() -> None:
    """A promise that the step is not about is left out, a broken one says what followed."""
    delivered = Facts(contract(verdicts=KEPT | {"Availability": "Kept"}), COMMIT).promises
    undone = Facts(ROLLED_BACK, COMMIT).promises

    found = rows([Outcome(step=NEW, promises=delivered), Outcome(step=BROKEN, promises=undone)])

    assert found == [
        ("1 New resources", "Detection", "2.4s", "5m", "Kept"),
        ("", "Validation", "2.4s", "5m", "Kept"),
        ("", "Reconciliation", "2.4s", "5m", "Kept"),
        ("", "Drift", "2.4s", "5m", "Kept"),
        ("2 Broken release", "Detection", "2.4s", "5m", "Kept"),
        ("", "Validation", "2.4s", "5m", "Kept"),
        ("", "Reconciliation", "never", "5m", "Broken, rolled back"),
        ("", "Availability", "2.4s", "5m", "Kept"),
        ("", "Rollback", "2.4s", "5m", "Kept"),
    ]


def test_a_failure_says_where_what_and_why(tmp_path: Path) -> None:
    """Each kind of error in its own words, then the status, then the logs."""
    died = ProcessDiedError("kwok", -9, Path("gone/kwok.log"))
    (tmp_path / "kwok.log").write_text("1\n2\n3\nout of luck\n")

    assert explain("step 1", StepFailed("a", "b"), ["Ready=False"], tmp_path) == [
        "Failed: step 1.",
        "Expected: a.",
        "Found:    b.",
        "Ready=False",
        f"Logs and objects are kept in {tmp_path}",
    ]
    assert explain("step 1", WaitTimeoutError("rain", 5, None), (), None)[1:] == [
        "Expected: rain.",
        "Found:    not so after 5 s.",
    ]
    assert explain("step 1", died, (), tmp_path)[1:5] == [
        "Found:    kwok has ended, with code -9; the end of its log:",
        *("  2", "  3", "  out of luck"),
    ]
    assert "the end of its log" in explain("step 1", died, (), None)[1]


def test_the_operators_errors_are_found_in_its_log() -> None:
    """Only the last ones, and no tracebacks."""
    log = ["04:56:20 info    ready", *(f"04:56:2{n} error   number {n}" for n in range(5)), "Traceback:", "  error "]

    assert [line[-1] for line in errors_in(log)] == ["2", "3", "4"]


def test_times_are_told_as_people_read_them() -> None:
    """With their limit; what was never reached says so."""
    assert [readable(text) for text in ("2.448s", "989ms", "1m30s", "0s", "")] == ["2.4s", "989ms", "1m30s", "0s", ""]
    assert [of_budget("2.4s", "1m"), of_budget("", "5m"), of_budget("", "")] == ["2.4s of 1m", "never, of 5m", "-"]
    assert [short(f"main@sha1:{COMMIT}"), short(COMMIT)] == ["4bfc211", "4bfc211"]


def test_conditions_are_told_in_a_line_each() -> None:
    """Also of objects that have none, or do not exist."""
    ready = {"type": "Ready", "status": "False", "reason": "Failing", "message": "why"}

    assert conditions({"status": {"conditions": [ready]}}) == ["Ready=False Failing: why"]
    assert conditions({}) == conditions(None) == []


def test_the_manifests_of_the_story_are_complete() -> None:
    """No placeholder is left, and everything lives in the story's namespace."""
    files = [text for step in STEPS for text in step.files.values() if text is not None]
    files += [*BASE.values(), sample("flux.yaml", url="http://127.0.0.1/shop.git"), sample("contract.yaml")]

    found = [document for text in files for document in yaml.safe_load_all(text)]

    assert all("$" not in text for text in files)
    assert {each["metadata"]["namespace"] for each in found} == {NAMESPACE}
    assert {"Service", "ConfigMap", "Deployment", "Kustomization", "GitRepository"} < {each["kind"] for each in found}
