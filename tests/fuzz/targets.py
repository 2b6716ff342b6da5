"""The parsers of what is hostile, each as a function of bytes that raises where its promise is broken.

A parser may raise its own typed errors, which are caught here, and nothing else; what it makes is bounded.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from reconciliation_contract.adapters.git.address import Address, parse_address
from reconciliation_contract.adapters.git.client import _commit, _converted, _head
from reconciliation_contract.adapters.git.commit import CommitFound, CommitSink, parse_commit
from reconciliation_contract.adapters.git.credentials import ANONYMOUS, credentials_from_secret
from reconciliation_contract.adapters.git.error import GitError, redact
from reconciliation_contract.adapters.git.hostkey import judge_host_key, known_kinds
from reconciliation_contract.adapters.git.reference import GitRef, pinned_hash, ref_name
from reconciliation_contract.adapters.git.smart_http import HttpGitClient
from reconciliation_contract.adapters.git.ssh import load_private_key
from reconciliation_contract.adapters.git.wire import GitSettings, Wire
from reconciliation_contract.adapters.kubernetes.client import _refusal
from reconciliation_contract.adapters.notification.http import _pause
from reconciliation_contract.adapters.telemetry.contract_series import write_row
from reconciliation_contract.api.contract.annotations import parse_requests
from reconciliation_contract.api.contract.parse import parse_contract
from reconciliation_contract.api.duration import InvalidDuration, format_duration, parse_duration
from reconciliation_contract.api.flux.apply_options import account, forces, ignore_rules
from reconciliation_contract.api.flux.controller import controllers
from reconciliation_contract.api.flux.kustomization import kustomization, revision_hash
from reconciliation_contract.api.flux.source import source
from reconciliation_contract.api.kubernetes.labelled import member
from reconciliation_contract.api.kubernetes.managed_fields import entries
from reconciliation_contract.api.kubernetes.metadata import live
from reconciliation_contract.api.kubernetes.raw import moment, read_map, read_strings
from reconciliation_contract.api.kubernetes.workload import KINDS, replicas
from reconciliation_contract.api.status.parse import parse_conditions, parse_memory
from reconciliation_contract.api.status.render import render_status
from reconciliation_contract.api.status.size import BUDGET, measure
from reconciliation_contract.core.evaluation import evaluate
from reconciliation_contract.core.facts.failure_cause import CURABLE_REASONS, classify, excerpt
from reconciliation_contract.core.facts.field_owners import author_of
from reconciliation_contract.core.facts.inventory import Inventory, entry
from reconciliation_contract.core.facts.metadata_scan import Place
from reconciliation_contract.core.facts.unknown_fields import undeclared, without
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.core.values.diff import differences, pointer, steps, trimmed
from reconciliation_contract.core.values.text import LIMIT, bounded, cleaned
from reconciliation_contract.observers.store import Store
from tests.fuzz.growing import Bytes, tree
from tests.support import builders

URL: Final = "https://git.example.com/shop"
SECRET: Final = "hunter2"
NOW: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_SETTINGS: Final = GitSettings(
    allow_local=True, read_timeout=timedelta(seconds=2), total_timeout=timedelta(seconds=5), max_refs_bytes=1 << 16
)
_ANSWER: Final = 1 << 15
"""Bytes of an answer that fit into a socket's buffer."""
_HTTP: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nContent-Length: %d\r\n\r\n%s"
)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


# The contract -----------------------------------------------------------------------------------------------------


def status(data: bytes) -> None:
    """A forged status is read as far as it makes sense; what is written of it is small, and reads back the same."""
    raw = tree(data)

    wire = render_status(parse_memory(raw), None, parse_conditions(raw))

    assert measure(wire) <= BUDGET
    json.dumps(wire, allow_nan=False).encode()
    again = render_status(parse_memory(wire), None, parse_conditions(wire))
    assert again == wire, (wire, again)


def spec(data: bytes) -> None:
    """A contract that makes no sense has a problem that is told in one short line."""
    raw = tree(data)
    meta = {"name": "shop", "namespace": "apps", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}

    for whole in (raw, {"metadata": meta, "spec": raw}):
        found = parse_contract(whole)
        if not isinstance(found, Contract):
            assert found.problem == cleaned(found.problem, 4096)


def annotations(data: bytes) -> None:
    """Whatever is asked for is a hash, a time or a short text."""
    found = parse_requests(read_strings(tree(data)))

    for text in (found.approve, found.rollback_from, found.rollback_to, found.release, found.forget):
        assert not text or len(text) <= len("a" * 40)
    assert len(found.hold) <= LIMIT
    assert all(len(text) <= LIMIT for text in found.unclear.values())


def decision(data: bytes) -> None:
    """A pass over any objects of Flux's and any status comes to a decision that can be written."""
    raw, store = tree(data), Store()
    store.fresh = True
    store.put_contract(builders.contract())
    for key, put in (("spec", store.put_kustomization), ("metadata", store.put_source)):
        part = read_map(raw, key)
        meta = {**read_map(part, "metadata"), "name": "shop", "namespace": "apps", "uid": "u"}
        put({**part, "metadata": meta}, NOW, live=True)
    contract, memory = store.contracts["apps", "shop"].contract, parse_memory(read_map(raw, "status"))
    assert isinstance(contract, Contract)

    decided = evaluate(contract, memory, store.observe(contract, memory, acts=True, refused=""), NOW)

    wire = render_status(decided.memory, None, decided.conditions)
    assert measure(wire) <= BUDGET
    write_row(contract, decided.memory, decided.conditions)


# Flux and Kubernetes ----------------------------------------------------------------------------------------------


def flux(data: bytes) -> None:
    """Objects of Flux's are read as far as they make sense; what is kept of one is bounded."""
    raw = tree(data)

    first = kustomization(raw, NOW, live=True, before=None)
    second = kustomization(raw, NOW + timedelta(seconds=9), live=True, before=first)

    assert len(second.ready.message) <= 4096
    assert len(second.failures) <= 16
    seen = source(raw, NOW, live=True, before=None)
    source(raw, NOW, live=False, before=seen)
    controllers([raw]).serving("shard")
    account(raw), forces(raw)
    for rule in ignore_rules(raw):
        rule.matches(raw)


def kubernetes(data: bytes) -> None:
    """Metadata, owners of fields and replicas of any object."""
    raw = tree(data)
    owned = entries(raw)

    live(read_map(raw, "metadata"))
    member(Place("apps", "v1", "Deployment", "apps"), raw)
    for kind in KINDS:
        replicas(kind, raw)
    for found in differences(raw, {}, 16):
        author_of(found.path, raw, owned)


def objects(data: bytes) -> None:
    """Where two objects differ, and which fields the API server's words say that it does not know."""
    source_ = Bytes(data)
    said = _text(source_.take(source_.number()))
    one, other = tree(source_.take(source_.left // 2)), tree(source_.rest())

    for found in differences(one, other, 32):
        assert steps(pointer(found.path)) == tuple(str(step) for step in found.path)
        trimmed(found, steps(said))
    for path in undeclared(f"{said}: field not declared in schema", one):
        without(one, (path,))


def inventory(data: bytes) -> None:
    """Entries are packed and unpacked; an entry that is read is written as it was."""
    lines = [(_text(part), "v1") for part in data.split(b"\n")[:64]]

    for found in Inventory.of(lines).entries():
        assert entry(found.id, found.version) == found


def answers(data: bytes) -> None:
    """What the API server or a sink answers, whatever stands before it, becomes an error of ours."""
    source_ = Bytes(data)
    code, wait = 400 + source_.number(), _text(source_.take(source_.number() % 40))

    error = _refusal(code, "read", "/api", _text(source_.rest()), wait)

    assert len(str(error)) <= 4096
    assert str(error).isprintable()
    assert _pause({"Retry-After": wait, "Date": wait}) >= 0
    assert error.retry_after >= 0


# Git --------------------------------------------------------------------------------------------------------------


def address(data: bytes) -> None:
    """An address is refused with a reason, or is one whose parts are plain; a password is never shown."""
    text = _text(data)
    try:
        found = parse_address(text, allow_local=False)
    except GitError as error:
        assert str(error).isprintable()
    else:
        assert found.base.isprintable()
        assert 0 < found.port < 1 << 16
        if found.scheme != "ssh":  # whose path is decoded
            parse_address(found.base, allow_local=False)
    for url in (text, f"https://ann:{SECRET}@{text}", f"https://{text}:{SECRET}@example.com/{text}"):
        shown = redact(url)
        assert len(shown) <= 300
        assert SECRET not in shown or SECRET in text or url is text


class _Fed(Wire):
    """A wire on which an answer has come already."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(URL, _SETTINGS)
        self._answer = answer[:_ANSWER]

    def dial(self, _: Address) -> socket.socket:
        near, far = socket.socketpair()
        near.settimeout(2)
        far.sendall(self._answer)
        far.shutdown(socket.SHUT_WR)
        far.close()
        return near


def git_http(data: bytes) -> None:
    """Whatever a server answers, a fact comes out or an error of ours."""
    source_ = Bytes(data)
    kind = source_.number()
    body = source_.rest()
    answer = body if kind % 3 == 0 else _HTTP % (len(body), body)
    wire = _Fed(answer)
    client = HttpGitClient(wire, parse_address(URL, allow_local=False), ANONYMOUS, None)
    try:
        with _converted(URL, wire):
            if kind % 2:
                _head(URL, client, b"", b"refs/heads/main")
            else:
                _commit(URL, client, b"", wire, "a" * 40)
    except GitError as error:
        assert str(error).isprintable()
    finally:
        client.close()
        wire.close()


def git_pack(data: bytes) -> None:
    """A pack in pieces of any size: a commit, or an error of ours."""
    source_ = Bytes(data)
    size = source_.number() + 1
    sink = CommitSink(URL, "a" * 40, lambda: None)
    try:
        while source_.left:
            sink(source_.take(size))
    except (GitError, CommitFound):
        return


def git_commit(data: bytes) -> None:
    """A commit object: its times and a short subject, or an error of ours."""
    try:
        found = parse_commit(URL, data)
    except GitError:
        return
    assert len(found.subject) <= 200
    assert found.subject.isprintable()


def git_secret(data: bytes) -> None:
    """Credentials, keys and known hosts of a Secret; its values are never shown."""
    source_ = Bytes(data)
    names = ("username", "password", "bearerToken", "ca.crt", "tls.crt", "tls.key", "identity", "known_hosts")
    secret = {name: source_.take(source_.number()) for name in names if source_.number() % 2}
    try:
        found = credentials_from_secret({**secret, "known_hosts": source_.rest()})
        judge_host_key(found.known_hosts, "git.example.com", 22, b"key")
        known_kinds(found.known_hosts, "git.example.com", 2222)
        load_private_key(found)
    except GitError as error:
        assert str(error).isprintable()


def git_reference(data: bytes) -> None:
    """A reference is followed, or refused with a reason."""
    source_ = Bytes(data)
    names = ("branch", "tag", "semver", "name", "commit")
    ref = GitRef(**{name: source_.text() for name in names if source_.number() % 2})
    try:
        pinned_hash(URL, ref)
        ref_name(URL, ref)
    except GitError as error:
        assert str(error).isprintable()


# Texts ------------------------------------------------------------------------------------------------------------


def durations(data: bytes) -> None:
    """A text is a duration that is written back as one, or is refused with a reason."""
    text = _text(data)
    try:
        found = parse_duration(text)
    except InvalidDuration as error:
        assert str(error).isprintable()
    else:
        written = format_duration(found)
        assert format_duration(parse_duration(written)) == written
    moment(text)
    revision_hash(text)


def words(data: bytes) -> None:
    """Words of others become one short line, the same when done twice, and a value that is repeated is left out."""
    text = _text(data)

    for once in (cleaned(text, LIMIT), bounded(text)):
        assert len(once) <= LIMIT
        assert once.isprintable()
        assert cleaned(once, LIMIT) == once
    for reason in CURABLE_REASONS:
        kept = excerpt(reason, text)
        assert len(kept) <= LIMIT
        classify(reason, kept)
    if SECRET not in text:
        assert SECRET not in cleaned(f'{text} x: Invalid value: "{SECRET}": {text}', 4096)
        assert SECRET not in cleaned(f"see https://ann:{SECRET}@example.com/{text}", 4096)


TARGETS: Final[Mapping[str, Callable[[bytes], Any]]] = {
    target.__name__: target
    for target in (
        *(status, spec, annotations, decision, flux, kubernetes, objects, inventory, answers),
        *(address, git_http, git_pack, git_commit, git_secret, git_reference, durations, words),
    )
}
