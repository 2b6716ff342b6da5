"""The story: five commits, each with what must follow from it."""

from __future__ import annotations

from playground.story.checks import (
    greets,
    is_gone,
    is_pinned,
    is_released,
    leaves_nothing,
    runs,
    says,
    stays,
)
from playground.story.facts import Facts
from playground.story.scene import sample
from playground.story.step import (
    Mark,
    Step,
    applied,
    decided,
    detected,
    failed,
    healthy,
    proved,
    released,
    rolled_back,
)

SERVICE, SETTINGS, WEB = "deploy/service.yaml", "deploy/settings.yaml", "deploy/web.yaml"
BASE = {SERVICE: sample("service.yaml")}
"""What is there before the contract is."""
DELIVERED = (
    Mark("detected", detected),
    Mark("applied", applied),
    Mark("healthy", healthy),
    Mark("last good", proved),
)
KEPT = {"Detection": "Kept", "Validation": "Kept", "Reconciliation": "Kept", "Drift": "Kept"}
UNINTERRUPTED = KEPT | {"Availability": "Kept"}


def _on_time(facts: Facts) -> str:
    detection = facts.budget("promises", "detection", "within")
    return f"detected within {detection}, healthy within {facts.budget('promises', 'reconciliation', 'within')}"


def _uninterrupted(facts: Facts) -> str:
    return f"{_on_time(facts)}, no pod lost"


def _gone(facts: Facts) -> str:
    return f"{_on_time(facts)}, gone within {facts.budget('promises', 'deletion', 'within')}"


def _saved(facts: Facts) -> str:
    return f"a commit that keeps failing is rolled back within {facts.budget('rollback', 'within')}"


STEPS = (
    Step(
        title="New resources",
        scenario="A commit adds a ConfigMap and a Deployment.",
        promise=_on_time,
        message="Add settings and web 1.0.0",
        files={SETTINGS: sample("settings.yaml", greeting="hello"), WEB: sample("web.yaml", version="1.0.0")},
        marks=DELIVERED,
        verdicts=KEPT,
        checks=(greets("hello"), runs("1.0.0")),
        shows_contract=True,
    ),
    Step(
        title="Update",
        scenario="A commit changes both.",
        promise=_uninterrupted,
        message="Greet warmly, web 1.1.0",
        files={SETTINGS: sample("settings.yaml", greeting="welcome"), WEB: sample("web.yaml", version="1.1.0")},
        marks=DELIVERED,
        verdicts=UNINTERRUPTED,
        checks=(greets("welcome"), runs("1.1.0")),
        fewest_pods=2,
    ),
    Step(
        title="Deletion",
        scenario="A commit removes the ConfigMap. It must be gone from the cluster.",
        promise=_gone,
        message="Remove settings",
        files={SETTINGS: None},
        marks=DELIVERED,
        verdicts=KEPT | {"Deletion": "Kept"},
        checks=(is_gone("ConfigMap", "settings"), stays("Service", "web"), runs("1.1.0")),
        fewest_pods=2,
    ),
    Step(
        title="Broken release",
        scenario="A commit deploys an image whose pods never become Ready.",
        promise=_saved,
        message="Web never-ready",
        files={WEB: sample("web.yaml", version="never-ready")},
        marks=(
            Mark("detected", detected),
            Mark("applied", applied),
            Mark("failed", failed),
            Mark("rollback", decided),
            Mark("rolled back", rolled_back),
        ),
        verdicts={
            "Detection": "Kept",
            "Validation": "Kept",
            "Reconciliation": "Broken",
            "Availability": "Kept",
            "Rollback": "Kept",
        },
        checks=(runs("1.1.0"), is_pinned, says("RolledBack", "True")),
        lesson="Broken is the truth about this commit. The way back was promised, and kept.",
        fewest_pods=2,
        shows_contract=True,
    ),
    Step(
        title="Fix",
        scenario="A commit deploys a version that works. The rollback must end by itself.",
        promise=_on_time,
        message="Web 1.2.0",
        files={WEB: sample("web.yaml", version="1.2.0")},
        marks=(Mark("detected", detected), Mark("released", released), *DELIVERED[1:]),
        verdicts=KEPT,
        checks=(is_released, leaves_nothing, runs("1.2.0"), says("RolledBack", "False"), says("Ready", "True")),
        fewest_pods=2,
        shows_contract=True,
    ),
)
