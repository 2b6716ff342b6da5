"""Wire formats: the contract's own CRD, the few Flux fields we read, durations.

Law of this package: it turns raw objects into the core's values and back, and knows no network. What an author got
wrong becomes a value that says so, never an exception. The models are the one source of the CRD.
"""
