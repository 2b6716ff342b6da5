"""For all tests."""

from __future__ import annotations

import asyncio

# pytest-asyncio 1.5 makes a loop for the main thread where none was ever set, and leaks it.
asyncio.set_event_loop(None)
