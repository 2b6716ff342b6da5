"""Artifacts and checkouts: an address or a folder in, a bounded tree of plain files out."""
