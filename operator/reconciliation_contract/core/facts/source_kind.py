"""What each kind of Flux source can do, as values: the rest of the operator asks these, never a kind's name.

To follow another kind, add its value here, and its resource to the rights in ``deploy/``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

_GROUP: Final = "source.toolkit.fluxcd.io"
_GIT_HOSTS: Final = {"github.com": "github", "bitbucket.org": "bitbucket"}
"""Git hosts with a package URL type of their own."""


@dataclass(frozen=True, slots=True)
class SourceKind:
    """A kind of source: where it is read, what its revisions are, and how one of them is pinned."""

    name: str
    plural: str
    """Of its API resource."""
    command: str
    """What the flux CLI calls it: ``flux resume source git NAME``."""
    host: str
    """What people call the place that it fetches from."""
    package_url: Callable[[str, str], str]
    """From a source's URL and a revision's hash, the package URL of the revision; empty where the URL has no path."""
    group: str = _GROUP
    version: str = "v1"
    commits: bool = False
    """Its revisions are Git commits: they have a time, and a place in Git where we can look for newer ones."""
    reference_fields: tuple[str, ...] = ()
    """Fields of ``spec.ref`` that choose the revision, the strongest first."""
    pin_field: str = ""
    """The field of ``spec.ref`` that fixes one revision for good; empty where there is none to go back to."""
    required: bool = False
    """Part of every installation of Flux: where it is missing, there is no Flux."""


def _git_package(url: str, hash_: str) -> str:
    scheme, host, path = _parted(url)
    owner, _, last = path.rpartition("/")
    kind = _GIT_HOSTS.get(host)
    if kind and owner:
        return f"pkg:{kind}/{quote(path.lower())}@{hash_}"
    where = quote(f"git+{scheme}://{host}/{path}@{hash_}", safe=":/")
    return f"pkg:generic/{quote(last, safe='')}@{hash_}?vcs_url={where}" if path else ""


def _oci_package(url: str, hash_: str) -> str:
    _, host, path = _parted(url)
    name = quote(path.rpartition("/")[2].lower(), safe="")
    digest, where = quote(f"sha256:{hash_}", safe=""), quote(f"{host}/{path}", safe=":/")
    return f"pkg:oci/{name}@{digest}?repository_url={where}" if path else ""


def _bucket_package(url: str, hash_: str) -> str:
    name = quote(_parted(url)[2].rpartition("/")[2], safe="")
    return f"pkg:generic/{name}@{quote(f'sha256:{hash_}', safe='')}" if name else ""


def _parted(url: str) -> tuple[str, str, str]:
    """Scheme, host with port, and path, and nothing else that may be secret; a path alone where it is no URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", "", ""
    return parts.scheme, parts.netloc.rpartition("@")[2].lower(), parts.path.strip("/").removesuffix(".git")


GIT_REPOSITORY: Final = SourceKind(
    name="GitRepository",
    plural="gitrepositories",
    command="git",
    host="Git host",
    package_url=_git_package,
    commits=True,
    reference_fields=("commit", "name", "semver", "tag", "branch"),
    pin_field="commit",
    required=True,
)
OCI_REPOSITORY: Final = SourceKind(
    name="OCIRepository", plural="ocirepositories", command="oci", host="source host", package_url=_oci_package
)
BUCKET: Final = SourceKind(
    name="Bucket", plural="buckets", command="bucket", host="source host", package_url=_bucket_package
)

Kinds = Mapping[str, SourceKind]
SOURCE_KINDS: Final[Kinds] = {kind.name: kind for kind in (GIT_REPOSITORY, OCI_REPOSITORY, BUCKET)}
"""The kinds that can be followed, by name."""
