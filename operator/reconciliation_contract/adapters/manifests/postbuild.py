"""What Flux does to each object after kustomize: substitution, labels, and what is left to apply.

As kustomize-controller 1.9 does it in `build` and `apply`.
"""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from reconciliation_contract.adapters.manifests.document import DocumentError, TooManyNodes, read_document
from reconciliation_contract.adapters.manifests.error import BuildFailed, BuildUnknown
from reconciliation_contract.adapters.manifests.substitution import SubstitutionError, TooMuch, Unset, substitute
from reconciliation_contract.adapters.manifests.variable import Values
from reconciliation_contract.api.kubernetes.raw import Raw, read_map, read_text
from reconciliation_contract.core.values import reasons

GROUP: Final = "kustomize.toolkit.fluxcd.io"
_ORIGIN: Final = "config.kubernetes.io/origin"


_GATE: Final = (
    "whether Flux minds is not known: let the operator read kustomize-controller's Deployment, as "
    "deploy/components/flux-health shows"
)


class _Asked(dict[str, str]):
    """Values that note which of them were asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, name: str, default: str = "") -> str:  # type: ignore[override]  # the one way that they are read
        self.asked.add(name)
        return super().get(name, default)


class PostBuild:
    """What Flux does to each object after kustomize."""

    def __init__(
        self, kustomization: Raw, values: Values, *, strict: bool | None, directory: Path, noted: bool
    ) -> None:
        meta, self._spec = read_map(kustomization, "metadata"), read_map(kustomization, "spec")
        common = read_map(self._spec, "commonMetadata")
        owner = {f"{GROUP}/name": read_text(meta, "name"), f"{GROUP}/namespace": read_text(meta, "namespace")}
        self._labels = {**(owner if owner[f"{GROUP}/name"] else {}), **read_map(common, "labels")}
        self._annotations = read_map(common, "annotations")
        post_build = read_map(self._spec, "postBuild")
        always = read_text(post_build, "substituteStrategy") == "Always"
        self._substitutes = "postBuild" in self._spec and (bool(values.by_name) or always)
        self._values = values
        self._strict = strict
        self._directory = directory
        self._noted = noted

    def objects(self, text: str) -> Iterator[dict[str, Any]]:
        """Yield the objects of one document as rows: body, file, why it is left out, and whether it is private."""
        found = self._read(text)
        meta = read_map(found, "metadata")
        name = f"{read_text(found, 'kind')}/{read_text(meta, 'name')}"
        if not (read_text(meta, "name") and read_text(found, "kind") and read_text(found, "apiVersion")):
            raise BuildFailed("an object lacks apiVersion, kind or name")
        file = self._file(meta)
        why, private = self._hidden(found), False
        if self._substitutes and not why and not _disabled(meta, "substitute"):
            values = _Asked(self._values.by_name)
            found = self._read(self._substituted(name, text, values))
            private = bool(values.asked & self._values.private)
        if _is_kustomize(found):
            return
        items = found.get("items") if found["kind"].endswith("List") else None
        for body in items if isinstance(items, list) else [found]:
            yield {"why": why, "private": private, "file": file, "body": self._finished(body)}

    def _substituted(self, name: str, text: str, values: Mapping[str, str]) -> str:
        try:
            return substitute(text, values, strict=self._strict is not False)
        except TooMuch as error:
            raise BuildUnknown(reasons.BUILD_TOO_COSTLY, f"{name}: {error}") from error
        except Unset as error:
            if self._strict is None:
                raise BuildUnknown(reasons.FLUX_UNKNOWN, f"{name}: {error}; {_GATE}") from error
            raise BuildFailed(f"{name}: {error}") from error
        except SubstitutionError as error:
            raise BuildFailed(f"{name}: {error}") from error

    def _read(self, text: str) -> dict[str, Any]:
        try:
            found = read_document(text)
        except TooManyNodes as error:
            raise BuildUnknown(reasons.BUILD_TOO_COSTLY, str(error)) from error
        except DocumentError as error:
            raise BuildFailed(f"an object cannot be read: {error}") from error
        if not isinstance(found, dict) or not isinstance(found.get("metadata", {}), dict):
            raise BuildFailed("the build holds something that is no object")
        return found

    def _file(self, meta: Raw) -> str:
        """The file that an object comes from, by kustomize's own note."""
        try:
            origin = read_document(read_text(read_map(meta, "annotations"), _ORIGIN) or "{}")
        except DocumentError:
            # Somebody else's note of that name.
            return ""
        named = read_text(origin, "path") or read_text(origin, "configuredIn") if isinstance(origin, dict) else ""
        return os.path.normpath(self._directory / named) if named else ""

    def _hidden(self, found: Raw) -> str:
        """Why an object cannot be known; empty where it can."""
        decrypts, secret = "decryption" in self._spec, found.get("kind") == "Secret"
        if _disabled(read_map(found, "metadata"), "decrypt"):
            return ""
        if (secret and "sops" in found) or (decrypts and read_text(read_map(found, "sops"), "mac")):
            return "it is encrypted with SOPS"
        if secret and decrypts and any(_holds_sops(value) for value in read_map(found, "data").values()):
            return "a value in it is encrypted with SOPS"
        return ""

    def _finished(self, body: Any) -> dict[str, Any]:
        if not isinstance(body, dict) or not isinstance(body.get("metadata"), dict):
            raise BuildFailed("a list holds something that is no object")
        meta = body["metadata"]
        annotations = dict(read_map(meta, "annotations"))
        if self._noted:
            annotations.pop(_ORIGIN, None)
        for key, wanted in (
            ("labels", {**read_map(meta, "labels"), **self._labels}),
            ("annotations", {**annotations, **self._annotations}),
        ):
            meta.pop(key, None)
            if wanted:
                meta[key] = wanted
        if body.get("kind") == "Secret" and body.get("apiVersion") == "v1" and read_map(body, "stringData"):
            encoded = {k: base64.b64encode(str(v).encode()).decode() for k, v in body.pop("stringData").items()}
            body["data"] = {**read_map(body, "data"), **encoded}
        if body.get("kind") == "CustomResourceDefinition":
            _drop_false_authority(body)
        else:
            body.pop("status", None)
        if meta.get("creationTimestamp", "") is None:
            del meta["creationTimestamp"]
        return body


def _drop_false_authority(definition: Raw) -> None:
    """Take out a conversion webhook's ``caBundle`` that is none: tools that inject one leave a place for it."""
    webhook = read_map(read_map(read_map(definition, "spec"), "conversion"), "webhook")
    client = webhook.get("clientConfig")
    if not isinstance(client, dict) or not (said := read_text(client, "caBundle")):
        return
    try:
        bundle = base64.b64decode(said, validate=True).decode("ascii")
        if bundle:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=bundle)
    except (ValueError, ssl.SSLError):
        del client["caBundle"]


def _disabled(meta: Raw, what: str) -> bool:
    return any(read_text(read_map(meta, part), f"{GROUP}/{what}") == "disabled" for part in ("labels", "annotations"))


def _is_kustomize(found: Raw) -> bool:
    return read_text(found, "kind").lower() == "kustomization" and read_text(found, "apiVersion").startswith(
        "kustomize.config.k8s.io/"
    )


def _holds_sops(value: object) -> bool:
    """Whether a Secret's value is itself a file that SOPS wrote."""
    try:
        data = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except ValueError:
        return False
    return b"sops_mac=" in data or b'"sops": {' in data or b"\nsops:\n" in data
