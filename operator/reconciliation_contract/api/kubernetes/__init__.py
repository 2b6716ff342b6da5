"""Objects of Kubernetes that no contract is about: raw objects in, the facts we need of them out."""
