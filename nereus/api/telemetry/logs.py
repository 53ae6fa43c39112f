"""Logs of servers and workers: lines of text or of JSON, one for each record, without secrets."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from nereus.api.telemetry.secrets import Redactor
from nereus.settings import Settings

_ROOTS = ("nereus", "uvicorn")
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class TextLines(logging.Formatter):
    """A record as a line for people.

    Parameters
    ----------
    redactor
        Takes secrets out.
    """

    def __init__(self, redactor: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """The line, with the traceback below it."""
        return self._redactor.clean(super().format(record))


class JsonLines(logging.Formatter):
    """A record as an object of JSON in one line: ``time``, ``level``, ``logger``, ``message``, ``error``, and its own fields.

    Parameters
    ----------
    redactor
        Takes secrets out, of every text of it.
    """

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": self._redactor.clean(record.getMessage()),
        }
        if record.exc_info:
            told["error"] = self._redactor.clean(self.formatException(record.exc_info))
        for name, value in vars(record).items():
            if name not in _OWN:
                plain = isinstance(value, int | float | bool) or value is None
                told[name] = value if plain else self._redactor.clean(str(value))
        return json.dumps(told, ensure_ascii=False)


def write_logs(settings: Settings, stream: TextIO | None = None) -> logging.Handler:
    """Write what is logged from now on, as the settings say.

    Parameters
    ----------
    settings
        ``log_format`` and ``log_level``; their secrets are left out.
    stream
        Where to; the standard error by default.
    """
    redactor = Redactor.of(settings)
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(redactor) if settings.log_format == "json" else TextLines(redactor))
    for name in _ROOTS:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(settings.log_level.upper())
    return handler
