"""From what a source serves to the objects that Flux applies, with the real kustomize.

Everything that reads a repository's bytes runs in a process of its own (`worker`), with limits on memory, time and
files; the operator's process only downloads (`artifact`), checks the digest and takes the result (`builder`).

What Flux does is written down in its own packages: fluxcd/pkg ``kustomize``, ``envsubst``, ``ssa`` and
kustomize-controller 1.9.
"""
