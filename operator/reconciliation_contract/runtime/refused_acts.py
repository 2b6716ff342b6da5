"""Acts that the API server refuses, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from reconciliation_contract.core.memory.effects import Effect
from reconciliation_contract.errors import ClusterError, Unavailable

JUST_NOW: Final = timedelta(seconds=5)
"""A try that is older says nothing of what would happen now."""


@dataclass(frozen=True)
class Refusal:
    """An act that has been refused at every try."""

    act: type[Effect]
    since: datetime
    at: datetime
    """The first and the last of these tries."""
    refused: str
    """Why the API server refused it; empty where it could not do it."""
    ending: bool
    """The last try was for a contract that is being deleted."""

    def refused_for(self, now: datetime) -> timedelta:
        """How long it has been refused, up to a try that was just now and after the deletion; else zero."""
        return self.at - self.since if self.ending and now - self.at <= JUST_NOW else timedelta(0)


def is_decided(error: ClusterError) -> bool:
    """Whether the API server, or a webhook that it asks, decided against an act, rather than being away itself."""
    return not isinstance(error, Unavailable) or error.code == HTTPStatus.INTERNAL_SERVER_ERROR
