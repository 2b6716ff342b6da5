"""Holds Flux to its promises."""
