"""A real Kubernetes control plane and real Flux on this machine, without containers.

Every part is a plain process on loopback: etcd, kube-apiserver, kube-controller-manager, kube-scheduler,
kwok (fake nodes, so that Deployments become Ready), Flux's source-, kustomize- and notification-controller,
and a Git server. The demo and the end-to-end tests use it through `playground.cluster.Cluster`; a person
uses it as `python -m playground up`.

The laws of this package: everything listens on 127.0.0.1 only; every process it starts is stopped by its
own process id, never by name, and dies with the process that started it; nothing is written outside a
temporary directory and the per-user cache.
"""
