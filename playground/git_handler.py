"""HTTP requests turned into runs of `git http-backend` (CGI, RFC 3875)."""

from __future__ import annotations

import base64
import contextlib
import hmac
import shutil
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from playground.git_command import git_environment

BODY_IN_MEMORY = 1 << 20
"""Bytes of a request body that are kept in memory; more goes to a temporary file."""


@dataclass(frozen=True)
class Credentials:
    """What HTTP basic authentication asks for."""

    user: str
    password: str = field(repr=False)

    def match(self, header: str) -> bool:
        """Tell whether an Authorization header carries these credentials."""
        expected = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return hmac.compare_digest(header.encode(), f"Basic {expected}".encode())


class Backend:
    """What all requests share: the folder of repositories, who may read them, and a gate to hang at."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.credentials: dict[str, Credentials] = {}
        self.open_gate = threading.Event()
        self.open_gate.set()

    def environment(self, request: BaseHTTPRequestHandler, length: int) -> dict[str, str]:
        """Return the CGI variables that git http-backend reads."""
        url = urlsplit(request.path)
        variables = {
            "GIT_PROJECT_ROOT": str(self.directory),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": request.command,
            "PATH_INFO": unquote(url.path),
            "QUERY_STRING": url.query,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
            # The backend accepts pushes only from somebody with a name.
            "REMOTE_USER": "playground",
        }
        return git_environment() | {name: value for name, value in variables.items() if value}


def handler_class(backend: Backend) -> type[BaseHTTPRequestHandler]:
    """Return a request handler for one server."""

    class Handler(_GitHandler):
        shared = backend

    return Handler


class _GitHandler(BaseHTTPRequestHandler):
    shared: Backend
    server_version = "playground-git"

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's own signature
        """Stay silent: a poll every few seconds is no news."""

    def _serve(self) -> None:
        self.shared.open_gate.wait()
        repository = unquote(urlsplit(self.path).path).split("/")[1]
        wanted = self.shared.credentials.get(repository)
        if wanted is not None and not wanted.match(self.headers.get("Authorization", "")):
            self.send_response(HTTPStatus.UNAUTHORIZED)
            self.send_header("WWW-Authenticate", 'Basic realm="playground"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        with tempfile.SpooledTemporaryFile(max_size=BODY_IN_MEMORY) as body:
            self._receive(body)
            length = body.tell()
            body.seek(0)
            self._answer(body, length)

    def _receive(self, body: IO[bytes]) -> None:
        """Read the request's body; git sends large ones in chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body.write(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
        else:
            body.write(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _answer(self, body: IO[bytes], length: int) -> None:
        command = ["git", "http-backend"]
        environment = self.shared.environment(self, length)
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdin is not None  # noqa: S101 - asked for above; tells the type checker
            assert process.stdout is not None  # noqa: S101 - same
            feeder = threading.Thread(target=_feed, args=(body, process.stdin), daemon=True)
            feeder.start()
            try:
                self._relay(process.stdout)
            except ConnectionError:
                # The client went away; closing the pipe ends the backend.
                self.close_connection = True
            finally:
                process.stdout.close()
                feeder.join()

    def _relay(self, output: IO[bytes]) -> None:
        """Pass the backend's headers and body on; the end of the connection marks the body's end."""
        status, headers = HTTPStatus.OK.value, []
        while line := output.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            if name.lower() == "status":
                status = int(value.split()[0])
            else:
                headers.append((name, value.strip()))
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        shutil.copyfileobj(output, self.wfile)


def _feed(source: IO[bytes], sink: IO[bytes]) -> None:
    """Write the request to the backend, which may end without reading all of it."""
    with contextlib.suppress(BrokenPipeError):
        shutil.copyfileobj(source, sink)
    # Closing writes what is left in the buffer, and closes even if that fails.
    with contextlib.suppress(BrokenPipeError):
        sink.close()
