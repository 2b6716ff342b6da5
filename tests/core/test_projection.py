"""From raw Flux objects to records: every phase of Flux's table."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from reconciliation_contract.api.flux import kustomization
from reconciliation_contract.api.flux.source import source
from reconciliation_contract.core.facts.observation import Kustomization, Since, SourceRef
from tests.support import builders
from tests.support.builders import ATTEMPT_FAILED, PHASES, Object, advance, at, changed, git_repository, serve, sha
from tests.support.builders_check import check_kustomization


def project(*raws: Object, live: bool = True) -> Kustomization:
    """Project one version after the other, ten seconds apart."""
    record = None
    for number, raw in enumerate(raws):
        record = kustomization.kustomization(raw, at(10 * number), live=live, before=record)
    assert record is not None
    return record


READY = builders.kustomization("ready", "A", when=at(0))


def after(*phases: str, commit: str = "B", **spec: Any) -> list[Object]:
    """The versions of a Kustomization that was Ready at A, each checked to be possible."""
    versions = [changed(READY, **spec) if spec else READY]
    for phase in phases:
        raw = advance(versions[-1], phase, commit, at(10 * len(versions)))
        versions.append(check_kustomization(raw, versions[-1]))
    return versions


# Flux's table ---------------------------------------------------------------------------------------------------------

STANDS = {"ready": "B", "fetching": "A"}
"""Phases after which the Kustomization stands at a commit; the others stand at none."""


@pytest.mark.parametrize("phase", sorted(PHASES))
def test_each_phase_of_fluxs_table(phase: str) -> None:
    """What a phase says of the attempted, the applied and the delivered revision, and of failures."""
    known = PHASES[phase]

    record = project(*after(phase))

    assert record.attempted is not None
    assert record.attempted.value == sha("B" if known.attempts else "A")
    assert record.ready.reason == known.reason
    assert (record.delivered.value if record.delivered else None) == (sha(STANDS[phase]) if phase in STANDS else None)
    assert record.stalled.status == ("True" if known.stalls else "Unknown")
    assert [f.hash for f in record.failures if f.hash == sha("B")] == ([sha("B")] if phase in ATTEMPT_FAILED else [])


@pytest.mark.parametrize(
    ("phase", "applied"), [("checking", "B"), ("unhealthy", "B"), ("applying", "A"), ("ready", "B")]
)
def test_what_is_applied_shows_before_it_is_healthy(phase: str, applied: str) -> None:
    """While health is checked, lastAppliedRevision is still the old one; the message tells."""
    record = project(*after("building", "applying", *(("checking",) if phase == "unhealthy" else ()), phase))

    assert record.applied is not None
    assert record.applied.value == sha(applied)


SAID = {
    "Fetching manifests for revision {rev} with a timeout of 30s": "",
    "Building manifests for revision {rev} with a timeout of 30s": "",
    "Detecting drift for revision {rev} with a timeout of 30s": "B",
    "Running health checks for revision {rev} with a timeout of 30s": "B",
    "Dry-run of revision {rev}": "B",
    "Applying revision {rev}": "B",
    "Fetching manifests for revision applying/health-checks@{rev}": "",
    "Something else about revision {rev}": "",
    "Detecting drift": "",
}
"""What the condition Reconciling says, and the commit that is built then. The first four are kustomize-controller
1.9.3's own words, in their order; the others are how they might be put."""


@pytest.mark.parametrize("message", SAID)
def test_what_flux_says_once_the_manifests_are_built(message: str) -> None:
    """The message that follows the building marks its end."""
    building = after("fetching", "building")[-1]
    told = changed(building)
    name = builders.revision("B")
    reconciling = next(c for c in told["status"]["conditions"] if c["type"] == "Reconciling")
    reconciling["message"] = message.format(rev=name)

    record = project(READY, building, told)

    assert (record.built.value if record.built else "") == (sha(SAID[message]) if SAID[message] else "")


def test_a_build_has_the_time_at_which_its_message_came() -> None:
    """And keeps it through health checks, success and the next look at the same revision."""
    versions = after("fetching", "building", "applying", "checking", "ready", "fetching", "building")

    record = project(*versions)

    assert record.built == Since(sha("B"), at(30), exact=True)


def test_a_build_is_not_lost_while_the_revision_is_tried_again() -> None:
    """After a failed apply Flux fetches and builds anew: the first build stands."""
    record = project(*after("building", "applying", "invalid", "fetching", "building"))

    assert record.built == Since(sha("B"), at(20), exact=True)


def test_a_build_that_failed_is_none() -> None:
    """Nor is the build of the commit before, which is applied still, the one of the next attempt at it."""
    versions = after("fetching", "building", "unbuildable")
    back = advance(advance(versions[-1], "fetching", "A", at(60)), "building", "A", at(70))

    records = [project(*versions), project(*versions, back)]

    assert [r.built for r in records] == [None, None]


def test_a_torn_status_delivers_nothing() -> None:
    """Ready=True for the new revision while lastAppliedRevision is the old one."""
    torn = after("building", "torn")

    records = [project(*torn), project(*torn, advance(torn[-1], "ready", "B", at(20)))]

    assert records[0].delivered is None
    assert records[1].delivered is not None
    assert records[1].delivered.value == sha("B")


def test_an_old_ready_says_nothing_of_a_new_generation() -> None:
    """After a change of spec, Ready=True is about the old one until Flux has looked."""
    record = project(READY, changed(READY, path="./elsewhere"))

    assert record.delivered is None


def test_a_revision_stands_while_it_is_only_looked_at_again() -> None:
    """At every interval Ready is Unknown for a moment; the time since which it stands does not move."""
    again = after("fetching", "building", "applying", "checking", commit="A")

    records = [project(*again), project(*again, advance(again[-1], "ready", "A", at(50)))]

    assert [r.delivered and r.delivered.at for r in records] == [project(READY).delivered.at] * 2  # type: ignore[union-attr]


def test_a_revision_that_failed_does_not_stand_while_it_is_tried_again() -> None:
    """Unknown after False is no success."""
    record = project(*after("fetching", "checking", "unhealthy", "fetching", "checking", commit="A"))

    assert record.delivered is None
    assert [f.reason for f in record.failures] == ["HealthCheckFailed"]


def test_a_change_that_was_seen_has_its_own_time() -> None:
    """Live, the record knows when; from a list, only until when."""
    versions = after("building", "ready")

    live, listed = project(*versions), project(versions[-1], live=False)

    assert live.delivered is not None
    assert (live.delivered.at, live.delivered.exact) == (at(20), True)
    assert listed.attempted is not None
    assert listed.attempted.exact is False


LATENESS: dict[str, tuple[float, float, bool]] = {
    "within the lag of a watch": (12.5, 12.5, True),
    "a minute late": (70, 11, False),
    "before it was written, by another clock": (9, 9, True),
}


@pytest.mark.parametrize("name", LATENESS)
def test_an_event_that_comes_late_has_the_time_of_the_write(name: str) -> None:
    """A watch that was away brings what it missed as live; the record of the managers tells when it was written."""
    received, known, exact = LATENESS[name]
    first, then = after("checking")
    then["metadata"]["managedFields"] = [
        {"manager": "kubectl", "time": builders.stamp(at(-3600))},
        {"manager": "kustomize-controller", "subresource": "status", "time": builders.stamp(at(10))},
    ]

    before = kustomization.kustomization(first, at(0), live=True, before=None)
    record = kustomization.kustomization(then, at(received), live=True, before=before)

    assert record.attempted == record.applied == Since(sha("B"), at(known), exact=exact)


def test_what_was_listed_stands_at_the_latest_since_ready_turned_true() -> None:
    """A list comes late; Ready's own transition bounds the time."""
    raw = builders.kustomization("ready", "B", when=at(3))

    record = kustomization.kustomization(raw, at(500), live=False, before=None)

    assert record.delivered is not None
    assert (record.delivered.at, record.delivered.exact) == (at(3), False)


def test_another_object_of_the_same_name_starts_anew() -> None:
    """Nothing is carried over to another uid."""
    other = builders.kustomization("unhealthy", "B", when=at(10))
    other["metadata"]["uid"] = "another"

    record = project(*after("building", "unhealthy"), other)

    assert [f.at for f in record.failures] == [at(10)]
    assert record.attempted is not None
    assert record.attempted.exact is False


def test_failures_are_those_of_the_attempted_revision() -> None:
    """Each False of Ready is one; the next revision begins at none."""
    twice = after("building", "unhealthy", "building", "unhealthy")

    records = [
        project(*twice),
        project(*twice, twice[-1]),
        project(*twice, advance(twice[-1], "building", "C", at(60))),
    ]

    assert [len(r.failures) for r in records] == [2, 2, 0]


def test_failures_are_bounded() -> None:
    """A revision that fails for days fills nothing."""
    record = project(*after(*("building", "invalid") * 40))

    assert len(record.failures) == 16
    assert record.failures[-1].at == at(800)


def test_the_fields_that_decisions_need() -> None:
    """Spec and metadata are read as Flux means them, with its defaults."""
    raw = builders.kustomization(
        parent=True,
        suspend=True,
        dependsOn=[{"name": "db"}, {"name": "x", "namespace": "infra"}],
        interval="1m",
        wait=False,
    )
    del raw["spec"]["retryInterval"]
    raw["metadata"]["annotations"] = {"kustomize.toolkit.fluxcd.io/ssa": "Merge", "other": "x"}

    record = project(raw)

    assert record.parent == "flux-system/flux-system"
    assert (record.suspended, record.checks_health, record.prunes) == (True, False, True)
    assert record.depends_on == ("apps/db", "infra/x")
    assert record.retry_interval == record.interval == timedelta(minutes=1)
    assert record.hold == {"kustomize.toolkit.fluxcd.io/ssa": "Merge"}
    assert record.source == SourceRef("GitRepository", "apps", "shop")


@pytest.mark.parametrize(
    "checks", [{"wait": True}, {"wait": False, "healthChecks": [{"kind": "Deployment", "name": "x"}]}]
)
def test_health_is_checked_in_either_way(checks: Object) -> None:
    """`wait` checks everything, `healthChecks` what it lists."""
    assert project(builders.kustomization(**checks)).checks_health


# Sources --------------------------------------------------------------------------------------------------------------


def test_an_artifact_that_was_seen_to_change_is_exact() -> None:
    """The first look does not know when; a change does."""
    first = git_repository("A", updated=at(0))
    second = serve(first, "B", at(7))

    listed = source(first, at(1), live=True, before=None)
    moved = source(second, at(7.2), live=True, before=listed)
    same = source(changed(second), at(99), live=True, before=moved)

    assert [s.artifact and s.artifact.exact for s in (listed, moved, same)] == [False, True, True]
    assert same.artifact == moved.artifact


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({}, ""),
        ({"provider": "generic"}, ""),
        ({"provider": "azure"}, "spec.provider azure"),
        ({"provider": "github"}, "spec.provider github"),
        ({"proxySecretRef": {"name": "proxy"}}, "spec.proxySecretRef"),
    ],
)
def test_what_only_flux_can_read_says_why(spec: dict[str, Any], said: str) -> None:
    """By a proxy, or with an identity that the operator has not."""
    raw = git_repository("A")
    raw["spec"] |= spec

    hidden = source(raw, at(1), live=True, before=None).hidden

    assert (said in hidden) if said else (hidden == "")


def test_a_torn_source_still_serves_the_old_artifact() -> None:
    """Ready names the new revision, the artifact is the old one: the artifact counts."""
    record = source(serve(git_repository("A"), "B", at(9), torn=True), at(9), live=True, before=None)

    assert record.artifact is not None
    assert record.artifact.value.hash == sha("A")


REVISIONS = {
    f"main@sha1:{sha('A')}": sha("A"),
    f"refs/heads/main@sha1:{sha('A')}": sha("A"),
    f"sha1:{sha('A')}": sha("A"),
    "main@sha1:123": "",
    "main": "",
    "": "",
    "latest@sha256:" + "0" * 64: "0" * 64,
    "sha256:" + "0" * 64: "0" * 64,
    "sha256:" + "0" * 40: "",
}


@pytest.mark.parametrize("revision", REVISIONS)
def test_revisions_are_compared_by_hash(revision: str) -> None:
    """The part before the hash depends on how the ref is written."""
    assert kustomization.revision_hash(revision) == REVISIONS[revision]


def test_the_shard_is_read_from_the_label() -> None:
    """Of both kinds, and nothing where the label is no text."""
    raws = [builders.kustomization(), builders.git_repository()]
    for raw, value in zip(raws, ("shard1", 7), strict=True):
        raw["metadata"]["labels"] = {"sharding.fluxcd.io/key": value}

    found = (
        kustomization.kustomization(raws[0], at(0), live=False, before=None),
        source(raws[1], at(0), live=False, before=None),
    )

    assert [record.shard for record in found] == ["shard1", ""]
