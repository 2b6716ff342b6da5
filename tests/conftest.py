"""For all tests: how hard the generated ones try, little by default, ``HYPOTHESIS_PROFILE=thorough`` for long runs."""

from __future__ import annotations

import asyncio
import os

from hypothesis import HealthCheck, Phase, settings

# pytest-asyncio 1.5 makes a loop for the main thread where none was ever set, and leaks it.
asyncio.set_event_loop(None)

_FIND = (Phase.explicit, Phase.reuse, Phase.generate)
"""Without shrinking, which takes minutes for a history; `thorough` does it."""
_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)

settings.register_profile(
    "quick",
    max_examples=30,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    phases=_FIND,
    suppress_health_check=_SLOW,
)
settings.register_profile(
    "thorough", max_examples=1000, stateful_step_count=40, deadline=None, suppress_health_check=_SLOW
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
