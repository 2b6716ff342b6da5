"""Playing one step: push the commit, watch the contract, check the cluster."""

from __future__ import annotations

from playground.api_client import ApiError
from playground.story.checks import Check
from playground.story.facts import Facts, of_budget, short
from playground.story.failure import NotYet, StepFailed
from playground.story.narrator import Board, Narrator
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
    watch = Watch(step, scene, commit)
    watch.until_done(narrator)
    narrator.say("The verdicts in the contract's status:")
    for promise in watch.facts.promises:
        took = promise.took if promise.took == "-" else of_budget(promise.measured, promise.within)
        narrator.fact(promise.name, took, promise.verdict)
    if step.lesson:
        narrator.say(step.lesson)
    for check in step.checks:
        narrator.checked(await_check(check, scene))
    if step.fewest_pods:
        narrator.checked(f"At least {step.fewest_pods} pods were Ready at each of {watch.looks} looks meanwhile")
    if step.shows_contract:
        show_contract(scene, narrator)
    return Outcome(step=step, promises=watch.facts.promises)


class Watch:
    """One commit under observation: its marks are ticked as the contract's status reaches them."""

    def __init__(self, step: Step, scene: Scene, commit: str) -> None:
        self.facts = Facts({}, commit)
        """What the contract said last."""
        self.reached: set[str] = set()
        """Labels of the marks that are ticked."""
        self.looks = 0
        """How often the cluster was looked at."""
        self._step = step
        self._scene = scene

    def until_done(self, narrator: Narrator) -> None:
        """Wait until all marks are reached and the verdicts are given. Raises `StepFailed`."""
        timeout = self._step.timeout
        with narrator.board([mark.label for mark in self._step.marks]) as board:
            try:
                wait_until(lambda: self.look(board), timeout, self._step.title, interval=INTERVAL)
            except WaitTimeoutError as error:
                wanted = missing(self._step, self.facts, self.reached)
                raise StepFailed(wanted, f"not so after {timeout:g} s") from error

    def look(self, board: Board) -> bool:
        """Look once; return whether the step is complete. Raises `StepFailed` once it no longer can be."""
        board.wait()
        seen = self._scene.look(self.facts.commit)
        if seen is None:
            return False
        self.facts, pods = seen
        self.looks += 1
        require_pods(self._step, pods)
        for mark in self._step.marks:
            text = None if mark.label in self.reached else mark.reached(self.facts)
            if text is not None:
                self.reached.add(mark.label)
                board.tick(mark.label, text)
        return is_complete(self._step, self.facts, self.reached)


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
