"""Why there are no manifests; each error has a reason of `core.reasons` and says what to do."""

from __future__ import annotations

from reconciliation_contract.core.values import reasons
from reconciliation_contract.core.values.text import bounded


class BuildError(Exception):
    """No manifests; the message is fit for a status."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        self.message = bounded(message)
        super().__init__(self.message)


class BuildFailed(BuildError):
    """The manifests themselves are wrong: Flux cannot build them either."""

    def __init__(self, message: str) -> None:
        super().__init__(reasons.BUILD_FAILED, message)


class BuildUnknown(BuildError):
    """It cannot be known here what Flux builds."""
