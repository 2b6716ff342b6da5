"""Metrics, traces and the HTTP endpoints that serve them.

Law: reads what passes decided, changes nothing.
"""
