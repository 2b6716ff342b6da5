"""A person's connection to a cluster: kubeconfig and flags in, a session and errors with their fix out."""
