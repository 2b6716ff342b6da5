"""Flux's own objects: raw Kustomizations, sources and controllers in, records of the core out."""
