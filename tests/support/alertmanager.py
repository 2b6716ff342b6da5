"""The real Alertmanager as a process, which tells one webhook."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from playground.binaries import provide
from playground.cache import cache_directory
from playground.port import reserve
from playground.process import Process, Starter
from playground.progress import Progress
from playground.toolset import MONITORING
from playground.waiting import wait_until
from tests.support.operator_process import fetch


@contextlib.contextmanager
def alertmanager(directory: Path, webhook: str, *labels: str) -> Iterator[str]:
    """Its URL, once it is ready; it groups by contract, and by ``labels``, and repeats nothing."""
    route = {
        "receiver": "reader",
        "group_by": ["namespace", "contract", *labels],
        "group_wait": "1s",
        "group_interval": "1s",
        "repeat_interval": "24h",
    }
    hooks = [{"url": webhook, "send_resolved": True}]
    settings = {"route": route, "receivers": [{"name": "reader", "webhook_configs": hooks}]}
    configuration = directory / "alertmanager.yml"
    configuration.write_text(json.dumps(settings))
    with contextlib.ExitStack() as stack:
        ports = stack.enter_context(reserve(cache_directory() / "ports", ("alertmanager",)))
        address = f"127.0.0.1:{ports['alertmanager']}"
        starter = Starter()
        stack.callback(starter.close)
        program = provide(Progress(), tools=MONITORING).program("alertmanager")
        arguments = (
            f"--config.file={configuration}",
            f"--storage.path={directory / 'alerts'}",
            f"--web.listen-address={address}",
            "--cluster.listen-address=",
        )
        log = directory / "alertmanager.log"
        process = Process("alertmanager", (str(program), *arguments), env={}, log=log, starter=starter)
        process.start()
        stack.callback(process.stop)
        wait_until(lambda: fetch(f"http://{address}/-/ready")[0] == 200, 60, f"Alertmanager to be ready (log: {log})")
        yield f"http://{address}"
