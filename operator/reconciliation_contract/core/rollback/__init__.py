"""Rollback: from the first guard to the last word about it.

Intent is remembered before an act, the act done after, and what came of it marked last.
"""
