"""The operator's command line: what it understands, what it says when it cannot, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from reconciliation_contract.cli.operator import main, parser, serve, settings_of
from reconciliation_contract.config import Listen, Settings
from tests.handlers.embedded import SETTINGS
from tests.support.api_server import CONTRACTS, elsewhere
from tests.support.api_server_flux import Flux
from tests.support.virtual_time import eventually

pytestmark = pytest.mark.usefixtures("logging_as_before")


@pytest.fixture(autouse=True)
def no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No kubeconfig, and no pod around us."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))


def test_the_defaults_of_the_command_line_are_those_of_the_settings() -> None:
    """One place for each default."""
    assert settings_of(parser().parse_args(["run"])) == Settings()


def test_every_flag_has_its_effect() -> None:
    """What is written on the command line is what the operator is set to."""
    found = settings_of(
        parser().parse_args(
            [
                "run",
                "--observe-only",
                "--namespace=apps",
                "--namespace=shop",
                "--flux-namespace=flux",
                "--default-service-account=applier",
                "--fleet-brake=7",
                "--alertmanager=http://am-0:9093",
                "--alertmanager=",
                "--alertmanager=http://am-1:9093",
                "--health-listen=0.0.0.0:9081",
                "--metrics-listen=[::1]:9080",
                "--log-level=debug",
                "--log-format=json",
                "--workers=0",
                "--allow-local-git",
                "--git-interval=1m30s",
            ]
        )
    )

    assert found == Settings(
        namespaces=("apps", "shop"),
        acts=False,
        flux_namespace="flux",
        default_service_account="applier",
        fleet_brake=7,
        alertmanagers=("http://am-0:9093", "http://am-1:9093"),
        health=Listen("0.0.0.0", 9081),
        metrics=Listen("::1", 9080),
        log_level="debug",
        log_format="json",
        workers=1,
        git_allow_local=True,
        git_interval=timedelta(seconds=90),
    )


def test_help_names_every_flag_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    """And ends with status 0."""
    with pytest.raises(SystemExit) as ended:
        main(["run", "--help"])

    told = capsys.readouterr().out
    assert ended.value.code == 0
    for word in ("--observe-only", "--namespace", "--health-listen", "127.0.0.1:8081", "--log-format", "--workers"):
        assert word in told


@pytest.mark.parametrize(
    "address", ["8080", ":8080", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:-1", ""]
)
def test_an_address_that_makes_no_sense_is_explained(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the flag, what was written and what to write, and status 2."""
    with pytest.raises(SystemExit) as ended:
        main(["run", f"--health-listen={address}"])

    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert "--health-listen" in told
    assert f"{address!r} is no address to listen on; write HOST:PORT, for example 127.0.0.1:8080" in told


@pytest.mark.parametrize("flag", ["--namespace", "--flux-namespace", "--flux-account", "--default-service-account"])
def test_a_name_that_is_none_is_refused(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It would stand in a path or a header."""
    with pytest.raises(SystemExit) as ended:
        main(["run", f"{flag}=../kube-system"])

    assert ended.value.code == 2
    assert f"argument {flag}: '../kube-system' is no name: only a-z, 0-9" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["walk"], ["run", "--log-level=loud"], ["run", "--nonsense"]], ids=str)
def test_what_is_not_understood_ends_with_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, as every command line does."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert "usage: reconciliation-contract" in capsys.readouterr().err


def test_without_a_cluster_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """One line on standard error, status 1 and no traceback."""
    status = main(["run"])

    told = capsys.readouterr().err
    assert status == 1
    assert told.startswith("reconciliation-contract: cannot find the cluster: ")
    assert "KUBECONFIG" in told
    assert "Traceback" not in told
    assert told.count("\n") == 1


def test_a_port_in_use_ends_it_with_a_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 1 and which address, before anything is written anywhere."""
    Path(os.environ["KUBECONFIG"]).write_text(
        "clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]\nusers: [{name: a, user: {token: t}}]\n"
        "contexts: [{name: a, context: {cluster: a, user: a}}]\ncurrent-context: a\n"
    )

    status = main(["run", "--health-listen=192.0.2.1:8081"])

    told = capsys.readouterr().err.splitlines()[-1]
    assert status == 1
    assert told.startswith("reconciliation-contract: cannot listen on 192.0.2.1:8081: ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_peace(number: signal.Signals) -> None:
    """The operator as the command line runs it does its work, and stops when it is told to.

    In real time: it reads the real clock, and kopf kills the process some minutes after such an end.
    """
    before = asyncio.all_tasks()
    with elsewhere() as api:
        Flux(api).standing()
        running = asyncio.create_task(serve(SETTINGS, api.access))
        await eventually(lambda: running.done() or api.accepted(CONTRACTS), "the first status", within=20)

        os.kill(os.getpid(), number)
        await asyncio.wait_for(running, 20)

        assert api.accepted(CONTRACTS)
    assert asyncio.all_tasks() == before
