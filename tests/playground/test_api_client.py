"""The client keeps its connections: a handshake costs an API server more than most requests."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from playground.api_client import ApiClient, ApiError
from playground.credential import Access
from tests.support.certificate import issue


class Server(ThreadingHTTPServer):
    """Answers in JSON, and counts the connections that it takes."""

    def __init__(self, folder: Path) -> None:
        identity, self.folder = issue("localhost", address="127.0.0.1"), folder
        (folder / "ca.crt").write_text(identity.certificate_pem)
        (folder / "key.pem").write_text(identity.key_pem())
        self.connections = 0
        self.hangs_up = False
        super().__init__(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "ca.crt", folder / "key.pem")
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def client(self) -> ApiClient:
        return ApiClient(Access(f"https://127.0.0.1:{self.server_port}", self.folder / "ca.crt"), "token")

    def process_request(self, request: object, client_address: object) -> None:
        self.connections += 1
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent: clients may go."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server  # type: ignore[assignment]

    def do_GET(self) -> None:
        body = json.dumps({"message": self.path}).encode()
        self.send_response(404 if self.path == "/absent" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        # Without a word, as a server does with a connection that nobody has used for long.
        self.close_connection = self.server.hangs_up

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with TLS, running."""
    with Server(tmp_path) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_one_connection_serves_many_requests(server: Server) -> None:
    """Refusals included."""
    client = server.client()

    found = [client.get("/a"), client.find("/absent"), client.get("/b")]
    with pytest.raises(ApiError, match="404 /absent"):
        client.get("/absent")

    assert found == [{"message": "/a"}, None, {"message": "/b"}]
    assert server.connections == 1


def test_a_connection_that_the_server_has_closed_is_replaced(server: Server) -> None:
    """Nobody notices."""
    client, server.hangs_up = server.client(), True

    found = [client.get("/a"), client.get("/b")]

    assert found == [{"message": "/a"}, {"message": "/b"}]
    assert server.connections == 2


def test_a_server_that_is_gone_is_told(tmp_path: Path) -> None:
    """As an `OSError`, at once."""
    with Server(tmp_path) as running:
        client = running.client()

    with pytest.raises(ConnectionRefusedError):
        client.get("/a")
