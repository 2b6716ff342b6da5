"""A small API server on loopback: it serves the contracts it is given and keeps what is asked of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from reconciliation_contract.api.contract.parse import REQUESTED_AT
from reconciliation_contract.core.memory.memory import Memory
from tests.support.builders_status import status_of

Object = dict[str, Any]

ROOT = "/apis/reconciliation.dev/v1alpha1"
CONTRACTS = f"{ROOT}/namespaces/apps/reconciliationcontracts"


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


@dataclass
class Api:
    """The server's objects, and how it misbehaves."""

    contracts: list[Object] = field(default_factory=list)
    refusals: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    """Status and body by method and path."""
    events: list[list[Object]] = field(default_factory=list)
    """What each watch, one after the other, tells before it ends."""
    requests: list[Request] = field(default_factory=list)
    on_patch: Callable[[Object], None] | None = None
    """Called with the object that a patch has changed, as an operator would notice it."""
    before: Callable[[Request], tuple[int, str] | None] | None = None
    """Called first with each request; what it returns is the answer."""
    url: str = ""

    def patches(self) -> list[Object]:
        """The bodies of all patches."""
        return [request.body for request in self.requests if request.method == "PATCH"]

    def answer(self, request: Request) -> tuple[int, str]:
        """Status and body for a request."""
        self.requests.append(request)
        if self.before and (answer := self.before(request)):
            return answer
        if refusal := self.refusals.get((request.method, request.path)):
            return refusal
        if request.path.endswith("/selfsubjectreviews"):
            return 201, json.dumps({"status": {"userInfo": {"username": "zoe"}}})
        if request.path.endswith("/reconciliationcontracts"):
            return 200, self._listed(request)
        name = request.path.removeprefix(f"{CONTRACTS}/")
        found = next((one for one in self.contracts if one["metadata"]["name"] == name), None)
        if found is None:
            return refused(404, f'reconciliationcontracts.reconciliation.dev "{name}" not found', "NotFound")
        if request.method == "PATCH":
            self._patch(found, request.body)
        return 200, json.dumps(found)

    def _listed(self, request: Request) -> str:
        only = request.query.get("fieldSelector", [""])[0].removeprefix("metadata.name=")
        items = [one for one in self.contracts if not only or one["metadata"]["name"] == only]
        if "watch" in request.query:
            return "".join(f"{json.dumps(event)}\n" for event in (self.events.pop(0) if self.events else []))
        return json.dumps({"metadata": {"resourceVersion": "100"}, "items": items})

    def _patch(self, found: Object, patch: Object) -> None:
        annotations = {**found["metadata"]["annotations"], **patch["metadata"]["annotations"]}
        found["metadata"]["annotations"] = {key: value for key, value in annotations.items() if value is not None}
        found["metadata"]["resourceVersion"] = f"{int(found['metadata']['resourceVersion']) + 1}"
        if self.on_patch:
            self.on_patch(found)


def refused(code: int, message: str, reason: str = "") -> tuple[int, str]:
    """A refusal as the API server writes it."""
    details = {"name": "shop", "kind": "reconciliationcontracts"} if reason == "NotFound" else {}
    status = {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "code": code}
    return code, json.dumps({**status, "details": details})


def becoming(memory: Memory) -> Callable[[Object], None]:
    """An operator that takes every request up at once, with this result."""

    def notice(changed: Object) -> None:
        changed["status"] = status_of(memory) | {
            "lastHandledReconcileAt": changed["metadata"]["annotations"].get(REQUESTED_AT)
        }

    return notice


def annotations(patch: Object) -> dict[str, Any]:
    """The request annotations of a patch, without our prefix."""
    written: dict[str, Any] = patch["metadata"]["annotations"]
    return {key.removeprefix("reconciliation.dev/"): value for key, value in written.items() if key != REQUESTED_AT}


@contextmanager
def serving(api: Api) -> Iterator[Api]:
    """Serve it on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            url = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            query = parse_qs(url.query)
            code, text = api.answer(Request(self.command, url.path, query, dict(self.headers), body))
            self.send_response(code)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PATCH = _any  # noqa: N815 - named by the library

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_kubeconfig(path: Path, url: str, namespace: str = "apps") -> Path:
    """Write a kubeconfig with two contexts: ``here``, which is current, and ``there``."""
    context = {"cluster": "c", "user": "u"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": [
            {"name": "here", "context": {**context, "namespace": namespace}},
            {"name": "there", "context": context},
        ],
    }
    path.write_text(yaml.safe_dump(config))
    return path
