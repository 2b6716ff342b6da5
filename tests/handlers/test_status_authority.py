"""A status that was forged: what it names elsewhere is not read, copied, changed or removed, and nothing is told of it."""

from __future__ import annotations

from typing import Any

import pytest

from reconciliation_contract.core.memory.memory import RollbackState
from tests.handlers.embedded import running
from tests.handlers.story import A, B, C, source_of
from tests.support.api_server import CONTRACTS, SOURCES, ApiServer
from tests.support.api_server_flux import Flux, revision, stamp
from tests.support.virtual_time import passing

pytestmark = pytest.mark.looptime

VICTIM, CANARY = "victim", "https://git.example/the-victims"
SECRET_COMMIT = "5ec4e7" + "0" * 34


def ref(namespace: str, name: str, kind: str = "GitRepository") -> dict[str, str]:
    """A reference to a source."""
    return {"kind": kind, "namespace": namespace, "name": name}


OWN, PIN = ref("apps", "shop"), ref("apps", "shop-pin")
FORGED: dict[str, dict[str, Any]] = {
    "both are the victim's": {"sourceRef": ref(VICTIM, "shop"), "pinRef": ref(VICTIM, "orphan")},
    "the source is copied from the victim": {"sourceRef": ref(VICTIM, "shop"), "pinRef": PIN},
    "the copy is made at the victim's": {"sourceRef": OWN, "pinRef": ref(VICTIM, "mine")},
    "the copy is the victim's": {"sourceRef": OWN, "pinRef": ref(VICTIM, "orphan")},
    "the source is a path": {"sourceRef": ref("apps", "../../victim/gitrepositories/shop"), "pinRef": PIN},
    "the namespace is a path": {"sourceRef": ref("apps/../victim", "shop"), "pinRef": ref("apps/../victim", "x")},
    "the copy is the source": {"sourceRef": OWN, "pinRef": OWN},
    "the source is of no kind": {"sourceRef": ref("apps", "shop", "Secret"), "pinRef": ref("apps", "x", "Secret")},
}


def forge(api: ApiServer, **status: Any) -> None:
    """Put a victim beside the contract, and write what the attacker wants into its status."""
    artifact = {"revision": revision(SECRET_COMMIT), "lastUpdateTime": stamp(), "digest": "sha256:5ec4e7"}
    for name, owner in (("shop", {}), ("orphan", {"reconciliation.dev/contract-uid": "gone"})):
        spec = {"url": CANARY, "ref": {"branch": "main"}, "secretRef": {"name": "git"}}
        more = {"metadata": {"annotations": owner}, "status": {"artifact": artifact}}
        api.create(SOURCES, VICTIM, name, spec, **more)
    api.change(CONTRACTS, "apps", "shop", {"status": status})


def assert_untouched(api: ApiServer) -> None:
    """Nothing of the victim's was asked for by name or written, nor is any of it anywhere else."""
    assert [str(seen) for seen in api.requests if seen.namespace.endswith(VICTIM)] == []
    assert [str(seen) for seen in api.requests if VICTIM in f"{seen.name}{seen.body}"] == []
    assert {thing["metadata"]["name"] for thing in api.objects.list(SOURCES, VICTIM)} == {"shop", "orphan"}
    assert CANARY not in str(api.objects.list(SOURCES, "apps"))
    assert SECRET_COMMIT not in str(api.objects.list(CONTRACTS))
    assert CANARY not in str(api.objects.list(CONTRACTS))


@pytest.mark.parametrize(
    ("forged", "state"),
    [
        *((name, RollbackState.ACTIVE) for name in FORGED),
        ("both are the victim's", RollbackState.INTENDED),
        ("the copy is the victim's", RollbackState.RELEASING),
    ],
)
async def test_a_forged_reference_is_not_followed(forged: str, state: RollbackState) -> None:
    """The rollback is dropped as a whole; the Kustomization stays as it is."""
    async with ApiServer() as api:
        flux = Flux(api)
        flux.standing(A)
        rollback = {
            "state": state.value,
            "from": revision(B),
            "to": revision(C),
            "reason": "Requested",
            "requestedBy": "the attacker",
            "kustomizationUID": flux.kustomization["metadata"]["uid"],
            "startedAt": stamp(),
        }
        forge(api, rollback=rollback | FORGED[forged])
        async with running(api):
            await passing(20)

        assert_untouched(api)
        assert (flux.state, source_of(flux), flux.pins) == ("", "shop", [])


@pytest.mark.parametrize(
    "id_", ["victim_git__Secret", "_victim_rbac.authorization.k8s.io_ClusterRole", "victim/.._x__Secret"]
)
async def test_what_a_status_says_has_left_is_looked_for_here_only(id_: str) -> None:
    """An object elsewhere is counted as one of which nobody saw what became."""
    async with ApiServer() as api:
        flux = Flux(api)
        flux.standing(A)
        flux.inventory("settings__ConfigMap")
        gone = {"id": id_, "v": "v1", "leftAt": stamp(), "message": "x"}
        forge(api, deletion={"inventory": "", "left": 1, "pending": [gone], "overdue": [gone]})
        async with running(api):
            await passing(20)

        assert_untouched(api)
        assert "pending" not in flux.status.get("deletion", {})
