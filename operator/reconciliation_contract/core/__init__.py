"""The pure core: what a contract means, decided from facts alone.

Law of this package: standard library only. No ``await``, no clock, no logging, no framework. ``now`` is an
argument, read once per pass. Everything is a frozen value; a function returns a new one.

The words are those of ``docs/concepts.md``.
"""
