"""What a tenant writes leads the operator nowhere but where the tenant may go by himself."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from playground.cluster import Cluster
from tests.support.flux_objects import Object, Workspace, new_namespace
from tests.support.operator_process import OperatorProcess

pytestmark = pytest.mark.e2e

DEPLOY = Path(__file__).parents[2] / "deploy"
USER, CANARY = "victim", "canary-of-the-victim"
SECRET = "git-credentials"
"""The name that the opt-in in `deploy/` grants."""
ATTACKS = ("../../{victim}/secrets/git-credentials", "../../{victim}/secrets/git-credentials?x", "%2e%2e", "git/../x")


class Heard(list[str]):
    """Values of all Authorization headers that came."""

    url = ""


@contextmanager
def listening() -> Iterator[Heard]:
    """A tenant's server: it asks for credentials and keeps what it is sent."""
    heard = Heard()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers.get("Authorization", ""))
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="mine"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        heard.url = f"http://127.0.0.1:{server.server_port}/mine"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield heard
        server.shutdown()
        thread.join()


@pytest.fixture
def victim(cluster: Cluster, tmp_path: Path) -> Iterator[Workspace]:
    """Another tenant's namespace, whose credentials the operator may read by the opt-in of `deploy/`."""
    with new_namespace(cluster) as found:
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in _credentials().items()}
        found.api.create(found.path("secret"), {"metadata": {"name": SECRET}, "data": encoded})
        up = "/".join(".." for _ in tmp_path.resolve().parts[1:])  # kustomize refuses absolute paths
        (tmp_path / "kustomization.yaml").write_text(
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
            f"namespace: {found.namespace}\ncomponents: [{up}{DEPLOY}/components/git-secrets]\n"
        )
        cluster.kubectl_run("apply", "-k", str(tmp_path))
        yield found


def _credentials() -> dict[str, str]:
    return {"username": USER, "password": CANARY}


def looked(status: Object) -> Object:
    """What a status says of the operator's own look at Git."""
    found = (each for each in status.get("dependencies") or () if each["name"] == "Git")
    return next(found, {"ready": "", "message": ""})


def test_a_secret_of_another_namespace_is_sent_to_nobody(
    operator: OperatorProcess, workspace: Workspace, victim: Workspace
) -> None:
    """A secretRef that is no name is refused before a request is made, and the status says which and why."""
    with listening() as heard:
        for number, attack in enumerate(ATTACKS):
            name = attack.format(victim=victim.namespace)
            workspace.source(f"attack-{number}", heard.url, secretRef={"name": name})
            workspace.kustomization(f"attack-{number}")
            workspace.contract(f"attack-{number}")
        # An attack that does nothing and a good one look alike until another reader has got through.
        workspace.source("anonymous", heard.url)
        workspace.kustomization("anonymous")
        workspace.contract("anonymous")
        for number, attack in enumerate(ATTACKS):
            name = f"attack-{number}"
            status = workspace.wait(name, lambda s: "as a name of secrets" in looked(s)["message"], attack)
            assert looked(status)["ready"] == "Unknown"
            assert looked(status)["message"].endswith("correct it where it is written")
        workspace.wait("anonymous", lambda s: "credentials are needed" in looked(s)["message"], "the anonymous look")

        sent = list(heard)

    assert "" in sent
    assert not [each for each in sent if each]
    everything = str(workspace.all("contract")) + str(workspace.all("events")) + operator.log.read_text()
    assert CANARY not in everything
