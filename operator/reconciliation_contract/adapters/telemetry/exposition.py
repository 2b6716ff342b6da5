"""A scrape in slices: joined lines of the contracts around what prometheus-client writes of everything else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from reconciliation_contract.adapters.telemetry.contract_series import FAMILIES, Row

_SLICE: Final = 500
"""Contracts whose lines of one family are joined at once: well below a millisecond."""
_END: Final = b"# EOF\n"
"""With which OpenMetrics ends."""


def expose(registry: CollectorRegistry, rows: Sequence[Row], accept: str) -> tuple[str, Iterator[bytes]]:
    """Return content type and body, in the format that the Accept header prefers.

    ``rows`` must not change while the body is taken.
    """
    encode, content_type = choose_encoder(accept)
    return content_type, _body(encode(registry), rows)


def _body(encoded: bytes, rows: Sequence[Row]) -> Iterator[bytes]:
    yield encoded.removesuffix(_END)
    for number, family in enumerate(FAMILIES):
        yield f"# HELP {family.name} {family.text}\n# TYPE {family.name} gauge\n".encode()
        for start in range(0, len(rows), _SLICE):
            yield "".join([row[number] for row in rows[start : start + _SLICE]]).encode()
    if encoded.endswith(_END):
        yield _END
