"""Real repositories behind small servers on loopback, for tests of the Git adapter."""

import os
import socket
import ssl
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Grace",
    "GIT_COMMITTER_EMAIL": "grace@example.org",
}


def git(folder: Path, *arguments: str, stdin: bytes = b"", **environment: str) -> str:
    """Run git in a folder and return what it prints, stripped."""
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(
        command,
        input=stdin,
        env=_ENVIRONMENT | environment,
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip()


@dataclass(frozen=True)
class Repository:
    """A bare repository to serve, and how to add to it."""

    path: Path

    @classmethod
    def create(cls, path: Path, *, allow_filter: bool = True) -> "Repository":
        """Make an empty repository with the branch main; by default it honours filters."""
        path.mkdir(parents=True)
        git(path, "init", "--quiet", "--bare", "--initial-branch=main", ".")
        git(path, "config", "uploadpack.allowFilter", str(allow_filter).lower())
        return cls(path)

    def commit(
        self,
        message: str = "Add a file",
        *,
        ref: str = "refs/heads/main",
        content: bytes = b"content\n",
        at: str = "1700000000 +0200",
    ) -> str:
        """Add a commit with one file on top of a ref and return its hash."""
        blob = git(self.path, "hash-object", "-w", "--stdin", stdin=content)
        tree = git(self.path, "mktree", stdin=f"100644 blob {blob}\tfile\n".encode())
        dates = {"GIT_AUTHOR_DATE": "1600000000 -0500", "GIT_COMMITTER_DATE": at}
        parents = [f"-p{line}" for line in git(self.path, "for-each-ref", "--format=%(objectname)", ref).split()]
        made = git(self.path, "commit-tree", tree, *parents, stdin=message.encode(), **dates)
        git(self.path, "update-ref", ref, made)
        return made


@dataclass
class Served:
    """What a server is told to do, and what it saw; to be changed before it is asked."""

    url: str
    authorization: str = ""
    """The header it demands; empty for none."""
    redirects: dict[str, str] = field(default_factory=dict)
    """Path to location, for requests that begin with that path."""
    statuses: dict[str, int] = field(default_factory=dict)
    """Path to a status to answer with instead."""
    old_protocol: bool = False
    """Whether to pretend not to know protocol v2."""
    requests: list[str] = field(default_factory=list)
    sent_bytes: int = 0
    connections: set[tuple[str, int]] = field(default_factory=set)

    def demand_basic(self, username: str, password: str) -> None:
        """Demand this user and password."""
        self.authorization = "Basic " + b64encode(f"{username}:{password}".encode()).decode()


class _Backend(BaseHTTPRequestHandler):
    """Hands requests to `git http-backend`, the CGI that git itself brings."""

    protocol_version = "HTTP/1.1"
    served: Served
    root: Path

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, *_: Any) -> None:
        """Keep the test's output clean."""

    def _serve(self) -> None:
        served, path = self.served, urlsplit(self.path).path
        served.requests.append(f"{self.command} {self.path}")
        served.connections.add(self.client_address)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        for prefix, location in served.redirects.items():
            if path.startswith(prefix):
                return self._refuse(307, location=location + self.path.removeprefix(prefix))
        for prefix, status in served.statuses.items():
            if path.startswith(prefix):
                return self._refuse(status)
        if served.authorization not in {"", self.headers.get("authorization")}:
            return self._refuse(401)
        return self._run_backend(body)

    def _refuse(self, status: int, location: str = "") -> None:
        self.send_response(status)
        if location:
            self.send_header("location", location)
        self.send_header("content-length", "0")
        self.end_headers()

    def _run_backend(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        environment = _ENVIRONMENT | {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "CONTENT_TYPE": self.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": "" if self.served.old_protocol else self.headers.get("git-protocol", ""),
        }
        with subprocess.Popen(
            ["git", "http-backend"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as backend:
            assert backend.stdin
            assert backend.stdout
            backend.stdin.write(body)
            backend.stdin.close()
            self._answer(backend.stdout)

    def _answer(self, stream: Any) -> None:
        headers = {}
        while line := stream.readline().decode().strip():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        self.send_response(int(headers.pop("status", "200 OK").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        while chunk := stream.read1(65536):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.served.sent_bytes += len(chunk)
        self.wfile.write(b"0\r\n\r\n")


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up early is what some tests are about."""


@contextmanager
def serve(root: Path, tls: ssl.SSLContext | None = None) -> Iterator[Served]:
    """Serve every repository below a folder over smart HTTP, or HTTPS at the name localhost."""

    class Handler(_Backend):
        pass

    with _QuietServer(("127.0.0.1", 0), Handler) as server:
        served = Served(f"http://127.0.0.1:{server.server_port}")
        Handler.root, Handler.served = root, served
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
            served.url = f"https://localhost:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def serve_raw(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve whatever a function writes to each connection, each in a thread; yield the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closing = threading.Event()

        def accept() -> None:
            while not closing.is_set():
                connection, _ = listener.accept()
                threading.Thread(target=run, args=(connection,), daemon=True).start()

        def run(connection: socket.socket) -> None:
            with connection:
                try:
                    answer(connection)
                except Exception:  # noqa: BLE001 - the client hung up, as it may, or the test is over
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            closing.set()
            socket.create_connection(listener.getsockname()).close()
            thread.join()


def packet(payload: bytes) -> bytes:
    """Return a line of Git's protocol."""
    return b"%04x%s" % (len(payload) + 4, payload)


def http_answer(body: bytes, kind: str = "advertisement") -> bytes:
    """Return a complete HTTP answer of git-upload-pack."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-%s\r\nContent-Length: %d\r\n\r\n%s" % (
        kind.encode(),
        len(body),
        body,
    )


def read_request(connection: socket.socket) -> None:
    """Read one request without looking at it."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536) or b"\r\n\r\n"
    head, _, body = data.lower().partition(b"\r\n\r\n")
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    while len(body) < length:
        body += connection.recv(65536)
