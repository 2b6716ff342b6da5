"""Sixteen real releases of podinfo, delivered one after the other: each verdict, and what was written for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import pytest

from playground.cluster import Cluster
from tests.e2e.conftest import PODINFO
from tests.support.flux_objects import Object, condition, new_namespace, verdict
from tests.support.flux_objects_releases import Releases, deliver
from tests.support.flux_objects_watch import Sighting
from tests.support.operator_process import OperatorProcess

pytestmark = pytest.mark.e2e

HISTORY = 10
"""Finished deliveries that a contract keeps."""


@pytest.fixture(scope="module")
def releases(cluster: Cluster, shared: OperatorProcess) -> Releases:
    """The record of all deliveries; it takes minutes."""
    if not PODINFO.is_dir():
        pytest.skip("the releases of podinfo are not beside the repository")
    shared.start()
    with new_namespace(cluster) as workspace:
        return deliver(workspace, PODINFO)


def version_of(thing: Object) -> int:
    """The resourceVersion as a number; the API server counts through all kinds."""
    return int(thing["metadata"]["resourceVersion"])


def deliveries_of(seen: list[Sighting]) -> Iterator[tuple[Sighting, Object]]:
    """The versions of a contract with a delivery, each with that delivery."""
    return ((one, one.status["delivery"]) for one in seen if "delivery" in one.status)


def stands_at(seen: list[Sighting], revision: str) -> Iterator[int]:
    """The versions of a Kustomization that were Ready with a revision truly applied."""
    for one in seen:
        if (
            condition(one.thing, "Ready").get("status") == "True"
            and one.status.get("lastAppliedRevision") == revision
        ):
            yield version_of(one.thing)


def test_every_release_is_kept_and_measured(releases: Releases, measured: Callable[[str], None]) -> None:
    """All sixteen releases arrive in order, each within its budget, and the history stays bounded."""
    measured("release     detected  healthy  (seconds from the commit)")
    for release in releases.versions:
        delivery = releases.statuses[release]["delivery"]
        taken = {name: delivery["stages"][name].get("elapsed", "") for name in ("detected", "healthy")}
        measured(f"{release:<10} {taken['detected']:>9} {taken['healthy']:>8}")

    verdicts = {
        release: (verdict(status, "Detection"), verdict(status, "Reconciliation"))
        for release, status in releases.statuses.items()
    }
    assert verdicts == dict.fromkeys(releases.versions, ("Kept", "Kept"))
    last = releases.contracts[-1].status
    past = [item["revision"].partition("sha1:")[2] for item in last["history"]]
    newest_first = [releases.commits[release] for release in reversed(releases.versions[:-1])]
    assert past == newest_first[:HISTORY]
    assert {item["result"] for item in last["history"]} == {"Healthy"}


def test_no_release_is_kept_before_flux_has_it(releases: Releases) -> None:
    """Flux writes its status in two parts; no half of it ever counts as delivered."""
    judged: dict[str, int] = {}
    for one, delivery in deliveries_of(releases.contracts):
        if "healthy" in delivery["stages"] or verdict(one.status, "Reconciliation") == "Kept":
            judged.setdefault(delivery["revision"], version_of(one.thing))

    assert len(judged) == len(releases.versions)
    for revision, version in judged.items():
        first = min(stands_at(releases.kustomizations, revision))
        assert first < version, f"{revision} was said to be delivered in version {version}, Flux had it in {first}"


def test_a_concluded_verdict_never_changes(releases: Releases) -> None:
    """Each promise of each release gets one final verdict and keeps it."""
    final: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for _, delivery in deliveries_of(releases.contracts):
        for promise in delivery.get("promises", []):
            if promise["verdict"] != "Pending":
                known = final.setdefault((delivery["revision"], promise["name"]), set())
                known.add((promise["verdict"], promise.get("measured", "")))

    for promise in ("Detection", "Reconciliation"):
        assert sum(name == promise for _, name in final) == len(releases.versions)
    assert [key for key, verdicts in final.items() if len(verdicts) > 1] == []


def test_stages_never_move(releases: Releases) -> None:
    """A stage that is recorded keeps its time."""
    recorded: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for _, delivery in deliveries_of(releases.contracts):
        for name, stage in delivery["stages"].items():
            recorded.setdefault((delivery["revision"], name), set()).add((stage["at"], stage["source"]))

    assert [key for key, values in recorded.items() if len(values) > 1] == []


def test_few_writes_for_a_release(releases: Releases, measured: Callable[[str], None]) -> None:
    """A status is written when a stage is reached or a verdict falls, not for each of Flux's many events.

    There are six stages, five verdicts apart from theirs, and the last good revision.
    """
    writes = len(releases.contracts) / len(releases.versions)
    events = len(releases.kustomizations) / len(releases.versions)

    measured(f"{writes:.1f} versions of the contract and {events:.1f} of the Kustomization for each release")
    assert writes <= 12


def test_a_contract_at_rest_is_never_written(releases: Releases) -> None:
    """While Flux looks again and again at what has not changed, the contract keeps its resourceVersion."""
    span = releases.contracts[-1].at - releases.contracts[0].at

    assert span.total_seconds() > 30
    assert len({version_of(one.thing) for one in releases.still}) == 1


def test_times_of_stages_are_in_order(releases: Releases) -> None:
    """From the commit to healthy, no stage comes before the one that it needs."""
    order = ("committed", "detected", "attempted", "built", "applied", "healthy")
    for status in releases.statuses.values():
        stages = status["delivery"]["stages"]
        times = [datetime.fromisoformat(stages[name]["at"]) for name in order]
        assert times == sorted(times)
