"""Errors of the outside world, converted once at the edge. Fields are typed; each builds its own message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reconciliation_contract.core.values.text import cleaned

_LONGEST_SHOWN: Final = 80
"""Characters shown of a name that is none."""
_LONGEST: Final = 4096
"""Characters of what is said."""


@dataclass
class ClusterError(Exception):
    """The API server did not do what was asked."""

    verb: str
    what: str
    detail: str = ""
    code: int = 0
    """HTTP status; 0 where there was no answer."""
    reason: str = ""
    """Kubernetes' word for why, such as Invalid or Forbidden."""
    retry_after: float = 0.0
    """Seconds after which the server wants to be asked again; 0 where it does not say."""

    def __post_init__(self) -> None:
        """Take the server's words through the filter."""
        self.detail, self.reason = cleaned(self.detail, _LONGEST), cleaned(self.reason, _LONGEST)

    def __str__(self) -> str:
        """One sentence: what failed, and what the server said."""
        return cleaned(f"cannot {self.verb} {self.what}: {self.detail or type(self).__name__}", _LONGEST)


class Conflict(ClusterError):
    """The object changed since it was read (409); look again."""


class Missing(ClusterError):
    """The object, or its kind, does not exist (404)."""


class Refused(ClusterError):
    """The rights are lacking (401, 403), or the object is not accepted (400, 422)."""


class Powerless(Refused):
    """The operator may not act as an account; it says nothing of what the account may."""


class Unavailable(ClusterError):
    """The API server does not answer, or not now (connection, time-out, 429, 5xx)."""


class BadName(Refused):
    """Kubernetes takes no such name, so no request was made with it."""

    def __init__(self, text: str, use: str, flaw: str) -> None:
        """``use`` says what it would name, such as ``a name of secrets``; ``flaw`` what is wrong with it."""
        shown = cleaned(text, _LONGEST_SHOWN)
        super().__init__("use", f'"{shown}" as {use}', f"{flaw}; correct it where it is written")
