"""Two facts from a Git repository: which commit a ref points to, and when a commit was made.

The law of this package: nothing is cloned, written to disk or run; no byte is sent to an address that policy forbids;
time, memory and bytes are bounded whatever a server does; every failure is a `GitError` that says what to do and
holds no secret. dulwich speaks the protocol, in a worker thread for each question.
"""

from .address import check_address
from .client import Git, Remote
from .commit import Commit
from .credentials import ANONYMOUS, Credentials, credentials_from_secret
from .error import (
    AccessDenied,
    AddressRefused,
    GitError,
    Malformed,
    NotFound,
    SshUnavailable,
    TimedOut,
    TooLarge,
    Unreachable,
    UnsupportedRef,
    redact,
)
from .reference import GitRef
from .wire import GitSettings

__all__ = [
    "ANONYMOUS",
    "AccessDenied",
    "AddressRefused",
    "Commit",
    "Credentials",
    "Git",
    "GitError",
    "GitRef",
    "GitSettings",
    "Malformed",
    "NotFound",
    "Remote",
    "SshUnavailable",
    "TimedOut",
    "TooLarge",
    "Unreachable",
    "UnsupportedRef",
    "check_address",
    "credentials_from_secret",
    "redact",
]
