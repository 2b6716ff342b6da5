"""Where artifacts may be fetched from: Flux's own artifact servers, and nowhere else.

An artifact's URL stands in a status, and whoever may write that can point it at any address. So a URL is taken only
where it leads to a Service of source-controller (or of a shard of it) in Flux's namespace, where no tenant can make a
Service, or to an address that the operator was started with; and of these only to the folder of the source itself,
for the others' are other tenants'.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from reconciliation_contract.core.values.local_address import local_kind
from reconciliation_contract.core.values.text import bounded

_SERVICE = r"source-controller(-[a-z0-9-]+)?\.{namespace}(\.svc(\.cluster\.local)?)?\.?"


@dataclass(frozen=True, slots=True)
class ArtifactServers:
    """What is trusted to serve artifacts."""

    namespace: str = "flux-system"
    """Where Flux's controllers run."""
    named: tuple[str, ...] = ()
    """``HOST`` or ``HOST:PORT`` of further servers; without a port any."""

    def admits(self, url: str) -> bool:
        """Whether an artifact may be fetched from here; a URL with anything unusual before its path is refused."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return False
        if any(not "!" <= character <= "~" for character in url) or parts.query or parts.fragment or "\\" in url:
            return False
        if parts.scheme != "http" or not host or parts.netloc not in (host, f"{host}:{port}", f"[{host}]:{port}"):
            return False
        if host in self.named or f"{host}:{port or 80}" in self.named:
            return True
        return port in (None, 80) and bool(
            re.fullmatch(_SERVICE.format(namespace=re.escape(self.namespace)), host, re.ASCII)
        )


def is_of(url: str, owner: str) -> bool:
    """Whether a URL lies in a source's own folder of the storage, ``/KIND/NAMESPACE/NAME/``; empty is not known."""
    path = urlsplit(url).path
    return not owner or (
        path.startswith(f"/{owner}/") and "%" not in path and {".", ".."}.isdisjoint(path.split("/"))
    )


class LocalAddress(OSError):
    """A name resolves to an address that leads to the operator's own pod or node, or to a metadata service."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"its name resolves to a {bounded(kind)} address")


class JudgedResolver(AbstractResolver):
    """Resolves a name once, and judges each address; the connection goes to what was judged."""

    def __init__(self) -> None:
        self._names = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve a name; raises `LocalAddress` where any of its addresses may not be dialled."""
        found = await self._names.resolve(host, port, family)
        for each in found:
            if kind := local_kind(each["host"]):
                raise LocalAddress(kind)
        return found

    async def close(self) -> None:
        """Do nothing: nothing is kept."""
