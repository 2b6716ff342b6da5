"""What is seen beside the events of a pass: a look or an event in, facts for an `Observation` out.

The store is fed by the watches; the observers look at Git, pruning, workloads, manifests and the environment.
"""
