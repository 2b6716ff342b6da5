"""Playing one step: push the commit, watch the contract, check the cluster."""

from __future__ import annotations

from playground.api_client import ApiError
from playground.story.checks import Check
from playground.story.facts import Facts, of_budget, short
from playground.story.failure import NotYet, StepFailed
from playground.story.narrator import Narrator
from playground.story.scene import NAME, Scene
from playground.story.step import Outcome, Step
from playground.waiting import WaitTimeoutError, wait_until

INTERVAL = 0.25
"""Seconds between two looks."""
SETTLING = 30.0
"""Seconds until the cluster must be as the contract already says it is."""


def play(step: Step, scene: Scene, narrator: Narrator) -> Outcome:
    """Play a step and return what was measured. Raises `StepFailed` unless everything happened."""
    contract = scene.find("ReconciliationContract") or {}
    narrator.say(f"Promised: {step.promise(Facts(contract, ''))}.")
    commit = scene.repository.commit(step.files, step.message)
    narrator.say(f"Pushed {short(commit)}: {step.message}")
    facts, looks = watch(step, scene, narrator, commit)
    narrator.say("The verdicts in the contract's status:")
    for promise in facts.promises:
        narrator.fact(promise.name, of_budget(promise.measured, promise.within), promise.verdict)
    if step.lesson:
        narrator.say(step.lesson)
    for check in step.checks:
        narrator.checked(await_check(check, scene))
    if step.fewest_pods:
        narrator.checked(f"At least {step.fewest_pods} pods were Ready at each of {looks} looks meanwhile")
    if step.shows_contract:
        show_contract(scene, narrator)
    return Outcome(step=step, promises=facts.promises)


def watch(step: Step, scene: Scene, narrator: Narrator, commit: str) -> tuple[Facts, int]:
    """Tick the marks as the status reaches them, until all are there and the verdicts are given.

    Returns the last facts and the number of looks.
    """
    last, looks = Facts({}, commit), 0
    reached: set[str] = set()
    with narrator.board([mark.label for mark in step.marks]) as board:

        def done() -> bool:
            nonlocal last, looks
            board.wait()
            seen = scene.look(commit)
            if seen is None:
                return False
            last, pods = seen
            looks += 1
            require_pods(step, pods)
            for mark in step.marks:
                text = None if mark.label in reached else mark.reached(last)
                if text is not None:
                    reached.add(mark.label)
                    board.tick(mark.label, text)
            return is_complete(step, last, reached)

        try:
            wait_until(done, step.timeout, step.title, interval=INTERVAL)
        except WaitTimeoutError as error:
            raise StepFailed(missing(step, last, reached), f"not so after {step.timeout:g} s") from error
    return last, looks


def is_complete(step: Step, facts: Facts, reached: set[str]) -> bool:
    """Tell whether all marks and verdicts are there. Raises `StepFailed` once they no longer can be."""
    if facts.rollback.get("state") == "Failed":
        raise StepFailed("a rollback that succeeds", f"the rollback failed: {facts.rollback.get('message', '')}")
    for promise in facts.promises:
        wanted = step.contradicted(promise)
        if wanted:
            said = f"it is {promise.verdict}: {promise.message}"
            raise StepFailed(f"the promise {promise.name} to be {wanted}", said)
    given = {promise.name: promise.verdict for promise in facts.promises}
    return len(reached) == len(step.marks) and all(given.get(name) == word for name, word in step.verdicts.items())


def missing(step: Step, facts: Facts, reached: set[str]) -> str:
    """Name the marks and verdicts that never came."""
    marks = [mark.label for mark in step.marks if mark.label not in reached]
    open_verdicts = [
        f"{name} {wanted}"
        for name, wanted in step.verdicts.items()
        if (promise := facts.promise(name)) is None or not promise.concluded
    ]
    return f"the contract to report {', '.join(marks + open_verdicts)}"


def require_pods(step: Step, pods: int) -> None:
    """Raise `StepFailed` if the rollout interrupts the service."""
    if pods < step.fewest_pods:
        raise StepFailed(f"{step.fewest_pods} Ready pods at every moment", f"there were only {pods}")


def await_check(check: Check, scene: Scene) -> str:
    """Return what a check found, given a moment to come true. Raises `StepFailed`."""
    try:
        return wait_until(
            lambda: check(scene), SETTLING, "the check", interval=INTERVAL, ignoring=(NotYet, ApiError, OSError)
        )
    except WaitTimeoutError as error:
        if isinstance(error.last, NotYet):
            raise StepFailed(error.last.expected, error.last.found) from error
        raise StepFailed("an answer of the API server", str(error.last)) from error


def show_contract(scene: Scene, narrator: Narrator) -> None:
    """Show kubectl's own view of the contract."""
    arguments = ("get", "reconciliationcontracts", NAME)
    narrator.block(f"$ kubectl {' '.join(arguments)}", scene.kubectl(*arguments))
