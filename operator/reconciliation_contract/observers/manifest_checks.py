"""What Git wants of one Kustomization, tried on the API server and compared with what is there.

Both begin alike: the Kustomization as it is now, the artifact that its source serves, the build of the two. The
objects themselves are forgotten afterwards; the builder remembers its last builds in a bounded cache.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from reconciliation_contract.adapters.dry_run.apply import DryRun
from reconciliation_contract.adapters.dry_run.batch import Patience, check_all
from reconciliation_contract.adapters.dry_run.outcome import Applier, Outcome, plain
from reconciliation_contract.adapters.kubernetes.client import KUSTOMIZATIONS, Cluster, resource_of
from reconciliation_contract.adapters.kubernetes.resource import Resource, label_selector, service_account_user
from reconciliation_contract.adapters.manifests.build import Artifact, Built
from reconciliation_contract.adapters.manifests.error import BuildFailed, BuildUnknown
from reconciliation_contract.api.flux.apply_options import account, elsewhere, forces, ignore_rules
from reconciliation_contract.api.flux.controller import Controllers, Started
from reconciliation_contract.api.flux.kustomization import has_reached, is_denied, revision_hash, shard_of
from reconciliation_contract.api.kubernetes.labelled import member
from reconciliation_contract.api.kubernetes.managed_fields import entries
from reconciliation_contract.api.kubernetes.raw import Raw, read_map, read_text
from reconciliation_contract.core.facts import metadata_scan
from reconciliation_contract.core.facts.comparison import Drift, Finding, Kind, changed, found_in, orphaned
from reconciliation_contract.core.facts.dry_run import Validation, forthcoming, summary
from reconciliation_contract.core.facts.field_owners import author_of, surplus
from reconciliation_contract.core.facts.inventory import Inventory
from reconciliation_contract.core.facts.metadata_scan import Census, Place
from reconciliation_contract.core.facts.observation import Kustomization, SourceRef
from reconciliation_contract.core.facts.source_kind import SOURCE_KINDS, Kinds
from reconciliation_contract.core.spec.ignore_rules import Exemptions, IgnoreRule, is_left_alone, is_merged
from reconciliation_contract.core.values.diff import Difference, comparable, differences
from reconciliation_contract.core.values.object_key import Manifest
from reconciliation_contract.core.values.text import bounded
from reconciliation_contract.core.values.timing import TIMING, Timing
from reconciliation_contract.errors import BadName, Powerless, Refused, Unavailable

_DIFFERENCES: Final = 64
"""Differences of one object that are looked at."""
_UNLISTED: Final = 160
"""Longest remark on a right to list, in characters."""
_FLUX: Final = "kustomize.toolkit.fluxcd.io"


_log = logging.getLogger(__name__)


class Builds(Protocol):
    """Builds what a Kustomization applies."""

    async def build(
        self, artifact: Artifact, kustomization: Raw, user: str = "", *, strict: bool | None = None
    ) -> Built:
        """Build it; ``strict`` as `Started` has it. Raises `BuildError`."""


class Moved(Exception):
    """The source or the Kustomization is at another revision by now."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One Kustomization at one revision."""

    kustomization: Raw
    source: tuple[Resource, str, str]
    built: Built
    applier: Applier


class Trial:
    """Tries and compares; raises `Unavailable` where the API server does not answer, and `Moved`."""

    def __init__(
        self,
        cluster: Cluster,
        builder: Builds,
        clock: Callable[[], datetime],
        flux_account: tuple[str, str],
        flux: Callable[[], Controllers] = Controllers,
        *,
        kinds: Kinds = SOURCE_KINDS,
        timing: Timing = TIMING,
    ) -> None:
        self._timing = timing
        self._cluster = cluster
        self._builder = builder
        self._clock = clock
        self._account = service_account_user(*flux_account)
        self._flux = flux
        self._kinds = kinds
        self._validating = DryRun(cluster, clock, timing)
        self._comparing = DryRun(cluster, clock, timing)
        """Neither waits for the other: a new revision is not to stand in line behind all comparisons."""

    async def validate(
        self, namespace: str, name: str, source: SourceRef, hash_: str, within: timedelta
    ) -> Validation:
        """Try all manifests of a revision that the source serves."""
        try:
            subject = await self._subject(namespace, name, source, hash_, within)
            checks = await check_all(self._validating, subject.built, subject.applier)
        except BuildFailed as error:
            return Validation(hash_, self._clock(), invalid=error.message)
        except BuildUnknown as error:
            return Validation(hash_, self._clock(), problem=error.message)
        except Refused as error:
            return Validation(hash_, self._clock(), problem=str(error), ours=True)
        return summary(hash_, checks, self._clock())

    async def compare(
        self, found: Kustomization, hash_: str, rules: Sequence[IgnoreRule]
    ) -> tuple[Drift, Census | None]:
        """Compare the cluster with the revision at which the Kustomization stands.

        The census is of just before, so what changes from then on shows in the next one; None without a comparison.
        """
        try:
            subject = await self._subject(found.namespace, found.name, None, hash_, self._timing.comparison_limit)
            counted = await self.count(found, subject.applier.user, metadata_scan.places(_inventory(found)))
            exempt = Exemptions(rules, ignore_rules(subject.kustomization))
            drift = await self._compare(hash_, subject, exempt, counted)
        except (BuildFailed, BuildUnknown) as error:
            return Drift(hash_, problem=error.message), None
        except Refused as error:
            return Drift(hash_, problem=str(error), ours=True), None
        if drift.drifted and not await self._stands(subject, hash_):
            raise Moved
        return drift, counted

    async def count(self, found: Kustomization, user: str, places: Sequence[Place], pause: float = 0.0) -> Census:
        """Make a census of what carries a Kustomization's labels, with a pause in seconds after each request."""
        selector = label_selector({f"{_FLUX}/name": found.name, f"{_FLUX}/namespace": found.namespace})
        members, listed, unlisted = [], [], ""
        for place in places:
            try:
                rows = await self._comparing.select(place, selector, user)
                members += [member(place, row) for row in rows]
                listed.append(place)
            except Powerless:
                raise
            except Refused as error:
                where = f"in {place.namespace}" if place.namespace else "in all namespaces"
                unlisted = unlisted or f"{user or 'the operator'} may not list {place.kind} objects {where}"
                _log.info("no census of a kind", extra={"kustomization": found.name, "error": str(error)})
            finally:
                await asyncio.sleep(pause)
        inventory = _inventory(found)
        young, now = self._timing.young_object, self._clock()
        strays = metadata_scan.orphans(members, inventory, now, young) if found.prunes else ()
        mark = metadata_scan.mark(members, inventory, strays)
        return Census(user, tuple(listed), mark, strays, bounded(unlisted, _UNLISTED))

    # Building -------------------------------------------------------------------------------------------------------

    async def _subject(
        self, namespace: str, name: str, source: SourceRef | None, hash_: str, within: timedelta
    ) -> Subject:
        raw = await self._read(KUSTOMIZATIONS, namespace, name)
        if elsewhere(raw):
            raise Refused("look at", "the cluster of spec.kubeConfig", "manifests are only tried on this one")
        ref = read_map(read_map(raw, "spec"), "sourceRef")
        where = source or SourceRef(
            read_text(ref, "kind"), read_text(ref, "namespace") or namespace, read_text(ref, "name")
        )
        kind = self._kinds.get(where.kind)
        if kind is None:
            raise Refused(
                "look at", f"a source of kind {bounded(where.kind, 64)}", f"only {', '.join(self._kinds)} are known"
            )
        flux = self._flux().serving(shard_of(read_map(raw, "metadata")))
        if where.namespace != namespace and not _may_read(raw, flux):
            raise Refused("look at", f"{where.kind} {where.namespace}/{where.name}", "Flux may not, or has not yet")
        resource = resource_of(kind)
        found = await self._read(resource, where.namespace, where.name)
        if revision_hash(read_text(read_map(read_map(found, "status"), "artifact"), "revision")) != hash_:
            raise Moved
        named = _applier(raw, flux)
        user = service_account_user(namespace, named) or self._account
        built = await self._builder.build(Artifact.of(found), raw, user, strict=flux.strict)
        # It reads all objects, which may be many.
        coming = await asyncio.to_thread(forthcoming, built.objects)
        applier = Applier(user, bool(named), forces(raw), within, coming, flux.overrides)
        return Subject(raw, (resource, where.namespace, where.name), built, applier)

    async def _stands(self, subject: Subject, hash_: str) -> bool:
        """Whether Flux has begun nothing since: half of another revision would look like drift."""
        meta = read_map(subject.kustomization, "metadata")
        now = await self._read(KUSTOMIZATIONS, read_text(meta, "namespace"), read_text(meta, "name"))
        source = await self._read(subject.source[0], *subject.source[1:])
        artifact = read_map(read_map(source, "status"), "artifact")
        tried = read_text(read_map(now, "status"), "lastAttemptedRevision")
        return (
            read_map(now, "metadata").get("generation") == meta.get("generation")
            and revision_hash(read_text(artifact, "revision")) == hash_
            and (not tried or revision_hash(tried) == hash_)
        )

    async def _read(self, resource: Resource, namespace: str, name: str) -> Raw:
        try:
            return await self._cluster.get(resource, namespace, name)
        except BadName:
            raise
        except Refused as error:
            remedy = "the operator may not; deploy/components/validation shows how to let it"
            raise Refused("get", f"{resource.plural} in {namespace}", remedy, error.code, error.reason) from error

    # Comparing ------------------------------------------------------------------------------------------------------

    async def _compare(self, hash_: str, subject: Subject, exempt: Exemptions, counted: Census) -> Drift:
        findings = [orphaned(key) for key in counted.orphans if not exempt.whole(key)]
        compared, patience, problem = 0, Patience(), ""
        for manifest in subject.built.objects:
            if exempt.whole(manifest.key):
                continue
            if patience.gone:
                problem = problem or patience.gone
                break
            finding, outcome = await self._look(manifest, subject.applier, exempt)
            if finding or outcome.unanswered:  # Flux may have been at work on it just then
                finding, outcome = await self._look(manifest, subject.applier, exempt)
            patience.note(outcome)
            if patience.is_silent:
                raise Unavailable("compare", str(manifest.key), outcome.unchecked)
            trouble = _trouble(outcome)
            problem = problem or (f"{manifest.key}: {trouble}" if trouble else "")
            compared += not outcome.skipped and not trouble
            findings += [finding] if finding else []
        uncompared = await self._encrypted(subject, exempt, findings)
        found = replace(found_in(hash_, compared, findings), unlisted=counted.unlisted, uncompared=uncompared)
        return found if findings or not problem else replace(found, problem=problem)

    async def _encrypted(self, subject: Subject, exempt: Exemptions, findings: list[Finding]) -> str:
        """Look whether objects that only Flux can decrypt are there; say that no more is known of them."""
        left_out = [left for left in subject.built.left_out if not exempt.whole(left.manifest.key)]
        if not left_out:
            return ""
        manifests = [left.manifest for left in left_out]
        there = [await self._comparing.read(manifest, subject.applier.user) for manifest in manifests]
        findings += [
            Finding(str(m.key), Kind.MISSING) for m, live in zip(manifests, there, strict=True) if live is None
        ]
        return bounded(f"{len(left_out)} not compared: {left_out[0].manifest.key}: {left_out[0].message}", _UNLISTED)

    async def _look(self, manifest: Manifest, applier: Applier, exempt: Exemptions) -> tuple[Finding | None, Outcome]:
        try:
            live = await self._comparing.read(manifest, applier.user)
        except Unavailable as error:
            return None, Outcome(unchecked=plain(manifest, error), unanswered=True)
        if is_left_alone(manifest.body, live):
            return None, Outcome(skipped=True)
        if live is None:
            return Finding(str(manifest.key), Kind.MISSING), Outcome()
        outcome = await self._comparing.attempt(manifest, applier)
        if outcome.anew:
            return Finding(str(manifest.key), Kind.CHANGED), outcome
        if outcome.result is None or outcome.skipped:
            return None, outcome
        return _finding(manifest, live, outcome.result, exempt, applier.overrides), outcome


def _applier(kustomization: Raw, flux: Started) -> str:
    """The account that Flux applies with; empty for its own. Raises `Refused` where that cannot be known."""
    named = account(kustomization) or flux.default_service_account
    if named is None:
        remedy = "let the operator list Deployments there, as deploy/components/flux-health does"
        why = f"with which --default-service-account kustomize-controller runs cannot be read; {remedy}"
        raise Refused("try", "manifests as Flux does", why)
    return named


def _may_read(kustomization: Raw, flux: Started) -> bool:
    """Whether Flux reads a source of another namespace for it; what is not known is not taken for so."""
    if is_denied(read_map(kustomization, "status")) or flux.crosses_namespaces is False:
        return False
    return flux.crosses_namespaces is True or has_reached(kustomization)


def _inventory(found: Kustomization) -> Inventory | None:
    return found.inventory.value if found.inventory else None


def _trouble(outcome: Outcome) -> str:
    return outcome.refused or outcome.unchecked or ("no answer in time" if outcome.late else "")


def _finding(
    manifest: Manifest, live: Raw, result: Raw, exempt: Exemptions, overrides: Sequence[str]
) -> Finding | None:
    """How a live object differs from what applying the manifest would make of it."""
    want, have = comparable(result), comparable(live)
    owned = entries(live)
    found = list(differences(want, have, _DIFFERENCES))
    if not is_merged(manifest.body, live):
        paths = dict.fromkeys(list(surplus(comparable(manifest.body), have, owned, overrides))[:_DIFFERENCES])
        found += [Difference(path, None, _at(have, path)) for path in paths]
    left = exempt.remaining(found, manifest.key, live)
    author = next((who for each in left if (who := author_of(each.path, live, owned))), None)
    return changed(manifest.key, left, author, private=manifest.is_private) if left else None


def _at(body: object, path: Sequence[str | int]) -> object:
    for step in path:
        if isinstance(body, Mapping) or (isinstance(body, list) and isinstance(step, int)):
            body = body[step]  # type: ignore[index]  # a path of this very body
    return body
