"""Every version of the objects of a kind, as a watch brings them, with the time of arrival."""

from __future__ import annotations

import json
import ssl
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPResponse
from typing import Any, Self

from playground.waiting import wait_until
from tests.support.flux_objects import Object, Workspace


@dataclass(frozen=True)
class Sighting:
    """One watch event."""

    at: datetime
    """When it arrived here."""
    kind: str
    """ADDED, MODIFIED or DELETED."""
    thing: Object

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.thing["metadata"]["name"])

    @property
    def status(self) -> Object:
        """The object's status; empty while there is none."""
        return dict(self.thing.get("status") or {})


class Recorder:
    """Records a kind in a namespace while the context lasts; `on_sight` hears of each event at once."""

    def __init__(self, workspace: Workspace, kind: str, on_sight: Callable[[Sighting], None] | None = None) -> None:
        self._workspace = workspace
        self._kind = kind
        self._on_sight = on_sight
        self._seen: list[Sighting] = []
        self._answer: HTTPResponse | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._open = threading.Event()
        self._closing = False
        self.error: Exception | None = None
        """What ended the watch before its time."""

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(self._open.is_set, 30, f"a watch of {self._kind}")
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        if self._answer is not None:
            # Closing alone would wait for the reader.
            self._answer.fp.raw._sock.shutdown(2)  # type: ignore[attr-defined]
        self._thread.join(10)
        if self.error is not None:
            raise self.error

    def sightings(self, name: str = "") -> Sequence[Sighting]:
        """Everything so far, in order; only of one object where a name is given."""
        return [seen for seen in tuple(self._seen) if name in ("", seen.name)]

    def first(self, name: str, predicate: Callable[[Object], Any]) -> Sighting:
        """The first version of an object that fulfils a predicate; raises `LookupError` if there is none."""
        for seen in self.sightings(name):
            if predicate(seen.thing):
                return seen
        raise LookupError(f"no version of {self._kind} {name} was like that")

    def values(self, name: str, read: Callable[[Object], Any]) -> list[Any]:
        """What the versions of an object say, one after the other, without repetitions."""
        found: list[Any] = []
        for seen in self.sightings(name):
            value = read(seen.thing)
            if not found or found[-1] != value:
                found.append(value)
        return found

    def _read(self) -> None:
        try:
            for line in self._lines():
                event = json.loads(line)
                seen = Sighting(datetime.now(UTC), event["type"], event["object"])
                self._seen.append(seen)
                if self._on_sight:
                    self._on_sight(seen)
            self._note(ConnectionError(f"the watch of {self._kind} ended by itself"))
        except Exception as error:  # noqa: BLE001 - raised where the context ends
            self._note(error)

    def _note(self, error: Exception) -> None:
        if not self._closing:
            self.error = error

    def _lines(self) -> Iterator[bytes]:
        cluster = self._workspace.cluster
        context = ssl.create_default_context(cafile=cluster.ca_file)
        handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        request = urllib.request.Request(
            f"{cluster.server}{self._workspace.path(self._kind)}?watch=true",
            headers={"Authorization": f"Bearer {cluster.admin_token}"},
        )
        with urllib.request.build_opener(*handlers).open(request) as answer:
            self._answer = answer
            self._open.set()
            yield from answer
