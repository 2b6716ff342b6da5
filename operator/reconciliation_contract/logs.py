"""Logs: a constant message plus key-values; JSON in the cluster, one line of text in a terminal.

Everything that is logged, by whomever and at whatever level, passes the filter for words of others.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Final

from reconciliation_contract.core.values.text import cleaned

_OURS: Final = "reconciliation_contract"
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_LONGEST: Final = 4096
"""Characters of one message, of one value, and of one line of a traceback."""
_DEEPEST: Final = 100
"""Lines of a traceback; the last ones tell most."""

_log = logging.getLogger(__name__)


def _message(record: logging.LogRecord) -> str:
    return cleaned(record.getMessage(), _LONGEST)


def _extras(record: logging.LogRecord) -> dict[str, object]:
    if not record.name.startswith(_OURS):
        return {}  # libraries attach whole objects
    return {key: _shown(value) for key, value in vars(record).items() if key not in _STANDARD}


def _shown(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    return cleaned("/".join(map(str, value)) if isinstance(value, tuple) else str(value), _LONGEST)


class _Safe(logging.Formatter):
    """Whose tracebacks pass the filter, too: an error's words may be others'."""

    def traceback(self, record: logging.LogRecord) -> str:
        """Write the traceback; empty where there is none."""
        lines = self.formatException(record.exc_info).splitlines() if record.exc_info else []
        return "\n".join(self._line(line) for line in lines[-_DEEPEST:])

    @staticmethod
    def _line(line: str) -> str:
        indent = line[: len(line) - len(line.lstrip(" "))][:16]
        return indent + cleaned(line, _LONGEST)


class _Json(_Safe):
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
            **_extras(record),
        }
        if traceback := self.traceback(record):
            entry["traceback"] = traceback
        return json.dumps(entry)


class _Text(_Safe):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        extras = "".join(f" {key}={value}" for key, value in _extras(record).items())
        line = f"{at} {record.levelname.lower():<7} {_message(record)}{extras}"
        return "\n".join(filter(None, (line, self.traceback(record))))


def set_up(level: str, style: str) -> None:
    """Send all logs to standard error as ``text`` or ``json``: ours at ``level`` and above, libraries' warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if style == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # What a library says at debug level was never read by us, and may be headers, keys and whole objects.
    root.setLevel(max(logging.getLevelName(level.upper()), logging.WARNING))
    logging.getLogger(_OURS).setLevel(level.upper())
    # A hostile Git server can make these two write a line, or a traceback, per ref and connection.
    logging.getLogger("dulwich").setLevel(logging.ERROR)
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    logging.captureWarnings(capture=True)
    sys.excepthook = _fault
    threading.excepthook = lambda died: _fault(died.exc_type, died.exc_value, died.exc_traceback)


def _fault(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is None or issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    _log.critical("a fault that nothing caught; please report it", exc_info=(kind, error, trace))
