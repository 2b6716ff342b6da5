"""The running operator: a queue of contracts, a pass over each, the wiring of it all."""
