"""What the status says of refused manifests, as the CRD has it: the model, how it is written and read back."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from reconciliation_contract.api.contract.fields import ATOMIC, Count, Text, Wire, Word
from reconciliation_contract.api.kubernetes.raw import Raw, read_list, read_number, read_words
from reconciliation_contract.api.status import size
from reconciliation_contract.core.facts.dry_run import NAMED, Refusal, Refusals
from reconciliation_contract.core.memory.timeline import Delivery
from reconciliation_contract.core.values.text import bounded

_PATH: Final = 253
_MESSAGE: Final = 160


class RefusedManifest(Wire):
    """One manifest that the API server does not take."""

    object: Word
    """Kind, namespace and name."""
    file: Word | None = None
    """The file it comes from, where the build says."""
    message: Text | None = None
    """Why it is refused."""


class ValidationStatus(Wire):
    """Manifests of the newest revision that the API server does not take. Left out where there are none."""

    manifests: Count
    """All manifests of the revision."""
    refused: Count
    """Those that are refused."""
    objects: Annotated[list[RefusedManifest], Field(max_length=NAMED, json_schema_extra=ATOMIC)] | None = None
    """The first of them, in the order in which Flux applies."""


def render(found: Refusals) -> size.Wire:
    """Write them."""
    objects = [_object(each) for each in found.named]
    return size.lean({"manifests": found.total, "refused": found.refused, "objects": objects})


def _object(each: Refusal) -> size.Wire:
    return size.lean(
        {
            "object": bounded(each.object, _PATH),
            "file": bounded(each.file, _PATH),
            "message": bounded(each.message, _MESSAGE),
        }
    )


def parse(raw: Raw, delivery: Delivery | None) -> Refusals | None:
    """Read them back: they are those of the current delivery. None where there are none."""
    if not raw or delivery is None:
        return None
    named = (
        Refusal(*(read_words(each, key) for key in ("object", "file", "message")))
        for each in read_list(raw, "objects")
    )
    return Refusals(delivery.hash, read_number(raw, "manifests"), read_number(raw, "refused"), tuple(named)[:NAMED])
