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
"""The attributes that every log record has; any others are extras from the logging call."""


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: `time`, `level`, `logger`, `message`, the logged extras, `exception`."""

    def __init__(self, worker: int | None = None) -> None:
        """`worker`: its number, if it is one of several."""
        super().__init__()
        self._of: dict[str, Any] = {} if worker is None else {"worker": worker}

    def format(self, record: logging.LogRecord) -> str:
        """The line, without a newline."""
        seconds = time.strftime(SECONDS, time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= self._of
        line |= {name: value for name, value in vars(record).items() if name not in _USUAL}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, ensure_ascii=False, default=str)


def log_to_stderr(level: str, form: str, worker: int | None = None) -> None:
    """Log to stderr, from `level` up, as `text` or `json`. `worker`: this process's number, if it is one of several."""
    handler = logging.StreamHandler(sys.stderr)
    if form == "json":
        handler.setFormatter(JsonFormatter(worker))
        # Uncaught exceptions are log lines too.
        logging.captureWarnings(True)
        sys.excepthook = _uncaught
        threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)
    else:
        text = TEXT if worker is None else TEXT.replace("%(name)s", f"worker {worker} %(name)s")
        formatter = logging.Formatter(text, SECONDS)
        formatter.converter = time.gmtime
        handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level.upper())


def _uncaught(kind: type[BaseException], error: BaseException | None, at: TracebackType | None) -> None:
    logging.getLogger("tidings").critical("uncaught exception", exc_info=error)
