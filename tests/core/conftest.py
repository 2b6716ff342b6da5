"""How hard the generated tests try: little by default, ``HYPOTHESIS_PROFILE=thorough`` for long runs."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)

settings.register_profile("quick", max_examples=40, stateful_step_count=25, deadline=None, derandomize=True)
settings.register_profile(
    "thorough", max_examples=1000, stateful_step_count=40, deadline=None, suppress_health_check=_SLOW
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
