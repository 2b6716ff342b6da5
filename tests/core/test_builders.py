"""The checker of fixtures refuses what Flux never writes."""

from __future__ import annotations

import pytest

from tests.support import builders
from tests.support.builders import Object, advance, at, changed, git_repository, serve
from tests.support.builders_check import Impossible, check_kustomization, check_source

READY = builders.kustomization("ready", "A", when=at(0))


def _refused(raw: Object, before: Object | None, problem: str) -> None:
    with pytest.raises(Impossible, match=problem):
        check_kustomization(raw, before)


def test_impossible_kustomizations_are_refused() -> None:
    """A fixture that Flux could never write proves nothing, so it does not come into being."""
    failed = advance(READY, "unhealthy", "B", at(10))
    moved = changed(failed)
    moved["status"]["lastAppliedRevision"] = failed["status"]["lastAttemptedRevision"]
    _refused(moved, READY, "lastAppliedRevision moves while Ready is False")

    jumped = advance(READY, "dependent", "B", at(10))
    jumped["status"]["lastAttemptedRevision"] = builders.revision("B")
    _refused(jumped, READY, "lastAttemptedRevision moves with DependencyNotReady")

    unchecked = advance(builders.kustomization("ready", wait=False), "unhealthy", "A", at(10))
    _refused(unchecked, None, "checks no health")

    halted = changed(READY, suspend=True)
    _refused(advance(halted, "building", "B", at(10)), halted, "status of a suspended Kustomization moves")

    dated = changed(READY)
    dated["status"]["conditions"][0]["lastTransitionTime"] = "2030-01-01T00:00:00Z"
    _refused(dated, READY, "moves without its status")
    _refused(READY, READY, "resourceVersion does not grow")


def test_impossible_sources_are_refused() -> None:
    """A source keeps its artifact, never goes back in time and does not work while suspended."""
    before = serve(git_repository("A", updated=at(5)), "B", at(9))

    lost = changed(before)
    del lost["status"]["artifact"]
    halted = changed(before, suspend=True)

    for raw, known, problem in (
        (lost, before, "has none any more"),
        (serve(before, "C", at(1)), before, "goes backwards"),
        (serve(before, "B", at(20)), before, "stored again"),
        (serve(halted, "C", at(20)), halted, "a suspended source fetches"),
    ):
        with pytest.raises(Impossible, match=problem):
            check_source(raw, known)
