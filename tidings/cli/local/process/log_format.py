"""How the server's log is written: lines for people, or one JSON object per line for machines."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from types import TracebackType
from typing import Any

TEXT = "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s"
SECONDS = "%Y-%m-%dT%H:%M:%S"

_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}
"""The attributes of every record; any others were added by the logging code."""


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: `time`, `level`, `logger`, `message`, the logged extras, `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without a newline."""
        seconds = time.strftime(SECONDS, time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _USUAL}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, ensure_ascii=False, default=str)


def log_to_stderr(level: str, form: str) -> None:
    """Log to stderr, from `level` on, as `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    if form == "json":
        handler.setFormatter(JsonFormatter())
        # Uncaught exceptions are log lines too.
        logging.captureWarnings(True)
        sys.excepthook = _uncaught
        threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)
    else:
        formatter = logging.Formatter(TEXT, SECONDS)
        formatter.converter = time.gmtime
        handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level.upper())


def _uncaught(kind: type[BaseException], error: BaseException | None, at: TracebackType | None) -> None:
    logging.getLogger("tidings").critical("uncaught exception", exc_info=error)
