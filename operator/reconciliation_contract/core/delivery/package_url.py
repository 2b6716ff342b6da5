"""The package URL of what a source serves: how tools for software supply chains name it.

Form: https://github.com/package-url/purl-spec. Where no type fits, a Git repository is ``generic`` with ``vcs_url``.
Nothing of a URL but its host and path is used, so that no secret gets out.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlsplit

from reconciliation_contract.core.facts.observation import GIT_REPOSITORY, Source

_HOSTS: Final = {"github.com": "github", "bitbucket.org": "bitbucket"}
"""Git hosts with a type of their own."""


def purl(source: Source | None, hash_: str, name: str) -> str:
    """Name a revision; ``name`` is for what is not known to come from anywhere."""
    scheme, host, path = _parted(source.url if source else "")
    if source is None or not path:
        return f"pkg:generic/{quote(name, safe='')}@{hash_}"
    owner, _, last = path.rpartition("/")
    if source.kind == GIT_REPOSITORY:
        kind = _HOSTS.get(host)
        if kind and owner:
            return f"pkg:{kind}/{quote(path.lower())}@{hash_}"
        where = quote(f"git+{scheme}://{host}/{path}@{hash_}", safe=":/")
        return f"pkg:generic/{quote(last, safe='')}@{hash_}?vcs_url={where}"
    digest = quote(f"sha256:{hash_}", safe="")
    if scheme == "oci":
        return f"pkg:oci/{quote(last.lower(), safe='')}@{digest}?repository_url={quote(f'{host}/{path}', safe=':/')}"
    return f"pkg:generic/{quote(last, safe='')}@{digest}"


def _parted(url: str) -> tuple[str, str, str]:
    """Scheme, host with port, and path; a path alone where it is no URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", "", ""
    return parts.scheme, parts.netloc.rpartition("@")[2].lower(), parts.path.strip("/").removesuffix(".git")
