"""The story of the demo, told on a real cluster.

A step is one commit with what must follow from it: stages that the contract's status reports, verdicts on its
promises, and checks of the cluster itself. `steps` lists them, `play` plays one, `narrator` tells it to a
pipe and `terminal` to a person. Nothing is told that was not read from the API server.
"""
