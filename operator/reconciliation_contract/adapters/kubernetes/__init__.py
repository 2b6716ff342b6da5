"""The Kubernetes API: requests and access reviews in, raw objects and typed errors out.

Law: the only place that talks to the API server beside kopf; every path is made of quoted segments.
"""
