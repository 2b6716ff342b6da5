"""A collector of OpenTelemetry traces on loopback: OTLP over HTTP, decoded again."""

from __future__ import annotations

import gzip
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.virtual_time_port import free_port


class Collector:
    """Takes traces and keeps what was sent."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.received: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()

    def spans(self) -> list[Span]:
        """The spans of the next request; raises `queue.Empty` where none comes."""
        path, body = self.received.get(timeout=30)
        assert path == "/v1/traces"
        request = ExportTraceServiceRequest.FromString(body)
        return [span for found in request.resource_spans for scope in found.scope_spans for span in scope.spans]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on loopback."""
    port = free_port()
    collector = Collector(f"http://127.0.0.1:{port}")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            plain = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            collector.received.put((self.path, plain))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = HTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
