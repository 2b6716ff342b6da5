"""``validate``: what Flux would build from a directory, tried on the cluster before it is merged."""

from __future__ import annotations

import asyncio
from argparse import Namespace as Arguments
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from reconciliation_contract.adapters.dry_run.apply import DryRun
from reconciliation_contract.adapters.dry_run.batch import check_all
from reconciliation_contract.adapters.dry_run.outcome import Applier
from reconciliation_contract.adapters.kubernetes.client import Cluster
from reconciliation_contract.adapters.kubernetes.credentials import Access
from reconciliation_contract.adapters.manifests.builder import Builder
from reconciliation_contract.adapters.manifests.error import BuildFailed, BuildUnknown
from reconciliation_contract.api.flux.apply_options import elsewhere, forces
from reconciliation_contract.api.kubernetes.raw import Raw
from reconciliation_contract.cli.client.errors import Exit, Misuse, Problem
from reconciliation_contract.cli.commands.session import Session
from reconciliation_contract.cli.view.check_reports import FORMATS, Finding
from reconciliation_contract.core.facts.dry_run import Check, forthcoming
from reconciliation_contract.core.values.object_key import ObjectKey
from reconciliation_contract.errors import ClusterError


@dataclass(frozen=True)
class Task:
    """What is to be tried, and how."""

    tree: Path
    kustomization: dict[str, Any]
    program: str
    """Path of `flux-build`; empty for the usual one."""
    strict: bool
    """A variable without value or default fails the build."""
    within: timedelta
    user: str
    """The account to act as; empty for one's own, whose rights say nothing of Flux's."""
    home: str
    """Namespace of objects that name none; empty where the Kustomization decides."""


def validate(session: Session, arguments: Arguments) -> Exit:
    """Build and try; 0 when all manifests are valid, 1 when one is refused, 2 when it cannot be told."""
    tree = Path(arguments.path)
    if not tree.is_dir():
        raise Misuse(f"{arguments.path} is no directory; name the root of a checkout")
    home = "" if arguments.kustomization or arguments.kustomization_file else session.namespace
    task = Task(
        tree.resolve(),
        _kustomization(session, arguments),
        arguments.flux_build,
        arguments.strict_substitution,
        arguments.within,
        arguments.user,
        home,
    )
    checks = asyncio.run(_tried(session, session.connection.access, task))
    findings = [Finding(check, _file(arguments.path, check.file)) for check in checks]
    session.console.say(FORMATS[arguments.format](session.console.screen, findings))
    verdicts = {found.verdict for found in findings}
    if "refused" in verdicts:
        return Exit.FAILED
    return Exit.UNTRIED if any(check.unanswered for check in checks) else Exit.DONE


async def _tried(session: Session, access: Access, task: Task) -> Sequence[Check]:
    async with Cluster(access) as cluster:
        try:
            builder = Builder(cluster, task.program)
            built = await builder.build_tree(task.tree, task.kustomization, strict=task.strict)
            applier = Applier(
                task.user,
                named=bool(task.user),
                force=forces(task.kustomization),
                limit=task.within,
                coming=forthcoming(built.objects),
                namespace=task.home,
            )
            return await check_all(DryRun(cluster, session.now), built, applier)
        except BuildFailed as error:
            path = str(task.kustomization["spec"].get("path") or ".")
            return [Check(ObjectKey("", "Kustomization", "", path), refused=error.message)]
        except (BuildUnknown, ClusterError) as error:
            raise Problem(str(error)) from error


def _file(root: str, file: str) -> str:
    """A file of the tree as seen from where the command is run."""
    return str(PurePosixPath(root) / file) if file else ""


def _kustomization(session: Session, arguments: Arguments) -> dict[str, Any]:
    """The Flux Kustomization that says how to build: the cluster's, a file's, or one that builds the directory."""
    if arguments.kustomization:
        namespace, _, name = arguments.kustomization.rpartition("/")
        return _of_this_cluster(session.connection.kustomization(namespace or session.namespace, name))
    if arguments.kustomization_file:
        return _from_file(Path(arguments.kustomization_file), session.namespace)
    # Whether it decrypts is not known: what is encrypted is told, and not taken for a mistake.
    spec = {"path": "./", "decryption": {"provider": "sops"}}
    return {"metadata": {"name": "validate", "namespace": session.namespace}, "spec": spec}


def _of_this_cluster(found: Raw) -> dict[str, Any]:
    if elsewhere(found):
        told = "it applies to the cluster of its spec.kubeConfig"
        raise Problem(f"{told}; save it, and give it with --kustomization-file and that cluster's --context")
    return dict(found)


def _from_file(file: Path, namespace: str) -> dict[str, Any]:
    try:
        documents = list(yaml.safe_load_all(file.read_text()))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Problem(f"{file} cannot be read: {error}") from error
    for document in documents:
        if isinstance(document, dict) and str(document.get("apiVersion", "")).startswith(
            "kustomize.toolkit.fluxcd.io"
        ):
            meta = {"namespace": namespace} | (document.get("metadata") or {})
            return document | {"metadata": meta, "spec": document.get("spec") or {}}
    raise Problem(f"{file} holds no Kustomization of kustomize.toolkit.fluxcd.io; name another file")
