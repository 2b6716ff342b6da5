"""Objects that are deleted and made anew in a moment: their events come in any order, and none is forgotten."""

from __future__ import annotations

import pytest

from reconciliation_contract.runtime.operator import Operator
from tests.handlers.embedded import running
from tests.handlers.story import prove
from tests.support.api_server import CONTRACTS, KUSTOMIZATIONS, SOURCES, ApiServer
from tests.support.api_server_flux import Flux
from tests.support.virtual_time import eventually, passing

pytestmark = pytest.mark.looptime

KEY = ("apps", "shop")
LOST = "flux_contract_watch_misses_total"


@pytest.mark.parametrize("edits", [0, 1, 5])
@pytest.mark.parametrize("plural", [CONTRACTS, KUSTOMIZATIONS, SOURCES])
async def test_what_is_made_anew_in_a_moment_is_known(edits: int, plural: str) -> None:
    """However many events of the old one are under way; and no other contract is touched."""
    async with ApiServer() as api, running(api) as operator:
        flux, other = Flux(api), Flux(api, "other")
        await prove(flux)
        await prove(other)
        await passing(60)
        undisturbed = other.seen

        made = replace_object(api, plural, edits)
        await eventually(lambda: uid(operator, plural) == made, "the new one to be known", within=25)
        await passing(240)

        assert uid(operator, plural) == made
        assert operator.metrics.registry.get_sample_value(LOST, {"what": "lost"}) == 0
        assert flux.status["observedGeneration"] == 1
        assert operator.sweep.unready() == ""
        assert other.seen == undisturbed


def replace_object(api: ApiServer, plural: str, edits: int) -> str:
    """Edit the object, delete it and make it anew, all before anybody hears of it; return the new uid."""
    old = api.get(plural, *KEY)
    for number in range(edits):
        api.change(plural, *KEY, {"metadata": {"labels": {"edit": str(number)}}})
    api.objects.remove(plural, KEY)
    more = {} if plural == CONTRACTS else {"status": old["status"]}
    return str(api.create(plural, *KEY, old["spec"], **more)["metadata"]["uid"])


def uid(operator: Operator, plural: str) -> str:
    """The uid of the object that the operator knows."""
    store = operator.store
    match plural:
        case "reconciliationcontracts":
            return store.contracts[KEY].contract.uid if KEY in store.contracts else ""
        case "kustomizations":
            return store.kustomizations[KEY].uid if KEY in store.kustomizations else ""
        case _:
            sources = store.sources["GitRepository"]
            return sources[KEY].uid if KEY in sources else ""
