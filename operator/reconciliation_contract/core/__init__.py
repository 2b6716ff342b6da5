"""The pure core: what a contract means, decided from facts alone.

Law of this package: standard library only. No ``await``, no clock, no logging, no framework. ``now`` is an
argument, read once per pass. Everything is a frozen value; a function returns a new one.

One word per concept:

contract
    What a person declared: one Flux Kustomization, the promises it must keep, what to do when it fails.
promise
    One predicate over the evidence of one delivery, with a budget.
revision
    One Git commit, named as Flux names it (``main@sha1:<40 hex>``) and compared by its hash only. Of an OCIRepository
    or a Bucket, one content of it, by its digest (``latest@sha256:<64 hex>``).
observation
    The facts of the world at one moment: the Kustomization, its source, the pinned source, what Git says.
evidence
    What a delivery has recorded so far: its stages, its failed attempts.
delivery
    The way of one revision from commit to healthy. A → B → A is three deliveries.
timeline
    The stages of a delivery, each with the window of time in which it happened and who says so.
verdict
    ``Kept``, ``Broken``, ``Pending``, ``Unknown`` or ``Superseded``. Failing to measure is ``Unknown``.
memory
    What is kept between passes, all of it in the contract's status.
effect
    An act for the outside world, as data.
pass
    Observe, decide, act: once. A pass may be repeated at any time without harm.
"""
