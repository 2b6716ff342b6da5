"""The stages of a delivery: what is recorded when, by whose word, and what the target is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from reconciliation_contract.core.delivery.stages import follow, implausible, target
from reconciliation_contract.core.facts.observation import (
    Artifact,
    Commit,
    Failure,
    FluxFacts,
    Git,
    Head,
    Kustomization,
    Observation,
    Since,
    Unreadable,
)
from reconciliation_contract.core.memory.timeline import STAGES, Delivery, Failures, Moment, Stages, Witness, origin
from reconciliation_contract.core.values.timing import TIMING
from tests.support.builders import at, revision, sha
from tests.support.builders_core import UNHEALTHY, kustomization, moment, since, source, standing

B = Delivery(revision("B"), sha("B"), at(0))
DETECTED = replace(B, stages=Stages(detected=moment(0)))


def head(commit: str = "B", seconds: float = 0, absent: float | None = None, looked: float | None = None) -> Head:
    last = seconds if looked is None else looked
    return Head(sha(commit), at(seconds), None if absent is None else at(absent), at(last))


def seen(git: Git | None = None, **flux: Any) -> Observation:
    return Observation(flux=FluxFacts(**flux), git=git or Git())


def git(commit: Commit | Unreadable | None = None, look: Head | None = None) -> Git:
    return Git(look, {sha("B"): commit} if commit else {})


# Sightings ------------------------------------------------------------------------------------------------------------

SIGHTINGS: dict[str, tuple[Observation, str, Moment | None]] = {
    "the first look that finds it": (
        seen(git=git(look=head(seconds=7))),
        "seen",
        Moment(at(7), Witness.GIT),
    ),
    "the first look after one that did not": (
        seen(git=git(look=head(seconds=7, absent=2))),
        "seen",
        Moment(at(7), Witness.GIT, at(2)),
    ),
    "a look that finds another": (seen(git=git(look=head("C", 7))), "seen", None),
    "an artifact that came as it was stamped": (
        seen(source=source("B", artifact=Since(Artifact("", sha("B"), at(3)), at(3.4), exact=True))),
        "detected",
        Moment(at(3.4), Witness.WATCH),
    ),
    "an artifact that came long after its stamp": (
        seen(source=source("B", artifact=Since(Artifact("", sha("B"), at(3)), at(9), exact=True))),
        "detected",
        Moment(at(3), Witness.ARTIFACT),
    ),
    "an artifact stamped after it came": (
        seen(source=source("B", artifact=Since(Artifact("", sha("B"), at(9)), at(3), exact=True))),
        "detected",
        Moment(at(9), Witness.ARTIFACT),
    ),
    "an artifact that was there at the first look": (
        seen(source=source("B", artifact=Since(Artifact("", sha("B"), at(3)), at(3.4), exact=False))),
        "detected",
        Moment(at(3), Witness.ARTIFACT),
    ),
    "an artifact of another commit": (seen(source=source("C")), "detected", None),
    "a source without artifact": (seen(source=source("B", artifact=None)), "detected", None),
    "an attempt that was seen": (seen(kustomization=kustomization()), "attempted", moment(5)),
    "an attempt at another commit": (seen(kustomization=standing("A")), "attempted", None),
    "no attempt": (seen(kustomization=kustomization(attempted=None)), "attempted", None),
    "an apply that was seen": (seen(kustomization=kustomization()), "applied", moment(6)),
    "health that was seen": (seen(kustomization=standing("B", 20)), "healthy", moment(20)),
    "health without an apply": (seen(kustomization=standing("B", 20, applied=None)), "applied", moment(20)),
    "no health": (seen(kustomization=kustomization()), "healthy", None),
}


@pytest.mark.parametrize("name", SIGHTINGS)
def test_what_is_recorded(name: str) -> None:
    """Each stage carries its time, the window where nobody saw it, and who says so."""
    observation, stage, expected = SIGHTINGS[name]

    before = B if stage in ("seen", "detected") else DETECTED

    followed = follow(before, observation, TIMING)

    assert getattr(followed.stages, stage) == expected


@pytest.mark.parametrize("stage", STAGES[1:])
def test_what_is_recorded_stays(stage: str) -> None:
    """A later observation of the same stage changes nothing."""
    known = replace(B, stages=Stages(**dict.fromkeys(("detected", stage), moment(1))))
    later = seen(
        git=git(look=head(seconds=50)),
        source=source("B", 50),
        kustomization=standing("B", 50, attempted=since("B", 50), built=since("B", 50)),
    )

    followed = follow(known, later, TIMING)

    assert getattr(followed.stages, stage) == moment(1)


def test_a_stage_is_not_before_the_one_that_precedes_it() -> None:
    """A Kustomization that was at the commit all along did not apply it before the source had it."""
    observation = seen(source=source("B", 30), kustomization=standing("B", 10))

    stages = follow(B, observation, TIMING).stages

    assert [m and m.at for m in (stages.detected, stages.attempted, stages.applied, stages.healthy)] == [at(30)] * 4


def test_nothing_is_attempted_before_the_source_has_it() -> None:
    """After A → B → A in Git alone, a Kustomization still at the first A says nothing of the second."""
    followed = follow(B, seen(source=source("A", 5), kustomization=standing("B", -50)), TIMING)

    assert followed == B


def test_a_step_that_nobody_saw_lies_in_a_window() -> None:
    """After a restart the Kustomization stands Ready: since when, only the stage before bounds."""
    states = {name: since("B", 500, exact=False) for name in ("attempted", "applied", "delivered")}
    observation = seen(source=source("B", 3), kustomization=standing("B", **states))

    healthy = follow(B, observation, TIMING).stages.healthy

    assert healthy == Moment(at(500), Witness.STATUS, at(3))


BUILDS: dict[str, tuple[Kustomization, Moment]] = {
    "seen as it ended": (
        kustomization("B", attempted=since("B", 5), built=since("B", 5.5), applied=since("B", 6)),
        moment(5.5),
    ),
    "never told": (
        kustomization("B", attempted=since("B", 5), applied=since("B", 6)),
        Moment(at(6), Witness.STATUS, at(5)),
    ),
    "told no sooner than the apply": (
        kustomization("B", attempted=since("B", 5), built=since("B", 6), applied=since("B", 6)),
        Moment(at(6), Witness.STATUS, at(5)),
    ),
    "told of another commit": (
        kustomization("B", attempted=since("B", 5), built=since("A", 5.5), applied=since("B", 6)),
        Moment(at(6), Witness.STATUS, at(5)),
    ),
    "listed after a failure": (
        kustomization("B", attempted=since("B", 5), built=since("B", 9, exact=False), applied=None),
        Moment(at(9), Witness.STATUS, at(5)),
    ),
}


@pytest.mark.parametrize("name", BUILDS)
def test_a_build_lies_between_the_attempt_and_the_apply(name: str) -> None:
    """Where nobody saw its end, the stages around it say when it can have been."""
    record, expected = BUILDS[name]

    assert follow(DETECTED, seen(kustomization=record), TIMING).stages.built == expected


def test_a_status_without_a_build_gets_one_before_its_apply() -> None:
    """A delivery that was recorded before builds were followed keeps its stages in order."""
    known = replace(B, stages=Stages(detected=moment(0), attempted=moment(5), applied=moment(6)))

    followed = follow(known, seen(kustomization=standing("B", 6, built=since("B", 90, exact=False))), TIMING)

    assert followed.stages.built == Moment(at(6), Witness.STATUS, at(5))


# Failures -------------------------------------------------------------------------------------------------------------


def failed(*seconds: float, reason: str = "HealthCheckFailed", message: str = UNHEALTHY) -> tuple[Failure, ...]:
    return tuple(Failure(at(s), reason, message, sha("B")) for s in seconds)


def counted(*observed: tuple[Failure, ...]) -> Failures | None:
    delivery = DETECTED
    for failures in observed:
        delivery = follow(delivery, seen(kustomization=kustomization(failures=failures)), TIMING)
    return delivery.failures


def test_failed_attempts_are_counted() -> None:
    """The first and the last one are kept with their times."""
    found = counted(failed(10, 50))

    assert found == Failures(2, at(10), at(50), "HealthCheckFailed", UNHEALTHY)


def test_a_failure_counts_once_however_often_it_is_seen() -> None:
    """Passes repeat, restarts forget the older ones, and events are lost."""
    found = counted(failed(10), failed(10), failed(10, 50), failed(50), failed(90))

    assert found == Failures(3, at(10), at(90), "HealthCheckFailed", UNHEALTHY)


def test_success_ends_the_count() -> None:
    """A revision that stands is not failing, whatever was before."""
    delivery = follow(DETECTED, seen(kustomization=kustomization()), TIMING)

    after = follow(delivery, seen(kustomization=standing("B", 95)), TIMING)

    assert delivery.failures is not None
    assert after.failures is None


def test_an_outage_does_not_count_against_the_commit() -> None:
    """What no commit can help is replaced by the first failure that the commit may have caused."""
    outage = failed(10, 40, 70, reason="ReconciliationFailed", message="failed calling webhook: no endpoints")

    found = counted(outage, failed(100), failed(100, 130))

    assert counted(outage) == Failures(3, at(10), at(70), outage[0].reason, outage[0].message)
    assert found == Failures(2, at(100), at(130), "HealthCheckFailed", UNHEALTHY)


# Commit times ---------------------------------------------------------------------------------------------------------

TIMES: dict[str, tuple[datetime, str]] = {
    "before Git existed": (datetime(1970, 1, 1, tzinfo=UTC), "the commit claims 1970-01-01, before Git existed"),
    "the day before Git's first commit": (datetime(2005, 4, 6, tzinfo=UTC), "before Git existed"),
    "Git's first commit": (datetime(2005, 4, 7, tzinfo=UTC), ""),
    "long ago": (at(-86400), ""),
    "when it was seen": (at(10), ""),
    "ahead by as much as clocks may differ": (at(12), ""),
    "ahead by more": (at(13), "the commit claims a time 3 s after it was seen"),
    "in the far future": (datetime(9999, 12, 31, tzinfo=UTC), "after it was seen"),
}


@pytest.mark.parametrize("name", TIMES)
def test_which_commit_times_are_believed(name: str) -> None:
    """A time that cannot be true is told, with what is wrong about it."""
    committed, problem = TIMES[name]

    found = implausible(Commit(committed), at(10))

    assert problem in found
    assert bool(problem) == bool(found)


def test_a_believable_commit_time_is_recorded() -> None:
    """With the subject, for people."""
    followed = follow(B, seen(git=git(Commit(at(-60), "Add prices"), head(seconds=4))), TIMING)

    assert followed.stages.committed == Moment(at(-60), Witness.GIT)
    assert (followed.subject, followed.commit_problem) == ("Add prices", "")


def test_a_commit_time_slightly_ahead_is_cut_to_the_first_sight() -> None:
    """Clocks differ; a commit is not made after it was seen."""
    followed = follow(B, seen(git=git(Commit(at(5)), head(seconds=4))), TIMING)

    assert followed.stages.committed == Moment(at(4), Witness.GIT)


def test_a_forged_commit_time_is_flagged_and_not_recorded() -> None:
    """What is flagged stays flagged, and is asked no more."""
    followed = follow(B, seen(git=git(Commit(at(900)), head(seconds=4))), TIMING)
    again = follow(followed, seen(git=git(Commit(at(-5)), head(seconds=4))), TIMING)

    assert followed.stages.committed is None
    assert "claims a time" in followed.commit_problem
    assert again == followed


def test_a_commit_that_cannot_be_read_says_why() -> None:
    """The reason is the reader's own."""
    followed = follow(B, seen(git=git(Unreadable("access denied"))), TIMING)

    assert followed.commit_problem == "access denied"


def test_a_commit_without_a_sight_is_measured_against_the_first_pass() -> None:
    """Asked for before anything was seen of it, its time must not be after the delivery began."""
    followed = follow(B, seen(git=git(Commit(at(60)))), TIMING)

    assert "claims a time" in followed.commit_problem


# The push -------------------------------------------------------------------------------------------------------------

ORIGINS: dict[str, tuple[Stages, str, Moment | None]] = {
    "committed and seen at once": (Stages(committed=moment(0), seen=moment(0)), "", Moment(at(0), Witness.GIT)),
    "committed, and seen later": (
        Stages(committed=moment(0), seen=moment(9)),
        "",
        Moment(at(9), Witness.GIT, at(0)),
    ),
    "made long before the last look without it": (
        Stages(committed=moment(-9000), seen=moment(9, earliest=4)),
        "",
        Moment(at(9), Witness.GIT, at(4)),
    ),
    "detected before it was seen": (
        Stages(committed=moment(0), seen=moment(9, earliest=4), detected=moment(6)),
        "",
        Moment(at(6), Witness.GIT, at(4)),
    ),
    "the commit time is still to come": (Stages(seen=moment(9, earliest=4)), "", None),
    "the commit time is forged, but our looks bound the push": (
        Stages(seen=moment(9, earliest=4)),
        "forged",
        Moment(at(9), Witness.GIT, at(4)),
    ),
    "the commit time is forged, and nothing bounds the push": (Stages(seen=moment(9)), "forged", None),
    "nobody has seen it": (Stages(committed=moment(0)), "", None),
}


@pytest.mark.parametrize("name", ORIGINS)
def test_when_the_commit_reached_git(name: str) -> None:
    """The push is a window between the commit or the last look without it, and the first sight."""
    stages, problem, expected = ORIGINS[name]

    assert origin(replace(B, stages=stages, commit_problem=problem)) == expected


# The target -----------------------------------------------------------------------------------------------------------

TARGETS: dict[str, tuple[Observation, str | None]] = {
    "nothing is known": (seen(), None),
    "a source without artifact": (seen(source=source("B", artifact=None)), None),
    "the artifact": (seen(source=source("A")), revision("A")),
    "Git's head, before there is an artifact": (
        seen(source=source("B", artifact=None), git=git(look=head("B"))),
        revision("B"),
    ),
    "Git's head, looked at after the artifact": (
        seen(source=source("A", 0), git=git(look=head("B", 1, looked=3))),
        revision("B"),
    ),
    "the artifact, where our look is older": (
        seen(source=source("B", 10), git=git(look=head("A", 0, looked=5))),
        revision("B"),
    ),
    "the artifact, where both come at once": (
        seen(source=source("B", 10), git=git(look=head("A", 0, looked=12))),
        revision("B"),
    ),
    "the artifact, where both agree": (seen(source=source("B"), git=git(look=head("B", 50))), revision("B")),
    "a tag": (seen(source=source("A", ref={"tag": "v1"}), git=git(look=head("B", 50))), revision("B", "v1")),
    "a full name": (
        seen(source=source("A", ref={"name": "refs/heads/x", "branch": "x"}), git=git(look=head("B", 50))),
        revision("B", "refs/heads/x"),
    ),
    "a semver range": (
        seen(source=source("A", ref={"semver": ">=1"}), git=git(look=head("B", 50))),
        revision("B", ""),
    ),
    "no ref at all": (seen(source=source("A", ref={}), git=git(look=head("B", 50))), revision("B", "master")),
    "no source": (seen(git=git(look=head("B", 50))), revision("B", "master")),
}


@pytest.mark.parametrize("name", TARGETS)
def test_which_revision_is_to_be_delivered(name: str) -> None:
    """The newest that is known: Git's own head where Flux has not got it yet, else the artifact."""
    observation, expected = TARGETS[name]

    goal = target(observation, TIMING)

    assert (goal.revision if goal else None) == expected
