"""The ReconciliationContract as people write it: raw object in, `core.spec` values out."""
