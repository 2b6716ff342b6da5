"""A real Prometheus that scrapes one operator and evaluates the rules of `deploy/monitoring`."""

from __future__ import annotations

import contextlib
import json
import os
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from playground.binaries import provide
from playground.cache import cache_directory
from playground.port import reserve
from playground.process import Process, Starter
from playground.progress import Progress
from playground.toolset import MONITORING
from playground.waiting import wait_until
from tests.support.operator_process import fetch

START = 60.0
"""Seconds to become ready."""
_NO_WAIT = ("for", "keep_firing_for")


class Prometheus:
    """Asked over its HTTP API."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer; an error of Prometheus fails the test."""
        code, text = fetch(f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        answer = json.loads(text) if text else {}
        assert answer.get("status") == "success", f"{parameters}: HTTP {code}: {text}"
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Evaluate an expression now."""
        return list(self.ask("query", query=expression)["result"])

    def firing(self, name: str, /, **labels: str) -> dict[str, Any] | None:
        """The alert of this name that fires with these labels."""
        return next(
            (
                alert
                for alert in self.ask("alerts")["alerts"]
                if alert["state"] == "firing"
                and alert["labels"]["alertname"] == name
                and labels.items() <= alert["labels"].items()
            ),
            None,
        )


@contextlib.contextmanager
def prometheus(target: str, rules: list[dict[str, Any]], folder: Path) -> Iterator[Prometheus]:
    """Scrape ``HOST:PORT`` each second with rules that wait for nothing; ended with the context."""
    programs = provide(Progress(), tools=MONITORING)
    impatient = [
        {
            "name": group["name"],
            "rules": [{k: v for k, v in rule.items() if k not in _NO_WAIT} for rule in group["rules"]],
        }
        for group in rules
    ]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": impatient}))
    scrape = {"job_name": "operator", "static_configs": [{"targets": [target]}]}
    every = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config = folder / "prometheus.yaml"
    config.write_text(yaml.safe_dump({"global": every, "rule_files": ["rules.yaml"], "scrape_configs": [scrape]}))
    with contextlib.ExitStack() as stack:
        ports = stack.enter_context(reserve(cache_directory() / "ports", ("prometheus",)))
        starter = Starter()
        stack.callback(starter.close)
        address = f"127.0.0.1:{ports['prometheus']}"
        process = Process(
            "prometheus",
            [
                str(programs.program("prometheus")),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
                "--enable-feature=exemplar-storage",
            ],
            env={"HOME": str(folder), "PATH": os.environ["PATH"]},
            log=folder / "prometheus.log",
            starter=starter,
        )
        stack.callback(process.stop)
        process.start()

        def ready() -> bool:
            process.check()
            return fetch(f"http://{address}/-/ready")[0] == 200

        wait_until(ready, START, "Prometheus to be ready")
        yield Prometheus(f"http://{address}")
