"""What `tidings serve` prints: where it listens, or in one sentence why it does not."""

from __future__ import annotations

import json
import logging
import os
import sys

from tidings.cli.local.process.log_format import JsonFormatter
from tidings.cli.local.process.notify import notify
from tidings.cli.terminal.sentences import sentence


def announce(url: str, operator_key: str | None, *, as_json: bool, workers: list[str] | None = None) -> None:
    """Say where the server listens, and show the operator's key if it is new. `workers`: each worker's own URL."""
    from tidings.client.exchange import DEFAULT_URL

    if as_json:
        more = {} if workers is None else {"workers": workers}
        say(json.dumps({"url": url, "operator_key": operator_key, "pid": os.getpid(), **more}))
    else:
        here = url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
        say(f"Tidings listens on {url}; its API is documented at {here}/docs.")
        if workers is not None:
            say(f"{len(workers)} workers take calls on that port, and each also on its own port: {', '.join(workers)}")
        if operator_key:
            say(f"Keep the operator's key, which is shown only this once: {operator_key}")
            there = "" if here == DEFAULT_URL else f" and TIDINGS_URL to {here}"
            say(f"Next, in another terminal: set TIDINGS_KEY to the key{there}, and run: tidings console")
    notify("READY=1", f"STATUS=Listens on {url}.")


def announce_standby(url: str, *, as_json: bool) -> None:
    """Say that the server stands by, and answers health checks at `url`."""
    if as_json:
        say(json.dumps({"url": url, "standby": True, "pid": os.getpid()}))
    else:
        say(f"Tidings stands by on {url}. This server will take over if the active server stops or fails.")
    notify("READY=1", f"STATUS=Stands by on {url}.")


def obstacle(why: str) -> None:
    """Say why the server does not run: in the log if that is JSON, otherwise on stderr."""
    lines = [sentence(line) for line in why.splitlines()]
    as_json = any(isinstance(each.formatter, JsonFormatter) for each in logging.getLogger().handlers)
    for line in lines:
        if as_json:
            logging.getLogger("tidings").critical(line)
        else:
            print(f"tidings: {line}", file=sys.stderr, flush=True)


def say(line: str) -> None:
    """Print a line."""
    try:
        print(line, flush=True)
    except OSError:
        # The process that started us no longer reads our output; the log continues.
        pass
