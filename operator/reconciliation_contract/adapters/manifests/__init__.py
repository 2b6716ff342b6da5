"""From what a source serves to the objects that Flux applies, built by Flux's own code.

`flux-build`, a program beside this package, links the libraries of kustomize-controller and reads a repository's
bytes in a process that the kernel confines. The operator's process only downloads, checks the digest, reads what is
to be substituted and takes the result.
"""
