"""A Git server over HTTP on loopback: `git http-backend` behind a small threaded web server.

go-git, which Flux uses, needs git's own backend: it refuses servers without the `thin-pack` capability.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import threading
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Self

from playground.git_handler import Backend, Credentials, handler_class
from playground.repository import Repository

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    # Several Flux sources may ask at the same moment.
    request_queue_size = 64


@dataclass
class _Running:
    server: _Server
    thread: threading.Thread


class GitServer:
    """Serves the bare repositories below a directory; as a context manager it starts and stops itself."""

    def __init__(self, directory: Path, port: int = 0) -> None:
        """With port 0, the first start chooses a free one and later starts keep it."""
        self.directory = directory
        self._port = port
        self._backend = Backend(directory)
        self._repositories: dict[str, Repository] = {}
        self._running: _Running | None = None

    @property
    def port(self) -> int:
        """The port; 0 before the first start if none was given."""
        return self._port

    @property
    def url(self) -> str:
        """The URL under which the repositories lie, without a slash at its end."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen, on the same port as before; nothing happens if it runs already."""
        if self._running is not None:
            return
        if shutil.which("git") is None:
            raise FileNotFoundError("git is not on PATH; the playground's Git server needs it")
        self.directory.mkdir(parents=True, exist_ok=True)
        server = _Server(("127.0.0.1", self._port), handler_class(self._backend))
        self._port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        self._running = _Running(server, thread)

    def stop(self) -> None:
        """Close the port: clients see "connection refused". The repositories stay, requests under way end."""
        if self._running is None:
            return
        self._running.server.shutdown()
        self._running.server.server_close()
        self._running.thread.join()
        self._running = None

    def pause(self) -> None:
        """Accept connections but answer nothing until `resume`, as a server that hangs."""
        self._backend.open_gate.clear()

    def resume(self) -> None:
        """Answer again, also what came during the pause."""
        self._backend.open_gate.set()

    def repository(
        self,
        name: str,
        *,
        user: str | None = None,
        password: str | None = None,
        partial_clone: bool = True,
    ) -> Repository:
        """Create an empty bare repository, served at `URL/name.git`; a second call returns the same one.

        With a user and a password, requests need them (HTTP basic authentication). Without `partial_clone`,
        the server knows neither filters nor fetches of unadvertised commits.
        """
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot name a repository")
        existing = self._repositories.get(name)
        if existing is not None:
            return existing
        created = Repository(self.directory / f"{name}.git", f"{self.url}/{name}.git")
        created.initialise(partial_clone=partial_clone)
        if user is not None and password is not None:
            self._backend.credentials[f"{name}.git"] = Credentials(user, password)
        self._repositories[name] = created
        return created

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(self.stop)
            self.resume()
