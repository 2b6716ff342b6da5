"""kopf in, "look at contract X" out.

Law of this package: only `kopf.on.event` (and the start-up and log-in hooks); a handler takes microseconds, returns
nothing and never raises. Nothing is ever written to a Flux object from here, not even an annotation.
"""
