"""What the dry-run of a story's manifests and the comparison with its cluster come to."""

from __future__ import annotations

from datetime import datetime, timedelta

from reconciliation_contract.core.facts.comparison import Drift, changed, found_in
from reconciliation_contract.core.facts.dry_run import Check, Validation, summary
from reconciliation_contract.core.facts.field_owners import Author
from reconciliation_contract.core.values.diff import Difference
from tests.support.builders import sha
from tests.support.stories_live import WEB


class Inspected:
    """What was found last."""

    def __init__(self) -> None:
        self.validation: Validation | None = None
        self.drift: Drift | None = None

    def happen(self, deed: str, commit: str, now: datetime) -> None:
        """Let a validation or a comparison end."""
        hash_, quick = sha(commit), timedelta(milliseconds=80)
        check = Check(WEB, "deploy/web.yaml", quick)
        refused = Check(WEB, "deploy/web.yaml", quick, "Invalid: spec.replicas: must not be negative")
        scaled = changed(WEB, [Difference(("spec", "replicas"), 1, 3)], Author("kubectl", now))
        match deed:
            case "validates COMMIT":
                self.validation = summary(hash_, [check], now)
            case "refuses COMMIT":
                self.validation = summary(hash_, [refused], now)
            case "cannot validate COMMIT":
                self.validation = Validation(hash_, now, problem="flux-build is not installed")
            case "finds COMMIT in sync":
                self.drift = Drift(hash_, 1)
            case "finds COMMIT drifted":
                self.drift = found_in(hash_, 1, [scaled])
