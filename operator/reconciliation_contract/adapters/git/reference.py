"""What a GitRepository's `spec.ref` points at."""

import re
from dataclasses import dataclass

from dulwich.refs import Ref, check_ref_format

from .error import UnsupportedRef

_HASH = re.compile(r"[0-9a-f]{40}")
_LONGEST = 1024
_PEELED = "^{}"


@dataclass(frozen=True)
class GitRef:
    """The fields of `spec.ref`; the first given one of commit, name, semver, tag and branch counts, as in Flux."""

    branch: str | None = None
    """`master` if nothing is given."""
    tag: str | None = None
    semver: str | None = None
    name: str | None = None
    commit: str | None = None


def is_hash(text: str) -> bool:
    """Whether this is a full SHA-1 in lower case."""
    return _HASH.fullmatch(text) is not None


def pinned_hash(url: str, ref: GitRef) -> str | None:
    """Return the commit a ref is pinned to, if it is; raise `UnsupportedRef` for what is not a full hash."""
    if not ref.commit:
        return None
    if not is_hash(ref.commit.lower()):
        raise UnsupportedRef(url, ref.commit, "a commit is 40 hexadecimal digits")
    return ref.commit.lower()


def ref_name(url: str, ref: GitRef) -> bytes:
    """Return the full name to look for, without peeling suffix; raise `UnsupportedRef` for semver and odd names."""
    if ref.semver and not ref.name:
        # No library on PyPI has the rules of Masterminds/semver, and nearly right picks the wrong tag silently.
        raise UnsupportedRef(url, ref.semver, "semver ranges are resolved by Flux only")
    if ref.name:
        name = ref.name.removesuffix(_PEELED)
    elif ref.tag:
        name = f"refs/tags/{ref.tag}"
    else:
        name = f"refs/heads/{ref.branch or 'master'}"
    try:
        encoded = name.encode()
    except UnicodeEncodeError as error:
        raise UnsupportedRef(url, name, "it is not valid Unicode") from error
    if encoded != b"HEAD" and (len(encoded) > _LONGEST or not check_ref_format(Ref(encoded))):
        raise UnsupportedRef(url, name, "it is not a valid name of a ref")
    return encoded
