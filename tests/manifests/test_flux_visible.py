"""The opt-in that shows contracts to tools of Flux's, and what those tools read."""

from __future__ import annotations

from tests.manifests.conftest import Overlay
from tests.manifests.rendering import Rendering

PART_OF = "app.kubernetes.io/part-of"
VISIBLE = {"resources": ["../deploy"], "components": ["../deploy/components/flux-visible"]}


def test_only_the_crd_becomes_a_part_of_flux(overlay: Overlay) -> None:
    """`flux uninstall` deletes what is labelled so: roles and the operator must stay."""
    rendering = overlay(VISIBLE)

    labelled = [
        found["kind"] for found in rendering.objects if found["metadata"].get("labels", {}).get(PART_OF) == "flux"
    ]
    assert labelled == ["CustomResourceDefinition"]


def test_without_the_opt_in_nothing_is_a_part_of_flux(full: Rendering) -> None:
    """Uninstalling Flux must not take contracts away from anybody who did not ask for it."""
    assert all(found["metadata"].get("labels", {}).get(PART_OF) != "flux" for found in full.objects)


def test_a_contract_has_the_fields_that_such_tools_read(full: Rendering) -> None:
    """As Flux's own objects have them; Ready is among the conditions, which every test of them shows."""
    (version,) = full.one("CustomResourceDefinition")["spec"]["versions"]
    fields = version["schema"]["openAPIV3Schema"]["properties"]

    assert fields["spec"]["properties"]["suspend"]["type"] == "boolean"
    assert fields["status"]["properties"]["lastAttemptedRevision"]["type"] == "string"
    assert {"type", "status", "reason", "message", "lastTransitionTime"} <= fields["status"]["properties"][
        "conditions"
    ]["items"]["properties"].keys()
