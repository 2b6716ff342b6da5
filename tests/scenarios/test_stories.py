"""Every story under ``stories`` is replayed and comes out as it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.stories import BadStory, load, read
from tests.support.stories_replay import Replay

STORIES = sorted((Path(__file__).parent / "stories").glob("*.yaml"))
STORY = """
title: A story
why: To be spoilt.
story:
- {at: 0s, push: A, source: A, kustomization: ready A}
- {at: 1m, push: B, source: B, kustomization: building B, expect: {delivery: B}}
"""


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_story_comes_out_as_it_says(path: Path) -> None:
    """What the operator writes and does at each time is what the story expects."""
    story = load(path)

    replay = Replay(story)

    replay.run()


def test_every_story_says_why() -> None:
    """Each story has a title of its own and a paragraph on what it is there for."""
    stories = [load(path) for path in STORIES]

    titles = {story.title for story in stories}

    assert len(titles) == len(stories)
    assert all(len(story.why.split()) > 10 for story in stories)


SPOILT: dict[str, tuple[dict[str, Any], str]] = {
    "time goes backwards": ({"at": "30s"}, "time goes backwards"),
    "an unknown actor": ({"at": "2m", "flux": "dies"}, "unknown actor 'flux'"),
    "an unknown deed": ({"at": "2m", "kustomization": "happy B"}, "kustomization cannot be 'happy B'"),
    "no time": ({"push": "C"}, "a step is a mapping with the time in 'at'"),
    "a time that is none": ({"at": "noon"}, "is not a duration"),
    "an unknown expectation": ({"at": "2m", "expect": {"joy": True}}, "cannot expect 'joy'"),
    "a commit that nobody pushed": ({"at": "2m", "source": "C"}, "nobody has pushed"),
    "a revision that is not served": ({"at": "2m", "kustomization": "ready A"}, "does not serve A"),
    "a pin that is not there": ({"at": "2m", "pin": "ready"}, "there is no pinned source"),
    "a second creation": ({"at": "2m", "kustomization": "created"}, "cannot be created: it exists"),
    "nothing to undo": ({"at": "2m", "person": "undoes the rollback"}, "no rollback to undo"),
    "no parent": ({"at": "2m", "parent": "reverts"}, "has no parent"),
    "a second contract": ({"at": "2m", "contract": "created"}, "the contract exists already"),
}


@pytest.mark.parametrize(("step", "problem"), SPOILT.values(), ids=SPOILT)
def test_an_impossible_story_is_refused(step: dict[str, Any], problem: str) -> None:
    """A story that cannot be is refused with the place and the reason, not replayed."""
    raw = yaml.safe_load(STORY)
    raw["story"].append(step)
    if step.get("contract"):
        raw["story"].insert(0, {"at": "0s", "contract": "created"})

    with pytest.raises(BadStory, match=problem) as refusal:
        Replay(read(raw)).run()

    assert "step" in str(refusal.value)


def test_a_suspended_kustomization_that_moves_is_refused() -> None:
    """Flux does not touch what is suspended, so neither does a story."""
    raw = yaml.safe_load(STORY)
    raw["story"] += [{"at": "2m", "kustomization": "suspended"}, {"at": "3m", "kustomization": "ready B"}]

    with pytest.raises(BadStory, match="status of a suspended Kustomization moves"):
        Replay(read(raw)).run()


def test_a_failed_health_check_without_health_checks_is_refused() -> None:
    """What is not checked cannot fail."""
    raw = yaml.safe_load(STORY) | {"kustomization": {"wait": False}}
    raw["story"].append({"at": "2m", "kustomization": "unhealthy B"})

    with pytest.raises(BadStory, match="checks no health"):
        Replay(read(raw)).run()


def test_a_story_without_expectation_is_refused() -> None:
    """A story that cannot fail is a defect."""
    raw = yaml.safe_load(STORY)
    del raw["story"][1]["expect"]

    with pytest.raises(BadStory, match="nothing is expected"):
        read(raw)


def test_an_act_that_nobody_expects_fails_the_story() -> None:
    """Effects are always compared, also where a step does not mention them."""
    raw = yaml.safe_load(STORY)
    raw["story"][1]["expect"]["effects"] = ["switch to the pin"]

    with pytest.raises(AssertionError, match="effects: expected"):
        Replay(read(raw)).run()
