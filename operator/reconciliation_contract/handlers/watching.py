"""The watches: contracts, Kustomizations and their sources, each event into the store."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypedDict

import kopf

from reconciliation_contract.adapters.kubernetes.credentials import Access
from reconciliation_contract.core.facts.source_kind import SourceKind
from reconciliation_contract.observers.store import Key, key_of, uid_of
from reconciliation_contract.runtime.operator import Operator

_log = logging.getLogger(__name__)

_FLUX_KUSTOMIZE: Final = "kustomize.toolkit.fluxcd.io"
_RETRIES: Final = (1, 1, 2, 3, 5, 8, 13, *(20,) * 14)
"""Seconds between tries of a request that fails, about five minutes in all, before the process gives up and is
restarted with all its state in the contracts. None is longer than 20: the end of an outage is noticed in 30."""

Put = Callable[[Any, bool], set[Key]]
Drop = Callable[[Key, str], set[Key]]
"""Takes the uid, too: kopf tells of an object's end and of the next one of its name in any order."""


def register(registry: kopf.OperatorRegistry, operator: Operator, access: Access) -> None:
    """Add all handlers to a registry."""
    store = operator.store
    _watch(
        registry,
        operator,
        ("reconciliation.dev", "v1alpha1", "reconciliationcontracts"),
        put=lambda raw, _live: store.put_contract(raw),
        drop=lambda key, uid: _drop_contract(operator, key, uid),
    )
    _watch(
        registry,
        operator,
        (_FLUX_KUSTOMIZE, "v1", "kustomizations"),
        put=lambda raw, live: store.put_kustomization(raw, operator.clock(), live=live),
        drop=store.drop_kustomization,
    )
    for kind in store.kinds.values():  # kopf watches a kind from when it exists
        _watch(registry, operator, (kind.group, kind.version, kind.plural), **_source_feed(operator, kind))
    _log_in(registry, access)

    @kopf.on.cleanup(registry=registry)
    async def end(**_: object) -> None:
        await operator.stop()  # kopf waits 5 s for tasks that it did not start


class _Feed(TypedDict):
    """What is done with the events of a kind."""

    put: Put
    drop: Drop


def _source_feed(operator: Operator, kind: SourceKind) -> _Feed:
    store = operator.store
    return _Feed(
        put=lambda raw, live: store.put_source(raw, operator.clock(), live=live, kind=kind),
        drop=lambda key, uid: store.drop_source(key, uid, kind),
    )


def _drop_contract(operator: Operator, key: Key, uid: str) -> set[Key]:
    gone = operator.store.drop_contract(key, uid)
    if gone:
        operator.metrics.forgot(key)
    return gone


def _watch(
    registry: kopf.OperatorRegistry, operator: Operator, resource: tuple[str, str, str], *, put: Put, drop: Drop
) -> None:
    """Feed one kind into the store. A list has no event type: what it brings happened at some time before."""

    @kopf.on.event(*resource, registry=registry)
    async def take(event: kopf.RawEvent, **_: object) -> None:
        raw, kind = event["object"], event.get("type")
        operator.sweep.hear(resource[2], key_of(raw))
        try:
            keys = drop(key_of(raw), uid_of(raw)) if kind == "DELETED" else put(raw, kind is not None)
        except Exception:  # noqa: BLE001 - one object that breaks us must not stop the watch
            operator.metrics.failed("bug")
            _log.exception("an object could not be read; please report this", extra={"object": key_of(raw)})
            operator.sweep.skip(resource[2], key_of(raw), str(raw["metadata"].get("resourceVersion", "")))
            return
        operator.tell(keys)


def _log_in(registry: kopf.OperatorRegistry, access: Access) -> None:
    last = -math.inf

    @kopf.on.login(registry=registry)
    async def log_in(**_: object) -> kopf.ConnectionInfo:
        nonlocal last
        now = asyncio.get_running_loop().time()
        # A rejected token is asked for again at once; at most once a second.
        if now - last < 1:
            raise kopf.TemporaryError("logged in just now", delay=1)
        last = now
        found = access.configuration
        return kopf.ConnectionInfo(
            server=access.server,
            ca_path=found.ssl_ca_cert,
            insecure=not found.verify_ssl,
            token=access.token(),
            certificate_path=found.cert_file,
            private_key_path=found.key_file,
            # kopf ends when a log-in equals one that was rejected; after a spurious 401 the token is the same.
            expiration=datetime.now(UTC) + timedelta(days=1),
        )


def configure(settings: kopf.OperatorSettings) -> None:
    """Set kopf up as a pure watcher: bounded pages, no diffing, no posting, patient with an ailing API server."""
    settings.posting.enabled = False
    settings.watching.chunk_size = 100
    settings.watching.connect_timeout = timedelta(seconds=10).total_seconds()
    settings.queueing.idle_timeout = 0.05
    settings.networking.request_timeout = timedelta(seconds=30).total_seconds()
    settings.networking.error_backoffs = _RETRIES
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()
    settings.execution.max_workers = 2


class _NoDiffBase(kopf.DiffBaseStorage):
    """Remember no earlier version: nothing is compared."""

    def build(self, **_: Any) -> Any:
        """Return nothing to compare."""
        return {}

    def fetch(self, **_: Any) -> None:
        """Find nothing."""

    def store(self, **_: Any) -> None:
        """Keep nothing."""


class _NoProgress(kopf.ProgressStorage):
    """Keep no progress of handlers: event handlers have none."""

    def fetch(self, **_: Any) -> None:
        """Find nothing."""

    def store(self, **_: Any) -> None:
        """Keep nothing."""

    def purge(self, **_: Any) -> None:
        """Forget nothing."""

    def touch(self, **_: Any) -> None:
        """Touch nothing."""

    def clear(self, *, essence: Any) -> Any:
        """Leave the object as it is."""
        return essence
