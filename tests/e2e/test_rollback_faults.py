"""What people and repositories do in the middle of a rollback, and what people ask for: all stories side by side.

An act is a change of the Kustomization's source, so the acts are counted by watching it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from playground.cluster import Cluster
from playground.repository import Repository
from playground.waiting import wait_until
from tests.support.flux_objects import (
    PATIENCE,
    QUICK,
    Object,
    Workspace,
    condition,
    config_map,
    deployment,
    new_namespace,
)
from tests.support.flux_objects_watch import Recorder
from tests.support.operator_process import OperatorProcess, operator_process

pytestmark = pytest.mark.e2e

PREFIX = "reconciliation.dev/"
LIMIT = 60.0
"""Seconds in which everything of a deleted namespace must be gone."""
AT_ONCE = 5
"""Stories told side by side; two processors carry no more."""
NAME = "shop"


# Words of the stories -------------------------------------------------------------------------------------------


def release(repository: Repository, tag: str, **files: str) -> str:
    """Commit a Deployment; `never-ready` is a bad one."""
    return repository.commit({"deploy/web.yaml": deployment(tag)} | files, f"Release {tag}")


def begin(space: Workspace, **contract: object) -> tuple[Repository, str]:
    """Bring a contract to its first good revision."""
    repository = space.repository(NAME)
    good = release(repository, "1")
    space.source(NAME, repository.url)
    space.kustomization(NAME)
    space.contract(NAME, **contract)
    space.wait_good(NAME, good)
    return repository, good


def roll_back(space: Workspace) -> tuple[Repository, str, str]:
    """Bring a contract to where its rollback is in force; return the good and the bad revision."""
    repository, good = begin(space)
    bad = release(repository, "never-ready")
    space.wait_state(NAME, "Active")
    return repository, good, bad


def ask(space: Workspace, **requests: str | None) -> None:
    """Annotate the contract."""
    annotations = {PREFIX + name: value for name, value in requests.items()}
    space.change("contract", NAME, {"metadata": {"annotations": annotations}})


def source_of(thing: Object) -> str:
    """The name of the source that a Kustomization takes its manifests from."""
    return str(thing["spec"]["sourceRef"]["name"])


def acts(seen: Recorder, name: str = NAME) -> int:
    """How often a Kustomization was given another source."""
    return len(seen.values(name, source_of)) - 1


def attempted(space: Workspace, sha: str) -> bool:
    """Whether Flux has failed at a revision."""
    found = space.get("kustomization", NAME)
    ready = condition(found, "Ready")
    return sha in found["status"].get("lastAttemptedRevision", "") and ready.get("status") == "False"


# Repositories ---------------------------------------------------------------------------------------------------


def one_of_two_on_a_source_fails(space: Workspace) -> None:
    """Only the one that fails is rolled back; the other follows the shared source to the new revision."""
    repository = space.repository("shared")
    good = repository.commit({"a/web.yaml": deployment("1", "a"), "b/web.yaml": deployment("1", "b")}, "Good")
    space.source("shared", repository.url)
    for name in ("a", "b"):
        space.kustomization(name, "shared", path=f"./{name}")
        space.contract(name)
    for name in ("a", "b"):
        space.wait_good(name, good)

    with Recorder(space, "kustomization") as seen:
        mixed = {"a/web.yaml": deployment("never-ready", "a"), "b/web.yaml": deployment("2", "b")}
        bad = repository.commit(mixed, "Bad for one")
        space.wait_state("a", "Active")
        space.wait_good("b", bad)

    assert (acts(seen, "a"), acts(seen, "b")) == (1, 0)
    assert "state" not in space.contract_status("b").get("rollback", {})


def the_branch_is_forced_back(space: Workspace) -> None:
    """When the branch points to the good commit again the rollback has done its work and is released."""
    repository, good, bad = roll_back(space)
    pin = source_of(space.get("kustomization", NAME))

    with Recorder(space, "kustomization") as seen:
        repository.reset("main", good)
        status = space.wait_state(NAME, "")
        space.wait(NAME, lambda s: condition(s, "Ready").get("status") == "True", "the good commit to be healthy")
        space.wait_gone("source", pin)

    assert seen.values(NAME, source_of) == [pin, NAME]
    assert status["rollback"]["badRevisions"] == [f"sha1:{bad}"]


def the_good_commit_is_lost(space: Workspace) -> None:
    """With nothing to go back to the status says so, nothing is switched, and a fix is let through."""
    repository, good = begin(space, rollback={**QUICK, "within": "15s"})

    with Recorder(space, "kustomization") as seen:
        bad = repository.commit({"deploy/web.yaml": deployment("never-ready")}, "Rewritten", branch="rewritten")
        repository.reset("main", bad)
        repository.delete_branch("rewritten")
        repository.forget()
        told = condition(space.wait_state(NAME, "Failed"), "RolledBack")
        fix = release(repository, "2")
        space.wait_good(NAME, fix)
        status = space.wait_state(NAME, "")

    assert (told["status"], told["reason"]) == ("False", "TargetUnreachable")
    assert "does not serve" in told["message"]
    assert good[:8] in told["message"]
    assert acts(seen) == 0
    assert bad not in str(status.get("rollback", {}).get("badRevisions", []))


def twenty_pushes_in_ten_seconds(space: Workspace) -> None:
    """Bad commits that are overtaken before they persist are nobody's business: the last one counts."""
    repository, _ = begin(space)

    with Recorder(space, "kustomization") as seen:
        began = time.monotonic()
        for number in range(19):
            release(repository, "never-ready", **{"deploy/number.yaml": config_map("number", n=str(number))})
            due = began + 0.5 * (number + 1)
            wait_until(lambda due=due: time.monotonic() >= due, 5, "the next push's turn")
        last = release(repository, "2")
        status = space.wait_good(NAME, last)

    assert acts(seen) == 0
    assert condition(status, "Ready")["status"] == "True"
    assert len(status["history"]) <= 21


# People ---------------------------------------------------------------------------------------------------------


def a_person_suspends_before_the_act(space: Workspace) -> None:
    """What is intended is given up, and what was lacking before is not made good for while it is suspended."""
    # An account that nobody may act as keeps the intent from becoming an act.
    repository, _ = begin(space, serviceAccountName="nobody")

    with Recorder(space, "kustomization") as seen:
        release(repository, "never-ready")
        space.wait_reason(NAME, "ActRefused", "RolledBack")
        space.change("kustomization", NAME, {"spec": {"suspend": True}})
        status = space.wait_state(NAME, "")
        told = space.wait_reason(NAME, "Cancelled", "RolledBack")
        space.change("contract", NAME, {"spec": {"serviceAccountName": None}})
        space.wait(NAME, lambda s: s.get("observedGeneration") == 2, "the contract's new spec to be looked at")
        suspended = acts(seen)
        space.change("kustomization", NAME, {"spec": {"suspend": False}})
        space.wait_state(NAME, "Active")

    assert "suspended" in told["message"]
    assert status.get("rollback", {}).get("badRevisions", []) == []
    assert suspended == 0
    assert acts(seen) == 1


def a_person_suspends_during_it(space: Workspace) -> None:
    """A suspended Kustomization stays suspended, and nothing is applied until it is resumed."""
    repository, _, _ = roll_back(space)

    with Recorder(space, "kustomization") as seen:
        space.change("kustomization", NAME, {"spec": {"suspend": True}})
        fix = release(repository, "2")
        space.wait_state(NAME, "")
        still = space.get("kustomization", NAME)
        space.change("kustomization", NAME, {"spec": {"suspend": False}})
        space.wait_good(NAME, fix)

    assert still["spec"]["suspend"] is True
    assert fix not in still["status"]["lastAttemptedRevision"]
    assert source_of(still) == NAME
    assert acts(seen) == 1, "the release, and nothing else"


def a_person_switches_back(space: Workspace) -> None:
    """Somebody who takes the source back gets it, and the same revision is not rolled back a second time."""
    _, _, bad = roll_back(space)
    pin = source_of(space.get("kustomization", NAME))

    with Recorder(space, "kustomization") as seen, Recorder(space, "contract") as told:
        space.change("kustomization", NAME, {"spec": {"sourceRef": {"name": NAME}}})
        space.wait_state(NAME, "")
        wait_until(lambda: attempted(space, bad), PATIENCE, "Flux to fail at the bad revision again")
        space.wait_reason(NAME, "AlreadyRolledBack", "RolledBack")

    assert seen.values(NAME, source_of) == [pin, NAME]
    reasons = told.values(NAME, lambda thing: condition(thing, "RolledBack").get("reason"))
    assert "UndoneByOthers" in reasons
    assert space.find("source", pin) is None
    annotations = space.get("kustomization", NAME)["metadata"].get("annotations", {})
    assert PREFIX + "rolled-back-from" not in annotations


def the_namespace_goes(space: Workspace) -> None:
    """Nothing of ours keeps a namespace, and everything in it is gone within a minute."""
    roll_back(space)

    space.api.delete(f"/api/v1/namespaces/{space.namespace}")

    path = f"/api/v1/namespaces/{space.namespace}"
    wait_until(lambda: space.api.find(path) is None, LIMIT, "the namespace to be gone")


# Requests -------------------------------------------------------------------------------------------------------


def a_person_rolls_a_healthy_revision_back(space: Workspace) -> None:
    """`rollback` goes back, `hold` keeps it there when a new commit comes, and taking the hold off lets go."""
    repository, good = begin(space)
    head = release(repository, "2")
    space.wait_good(NAME, head)

    with Recorder(space, "kustomization") as seen:
        asked = f"{head[:10]}..{good[:10]} by ann: wrong prices"
        ask(space, rollback=asked, hold="until the sale ends")
        status = space.wait_state(NAME, "Active")
        space.wait_reason(NAME, "Held", "RolledBack")
        newer = release(repository, "3")
        space.wait(NAME, lambda s: newer in s["delivery"]["revision"], "the new commit to be seen")
        space.reconcile("kustomization", NAME)
        held = (space.wait_reason(NAME, "Held", "RolledBack"), source_of(space.get("kustomization", NAME)))
        ask(space, hold=None)
        space.wait_good(NAME, newer)

    pin = status["rollback"]["pinRef"]["name"]
    assert (status["rollback"]["reason"], status["rollback"]["requestedBy"]) == ("Requested", "ann: wrong prices")
    assert "until the sale ends" in held[0]["message"]
    assert held[1] == pin
    assert seen.values(NAME, source_of) == [NAME, pin, NAME]


def a_person_approves_and_releases(space: Workspace) -> None:
    """In Manual mode nothing happens before `approve`; `release` ends it, and it does not begin again."""
    repository, _ = begin(space, rollback={**QUICK, "mode": "Manual"})

    with Recorder(space, "kustomization") as seen:
        bad = release(repository, "never-ready")
        space.wait_state(NAME, "Proposed")
        proposed = space.wait_reason(NAME, "AwaitingApproval", "RolledBack")
        before = acts(seen)
        ask(space, approve=f"{bad} by ann")
        status = space.wait_state(NAME, "Active")
        ask(space, release=f"{bad}: seen enough")
        space.wait_state(NAME, "")
        wait_until(lambda: attempted(space, bad), PATIENCE, "Flux to fail at the bad revision again")
        space.wait_reason(NAME, "AlreadyRolledBack", "RolledBack")

    assert bad[:8] in proposed["message"]
    assert before == 0
    assert status["rollback"]["requestedBy"] == "ann (approved)"
    assert seen.values(NAME, source_of) == [NAME, status["rollback"]["pinRef"]["name"], NAME]


# Telling them ---------------------------------------------------------------------------------------------------

Story = Callable[[Workspace], None]
STORIES: Mapping[str, Story] = {
    story.__name__: story
    for story in (
        the_good_commit_is_lost,
        twenty_pushes_in_ten_seconds,
        a_person_suspends_before_the_act,
        the_namespace_goes,
        a_person_switches_back,
        a_person_approves_and_releases,
        a_person_rolls_a_healthy_revision_back,
        a_person_suspends_during_it,
        the_branch_is_forced_back,
        one_of_two_on_a_source_fails,
    )
}
"""The longest first."""


@pytest.fixture(scope="module")
def told(
    cluster: Cluster, shared: OperatorProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Future[None]]]:
    """All stories under way, with an operator that does not brake when many repositories fail at once."""
    shared.stop()
    log = tmp_path_factory.mktemp("faults") / "operator.log"
    with operator_process(cluster, log, "--fleet-brake=0") as process, ThreadPoolExecutor(AT_ONCE, "story") as pool:
        process.start()
        yield {name: pool.submit(_tell, cluster, story) for name, story in STORIES.items()}
        pool.shutdown(cancel_futures=True)
        process.check()
        assert "Traceback" not in log.read_text()


def _tell(cluster: Cluster, story: Story) -> None:
    with new_namespace(cluster) as space:
        story(space)


@pytest.mark.parametrize("name", STORIES)
def test_the_story_ends_well(told: Mapping[str, Future[None]], name: str) -> None:
    """Each story says in its own first sentence what is expected of it."""
    told[name].result()
