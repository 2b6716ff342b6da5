"""A registry and an S3 server on loopback, as much of each as source-controller needs.

OCI: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pull. S3: the calls that minio-go makes to
list a bucket and to fetch its objects. Anybody may read.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.cncf.flux.config.v1+json"
_CONTENT = "application/vnd.cncf.flux.content.v1.tar+gzip"
_S3 = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_MADE = "2026-01-01T00:00:00.000Z"

Answer = tuple[bytes, Mapping[str, str]]


def _digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


@dataclass
class ArtifactServer:
    """Files by name, served as an artifact of the same name in the registry and as a bucket of that name."""

    port: int = 0
    _files: dict[str, Mapping[str, str]] = field(default_factory=dict)
    _blobs: dict[str, bytes] = field(default_factory=dict)
    _latest: dict[str, bytes] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def put(self, name: str, files: Mapping[str, str]) -> None:
        """Serve files, by their paths, instead of those before."""
        config, layer = b"{}", _archive(files)
        parts = {part: {"digest": _digest(part), "size": len(part)} for part in (config, layer)}
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, **parts[config]},
            "layers": [{"mediaType": _CONTENT, **parts[layer]}],
        }
        self._blobs |= {_digest(config): config, _digest(layer): layer}
        self._latest[name] = json.dumps(manifest).encode()
        self._blobs[_digest(self._latest[name])] = self._latest[name]
        self._files[name] = dict(files)

    def answer(self, url: str) -> Answer | None:
        """Answer a GET; None where there is nothing."""
        parts = urlsplit(url)
        path = parts.path.strip("/")
        if path == "v2":
            return b"{}", {"Content-Type": "application/json"}
        if path.startswith("v2/"):
            return self._pull(*path.removeprefix("v2/").rsplit("/", 2))
        return self._bucket(path, parts.query)

    def _pull(self, name: str, kind: str, reference: str) -> Answer | None:
        found = self._blobs.get(reference) if ":" in reference else self._latest.get(name)
        if found is None:
            return None
        content = _MANIFEST if kind == "manifests" else "application/octet-stream"
        return found, {"Content-Type": content, "Docker-Content-Digest": _digest(found)}

    def _bucket(self, path: str, query: str) -> Answer | None:
        name, _, key = path.partition("/")
        files = self._files.get(name)
        if files is None:
            return None
        if "location" in query:
            return f"<LocationConstraint {_S3}></LocationConstraint>".encode(), {"Content-Type": "application/xml"}
        if not key:
            return _listing(name, files), {"Content-Type": "application/xml"}
        if key not in files:
            return None
        made = "Thu, 01 Jan 2026 00:00:00 GMT"
        return files[key].encode(), {"ETag": _etag(files[key]), "Last-Modified": made, "Content-Type": "text/plain"}


def _archive(files: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, text in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(packed.getvalue(), mtime=0)


def _etag(text: str) -> str:
    return f'"{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}"'


def _listing(name: str, files: Mapping[str, str]) -> bytes:
    contents = "".join(
        f"<Contents><Key>{escape(path)}</Key><LastModified>{_MADE}</LastModified><ETag>{escape(_etag(text))}</ETag>"
        f"<Size>{len(text.encode())}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for path, text in sorted(files.items())
    )
    count = f"<KeyCount>{len(files)}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>"
    return (
        f"<ListBucketResult {_S3}><Name>{name}</Name><Prefix></Prefix>{count}{contents}</ListBucketResult>".encode()
    )


@contextmanager
def artifact_server() -> Iterator[ArtifactServer]:
    """Serve on a free port while the context lasts."""
    served = ArtifactServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = served.answer(self.path)
            body, headers = found or (b"", {})
            self.send_response(200 if found else 404)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join(10)
