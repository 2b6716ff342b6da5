"""Incidents: memory and observation in, incidents with their messages and recoveries out."""
