"""Git over SSH: conversations with a real git-upload-pack, and servers that are refused or refuse."""

import asyncio
import io
import os
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import paramiko
import pytest
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from reconciliation_contract.adapters.git import (
    AccessDenied,
    AddressRefused,
    Credentials,
    Git,
    GitRef,
    GitSettings,
    Malformed,
    NotFound,
    Remote,
    SshUnavailable,
    TimedOut,
    Unreachable,
)
from tests.support.git_server import Repository, serve_raw

Keys = tuple[paramiko.PKey, paramiko.PKey]
LOCAL = GitSettings(allow_local=True)
MAIN = GitRef(branch="main")
KNOWN = "host,github.com ssh-ed25519 AAAA\n"


@dataclass
class SshServer(paramiko.ServerInterface):
    """Runs git-upload-pack for whoever has the user's key."""

    host_key: paramiko.PKey
    user_key: paramiko.PKey
    accept_environment: bool = True
    complaint: str = ""
    url: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    users: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    connections: int = 0

    def get_allowed_auths(self, _username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.users.append(username)
        return AUTH_SUCCESSFUL if key == self.user_key else AUTH_FAILED

    def check_channel_request(self, _kind: str, _chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_env_request(self, _channel: paramiko.Channel, name: bytes, value: bytes) -> bool:
        if self.accept_environment:
            self.environment[name.decode()] = value.decode()
        return self.accept_environment

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.commands.append(command.decode())
        threading.Thread(target=self._run, args=(channel, command.decode()), daemon=True).start()
        return True

    def _run(self, channel: paramiko.Channel, command: str) -> None:
        # A round trip: only after it has the client been told that its command runs.
        channel.get_transport().global_request("are-you-there@example.org")
        # A client that hangs up early is what some tests are about.
        with suppress(OSError, EOFError):
            if self.complaint:
                channel.sendall_stderr(self.complaint.encode())
            else:
                self._upload(channel, command)
            channel.close()

    def _upload(self, channel: paramiko.Channel, command: str) -> None:
        environment = {"PATH": os.environ["PATH"], **self.environment}
        with subprocess.Popen(
            shlex.split(command), env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as upload:
            threading.Thread(target=self._feed, args=(channel, upload), daemon=True).start()
            assert upload.stdout
            while chunk := os.read(upload.stdout.fileno(), 32768):
                channel.sendall(chunk)

    @staticmethod
    def _feed(channel: paramiko.Channel, upload: "subprocess.Popen[bytes]") -> None:
        assert upload.stdin
        with suppress(OSError, EOFError), upload.stdin:
            while chunk := channel.recv(32768):
                upload.stdin.write(chunk)
                upload.stdin.flush()

    def serve(self, connection: socket.socket) -> None:
        """Talk to one client until it hangs up."""
        self.connections += 1
        transport = paramiko.Transport(connection)
        transport.add_server_key(self.host_key)
        with suppress(EOFError, paramiko.SSHException):
            transport.start_server(server=self)
        transport.join()

    def credentials(self) -> Credentials:
        """What the Secret of a GitRepository for this server holds."""
        port = self.url.rpartition(":")[2]
        identity = io.StringIO()
        self.user_key.write_private_key(identity)
        known = f"[127.0.0.1]:{port} {self.host_key.get_name()} {self.host_key.get_base64()}\n"
        return Credentials(ssh_private_key=identity.getvalue(), known_hosts=known)


@pytest.fixture(scope="module")
def keys() -> Keys:
    """A host's key and a user's."""
    return paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()


@contextmanager
def ssh_server(keys: Keys) -> Iterator[SshServer]:
    """Serve SSH on loopback."""
    server = SshServer(*keys)
    with serve_raw(server.serve) as url:
        server.url = url.replace("http://", "ssh://")
        yield server


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with one commit, in a folder whose name needs quoting."""
    return Repository.create(tmp_path / "it's a shop.git")


def remote_of(server: SshServer, repository: Repository) -> Remote:
    """The repository as a GitRepository names it."""
    return Remote(server.url + str(repository.path).replace(" ", "%20"), server.credentials())


@pytest.mark.parametrize("accept_environment", [True, False], ids=["v2", "v0"])
async def test_facts_over_ssh(keys: Keys, repository: Repository, accept_environment: bool) -> None:
    """Head and commit come over SSH, in the new protocol and, where the server takes no environment, the old."""
    hash_ = repository.commit("Over SSH")

    with ssh_server(keys) as server:
        server.accept_environment = accept_environment
        adapter, remote = Git(LOCAL), remote_of(server, repository)
        head = await adapter.head(remote, MAIN)
        commit = await adapter.commit(remote, hash_)

    assert head == commit.hash == hash_
    assert commit.subject == "Over SSH"
    assert server.users[0] == "git"
    assert shlex.split(server.commands[0]) == ["git-upload-pack", str(repository.path)]
    assert server.environment.get("GIT_PROTOCOL") == ("version=2" if accept_environment else None)


async def test_an_unfiltered_pack_over_ssh(keys: Keys, repository: Repository) -> None:
    """The connection ends as soon as the commit has come, though the server sends files."""
    hash_ = repository.commit("Big", content=bytes(10**6))

    with ssh_server(keys) as server:
        server.accept_environment = False
        commit = await Git(LOCAL).commit(remote_of(server, repository), hash_)

    assert commit.subject == "Big"


async def test_a_host_that_is_not_known(keys: Keys, repository: Repository) -> None:
    """A host without a line in known_hosts is not even connected to."""
    with ssh_server(keys) as server:
        remote = remote_of(server, repository)
        stranger = replace(remote.credentials, known_hosts=KNOWN)
        with pytest.raises(AddressRefused, match="known_hosts, is unknown; add the server's verified key"):
            await Git(LOCAL).head(replace(remote, credentials=stranger), MAIN)
        connections = server.connections

    assert connections == 0


async def test_a_host_whose_key_changed(keys: Keys, repository: Repository) -> None:
    """A host with another key than the known one gets no login."""
    with ssh_server(keys) as server:
        impostor = replace(server, host_key=keys[1])
        impostor.url = server.url
        remote = replace(remote_of(server, repository), credentials=impostor.credentials())
        with pytest.raises(AddressRefused, match="known_hosts, is changed; find out why"):
            await Git(LOCAL).head(remote, MAIN)

    assert server.users == []


async def test_a_user_without_access(keys: Keys, repository: Repository) -> None:
    """A key the server does not know is access denied."""
    with ssh_server(keys) as server:
        remote = remote_of(server, repository)
        server.user_key = keys[0]
        with pytest.raises(AccessDenied, match="does not accept this private key"):
            await Git(LOCAL).head(remote, MAIN)


@pytest.mark.parametrize(
    ("complaint", "error"),
    [
        ("ERROR: Repository not found.\nfatal: s3cret\n", NotFound),
        ("fatal: '/x' does not appear to be a git repository\n", NotFound),
        ("ERROR: access denied s3cret\n", AccessDenied),
        ("s3cret" * 10000, Malformed),
    ],
)
async def test_refusals_on_standard_error(
    keys: Keys, repository: Repository, complaint: str, error: type[Exception]
) -> None:
    """What the remote command complains of chooses the error and is not repeated."""
    with ssh_server(keys) as server:
        server.complaint = complaint
        with pytest.raises(error) as raised:
            await Git(LOCAL).head(remote_of(server, repository), MAIN)

    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    "credentials", [Credentials(), Credentials(ssh_private_key="x"), Credentials(known_hosts="x")]
)
async def test_ssh_needs_a_key_and_known_hosts(credentials: Credentials) -> None:
    """Without both nothing is sent."""
    with pytest.raises(AccessDenied, match="SSH needs identity and known_hosts"):
        await Git(LOCAL).head(Remote("ssh://127.0.0.1:1/x", credentials), MAIN)


async def test_an_identity_that_is_no_key() -> None:
    """A broken private key is named by its Secret's key, and not shown."""
    credentials = Credentials(ssh_private_key="s3cret", known_hosts=KNOWN)

    with pytest.raises(Malformed, match="identity is no RSA, ECDSA or Ed25519 private key") as raised:
        await Git(LOCAL).head(Remote("ssh://127.0.0.1:1/x", credentials), MAIN)

    assert "s3cret" not in str(raised.value)


async def test_a_silent_ssh_server(keys: Keys, repository: Repository) -> None:
    """A server that never greets ends at the time-out, and its threads with it."""
    settings = GitSettings(allow_local=True, total_timeout=timedelta(seconds=0.2))
    done = threading.Event()

    def say_nothing(connection: socket.socket) -> None:
        while connection.recv(1024):
            pass
        done.set()

    with serve_raw(say_nothing) as url:
        server = SshServer(*keys, url=url.replace("http", "ssh"))
        with pytest.raises(TimedOut):
            await Git(settings).head(remote_of(server, repository), MAIN)
        hung_up = await asyncio.to_thread(done.wait, 10)

    assert hung_up


async def test_no_ssh_at_all(keys: Keys, repository: Repository) -> None:
    """A server that does not speak SSH is unreachable."""
    with serve_raw(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url:
        server = SshServer(*keys, url=url.replace("http", "ssh"))
        with pytest.raises(Unreachable):
            await Git(LOCAL).head(remote_of(server, repository), MAIN)


async def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed without paramiko, the error says what to install."""
    monkeypatch.delitem(sys.modules, "reconciliation_contract.adapters.git.ssh", raising=False)
    monkeypatch.setitem(sys.modules, "paramiko", None)

    with pytest.raises(SshUnavailable, match=r"install reconciliation-contract\[ssh\]"):
        await Git(LOCAL).head(Remote("ssh://127.0.0.1/x"), MAIN)
