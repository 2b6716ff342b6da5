"""Where artifacts may be fetched from: Flux's own artifact servers, and nowhere else.

An artifact's URL stands in a status, and whoever may write that can point it at any address. So a URL is taken only
where it leads to a Service of source-controller (or of a shard of it) in Flux's namespace, where no tenant can make a
Service, or to an address that the operator was started with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

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
        if parts.scheme != "http" or not host or parts.netloc not in (host, f"{host}:{port}", f"[{host}]:{port}"):
            return False
        if host in self.named or f"{host}:{port or 80}" in self.named:
            return True
        return port in (None, 80) and bool(
            re.fullmatch(_SERVICE.format(namespace=re.escape(self.namespace)), host, re.ASCII)
        )
