"""What may be known, and told, of a source in another namespace than its Kustomization.

Whoever writes a Kustomization may name any source. Flux reads one of another namespace unless it was started with
``--no-cross-namespace-refs``; what Flux may not read is not looked at, nor is it told whether it exists. Who reads
the contract need not be allowed to read the source: he is told no more of it than by the Kustomization's own status,
which has the revision, the reasons of failures and the objects that were applied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciliation_contract.core.facts.comparison import Drift, Finding
from reconciliation_contract.core.facts.dry_run import Check, Validation
from reconciliation_contract.core.facts.observation import (
    Commit,
    Git,
    Kustomization,
    Observation,
    Source,
    SourceRef,
    Unreadable,
)
from reconciliation_contract.core.values.object_key import ObjectKey


def refusal(kustomization: Kustomization | None, source: SourceRef | None, crosses: bool | None) -> str:
    """Why nothing of the source is looked at; empty where it may be.

    ``crosses`` says whether Flux follows references to other namespaces. Where that is not known, only what Flux has
    been seen to read is looked at.
    """
    if kustomization is None or source is None:
        return ""
    where = f"{source.kind} {source.namespace}/{source.name}"
    foreign = source.namespace != kustomization.namespace
    if kustomization.denied and (foreign or source == kustomization.source):
        return f"Flux may not read {where}: AccessDenied"
    if not foreign or (crosses is True and not kustomization.denied):
        return ""
    if crosses is False:
        return f"{where} is in another namespace, which Flux is told to keep apart by --no-cross-namespace-refs"
    if _has_read(kustomization, source):
        return ""
    return (
        f"{where} is in another namespace, and whether Flux may read it is not known: it has not yet, and its"
        " controllers' flags cannot be read"
    )


def _has_read(kustomization: Kustomization, source: SourceRef) -> bool:
    """Whether Flux was seen to read this source, or its pinned copy beside it."""
    reached = kustomization.reached
    return reached is not None and (reached.kind, reached.namespace) == (source.kind, source.namespace)


def withheld(seen: Observation, crosses: bool | None) -> Observation:
    """Leave out what must not be looked at, and of a source in another namespace what must not be told."""
    source, kustomization = seen.flux.source, seen.flux.kustomization
    ref = source.reference if source else (kustomization.source if kustomization else None)
    why = refusal(kustomization, ref, crosses)
    if why:
        return replace(
            seen,
            git=Git(looks_every=seen.git.looks_every),
            flux=replace(seen.flux, source=None, denied=why),
            manifests=replace(seen.manifests, validation=None, drift=None),
        )
    if kustomization is None or ref is None or ref.namespace == kustomization.namespace:
        return seen
    hint = f"the words are for whoever may read {ref.kind} {ref.namespace}/{ref.name}"
    return replace(
        seen,
        git=_undescribed(seen.git, hint),
        flux=replace(seen.flux, source=_wordless(source, hint), pin=_wordless(seen.flux.pin, hint)),
        manifests=replace(
            seen.manifests,
            validation=_unnamed(seen.manifests.validation, hint) if seen.manifests.validation else None,
            drift=_valueless(seen.manifests.drift) if seen.manifests.drift else None,
        ),
    )


def _wordless(source: Source | None, hint: str) -> Source | None:
    """Leave out what source-controller says: it names the URL, and quotes Git's own answers."""
    return replace(source, ready=replace(source.ready, message=hint)) if source else None


def _undescribed(git: Git, hint: str) -> Git:
    """Keep the hashes and times of commits, and whether Git can be read."""
    commits: Mapping[str, Commit | Unreadable] = {
        hash_: Commit(found.committed_at) if isinstance(found, Commit) else Unreadable(hint)
        for hash_, found in git.commits.items()
    }
    return replace(git, commits=commits, problem=git.problem and hint)


def _unnamed(found: Validation, hint: str) -> Validation:
    """Count the manifests of a revision that need not have been applied yet, and name none."""
    return replace(
        found,
        slowest=_anonymous(found.slowest, hint) if found.slowest else None,
        refused=tuple(_anonymous(check, hint) for check in found.refused),
        why_unchecked=found.why_unchecked and hint,
        problem=found.problem if found.ours else found.problem and hint,
        invalid=found.invalid and f"no manifests can be built; {hint}",
        remark="",
    )


def _anonymous(check: Check, hint: str) -> Check:
    return replace(
        check,
        key=ObjectKey("", "a manifest", "", ""),
        file="",
        refused=check.refused and hint,
        unchecked="",
        dropped=(),
    )


def _valueless(drift: Drift) -> Drift:
    """Name the objects, which the inventory has as well, and neither fields nor values of what Git wants."""
    return replace(
        drift,
        findings=tuple(_bare(finding) for finding in drift.findings),
        problem=drift.problem if drift.ours else drift.problem and "it could not be compared with the source",
        uncompared=drift.uncompared and "some objects could not be compared",
    )


def _bare(finding: Finding) -> Finding:
    return replace(finding, fields=(), more=finding.more + len(finding.fields))
