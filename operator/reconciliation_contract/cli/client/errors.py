"""What goes wrong on the command line, each said in one sentence with its mend."""

from __future__ import annotations

from enum import IntEnum

from reconciliation_contract.core.values.text import cleaned


class Exit(IntEnum):
    """Exit statuses. 1 and 2 are those of ``wait`` in the first place, which others rely on."""

    DONE = 0
    FAILED = 1
    """It could not be done; for ``wait``: a promise was broken, or the revision was rolled back."""
    TIMED_OUT = 2
    UNTRIED = 2
    """Only ``validate``: manifests could not be built or tried; as a number it is the same as a time-out."""
    CANNOT_TELL = 3
    """Only ``wait``: there is no such contract, or no way to ask; 1 would say that a promise was broken."""
    USAGE = 64
    """The command line makes no sense (EX_USAGE of sysexits.h; argparse's 2 would say "timed out")."""
    INTERRUPTED = 130


class Problem(Exception):
    """Something that a person has to mend; the message says how."""

    def __init__(self, message: str) -> None:
        super().__init__(cleaned(message, 4096))


class Misuse(Problem):
    """The command line makes no sense as a whole."""


class Absent(Problem):
    """The API server has no such object, or no such kind."""


class Unreachable(Problem):
    """The API server does not answer, or not now; asking again may help."""


class Changed(Problem):
    """The object is not the one that was looked at any more."""
