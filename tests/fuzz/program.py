"""Fuzz the parsers of what is hostile, with coverage, by libFuzzer: ``python -m tests.fuzz.program --help``.

What makes a parser fail is written beside its seeds, as ``corpus/TARGET/crash-…`` or ``timeout-…``: mend the parser
and keep the file, which every run of the fast tests reads again.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Final

CORPUS: Final = Path(__file__).parent / "corpus"
FOUND: Final = Path(".fuzz")
"""What longer runs learnt, for the next one on this machine."""
_LIMITS: Final = ("-max_len=4096", "-timeout=30", "-rss_limit_mb=2048", "-verbosity=0", "-print_final_stats=1")


def fuzz(target: Callable[[bytes], None], bound: str, seed: int, found: Path) -> bool:
    """Fuzz one target in a process of its own, which its end or a finding ends; return whether nothing was found."""
    import atheris

    seeds, learnt = CORPUS / target.__name__, found / target.__name__
    learnt.mkdir(parents=True, exist_ok=True)
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    bounds = [bound, f"-seed={seed}", f"-artifact_prefix={seeds}/", *_LIMITS]
    atheris.Setup([target.__name__, *bounds, str(learnt), str(seeds)], target)
    atheris.Fuzz()
    os._exit(0)


def main() -> int:
    """Fuzz the targets that are named, or all; return how many failed."""
    parser = argparse.ArgumentParser(prog="fuzz", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--runs", type=int, default=0, help="for each target, instead of a time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--found", type=Path, default=FOUND, help="where to keep what is learnt")
    parser.add_argument("target", nargs="*")
    given = parser.parse_args()
    import atheris

    with redirect_stderr(io.StringIO()), atheris.instrument_imports(include=["reconciliation_contract", "dulwich"]):
        from tests.fuzz.targets import TARGETS
    bound = f"-runs={given.runs}" if given.runs else f"-max_total_time={given.seconds}"
    failed = [name for name in given.target or TARGETS if not fuzz(TARGETS[name], bound, given.seed, given.found)]
    print(f"failed: {', '.join(failed)}" if failed else "nothing found")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
