"""Server-side dry-run: manifests in, what the API server says of each out.

Law: nothing is ever persisted; every request carries `dryRun=All`.
"""
