"""What can go wrong with a repository, each with what to do about it; no message holds a secret."""

import re

from reconciliation_contract.core.values.text import cleaned

_PLAIN_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,20}://")
_LONGEST_URL = 300
_LONGEST = 1000


def redact(url: str) -> str:
    """Return the URL without user, password, query and fragment, fit to be shown; never raises.

    Where a password might hold a raw "/", "?" or "@", the host cannot be told from it, and nothing is shown.
    """
    scheme = _SCHEME.match(url)
    prefix = scheme.group() if scheme else ""
    rest = url[len(prefix) :]
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    host = authority.rpartition("@")[2]
    if not scheme:
        shown = rest.rpartition("@")[2]
    elif _PLAIN_AUTHORITY.fullmatch(host) and rest.count("@") == authority.count("@") <= 1:
        shown = host + rest[len(authority) :]
    else:
        shown = "..."
    return cleaned(prefix + re.split(r"[?#]", shown, maxsplit=1)[0], _LONGEST_URL)


class GitError(Exception):
    """A fact could not be read from a repository; `url` is fit to be shown."""

    def __init__(self, url: str, failure: str, remedy: str) -> None:
        self.url = redact(url)
        self.failure = cleaned(failure, _LONGEST)
        super().__init__(cleaned(f"{self.url}: {failure}; {remedy}", _LONGEST))


class AddressRefused(GitError):
    """The operator's policy does not allow this address: nothing, or nothing more, was sent to it."""

    def __init__(self, url: str, reason: str, remedy: str = "correct spec.url of the GitRepository") -> None:
        super().__init__(url, f"address refused: {reason}", remedy)
        self.reason = cleaned(reason, _LONGEST)


class NotFound(GitError):
    """The server is there, the repository or the object is not, or is hidden from these credentials."""

    def __init__(self, url: str, what: str) -> None:
        super().__init__(url, f"{what} not found", "check that it still exists and that the secretRef may read it")
        self.what = what


class AccessDenied(GitError):
    """The server, or the lack of credentials, says no."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, f"access denied: {reason}", "check the Secret named by the GitRepository's secretRef")
        self.reason = cleaned(reason, _LONGEST)


class Unreachable(GitError):
    """No answer can be had now; trying again later may help."""

    def __init__(
        self, url: str, reason: str, remedy: str = "check the server and the network policy; it is tried again"
    ) -> None:
        super().__init__(url, f"unreachable: {reason}", remedy)
        self.reason = cleaned(reason, _LONGEST)


class TooLarge(GitError):
    """The server sent more than we are willing to read."""

    def __init__(self, url: str, limit: int) -> None:
        super().__init__(
            url, f"the answer is larger than {limit} bytes", "set uploadpack.allowFilter=true on the server"
        )
        self.limit = limit


class TimedOut(GitError):
    """The server did not answer in time."""

    def __init__(self, url: str, seconds: float) -> None:
        super().__init__(url, f"no answer within {seconds:g} s", "check the server; it is tried again")
        self.seconds = seconds


class UnsupportedRef(GitError):
    """The GitRepository's ref is of a form that cannot be resolved here."""

    def __init__(self, url: str, ref: str, reason: str) -> None:
        shown = cleaned(ref, 100)
        super().__init__(
            url, f"ref {shown!r} is not followed: {reason}", "latencies of this source start at its artifact"
        )
        self.ref = shown
        self.reason = cleaned(reason, _LONGEST)


class SshUnavailable(GitError):
    """The operator was installed without its SSH library."""

    def __init__(self, url: str) -> None:
        super().__init__(
            url, "SSH needs the paramiko library", "install reconciliation-contract[ssh] or use an https URL"
        )


class Malformed(GitError):
    """The server's answer, or the Secret, cannot be understood."""

    def __init__(self, url: str, reason: str, remedy: str = "check that spec.url names a Git repository") -> None:
        super().__init__(url, f"malformed: {reason}", remedy)
        self.reason = cleaned(reason, _LONGEST)


_ABSENT = (
    "not our ref",
    "unadvertised object",
    "not found",
    "be found",
    "cannot find",
    "no such",
    "does not exist",
    "does not appear to be a git repository",
)
_DENIED = ("denied", "permission", "unauthorized", "not authorized", "forbidden", "authentication")


def refusal(url: str, text: str) -> GitError:
    """Return the error for what a server says when it declines.

    Its words only choose the class: they may repeat what it was sent, so they are never shown.
    """
    said = text.lower()
    if any(sign in said for sign in _ABSENT):
        return NotFound(url, "repository or commit")
    if any(sign in said for sign in _DENIED):
        return AccessDenied(url, "the server refuses these credentials")
    return Malformed(url, "the server refuses the request or does not speak Git's protocol")
