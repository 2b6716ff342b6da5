"""The end of the story: what was promised, what was measured."""

from __future__ import annotations

from collections.abc import Sequence

from playground.progress import elapsed
from playground.story.narrator import Narrator
from playground.story.step import Outcome

COLUMNS = ("Step", "Promise", "Measured", "Budget", "Verdict")
NEXT = (
    "What to try next:",
    "  make playground       the same cluster, for you to push to",
    "  .venv/bin/python -m playground demo --keep      look around after the story",
)


def rows(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """One row for each promise that a step is about and that got a verdict; its first row names the step."""
    found: list[tuple[str, ...]] = []
    for number, outcome in enumerate(outcomes, 1):
        name = f"{number} {outcome.step.title}"
        for promise in outcome.promises:
            if not promise.concluded or promise.name not in outcome.step.verdicts:
                continue
            verdict = promise.verdict
            if verdict == "Broken" and outcome.step.verdicts.get("Rollback"):
                verdict = "Broken, rolled back"
            found.append((name, promise.name, promise.took, promise.within, verdict))
            name = ""
    return found


def summarise(outcomes: Sequence[Outcome], took: float, narrator: Narrator) -> None:
    """Show the table, how long it took, and what to do next. `took` is in seconds."""
    narrator.chapter("Summary", "What the contract promised, and what it measured:")
    narrator.table(COLUMNS, rows(outcomes))
    count = len(outcomes)
    narrator.conclude(f"{count} of {count} steps happened, and each was checked in the cluster.")
    narrator.say(f"The story took {elapsed(took)} once the cluster was ready.")
    for line in NEXT:
        narrator.say(line)
