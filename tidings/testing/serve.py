"""`python -m tidings.testing.serve --data DIR --port N`: a server in a separate process whose clock can be moved.

Like `tidings serve` it reads the variables, and the file at TIDINGS_CONFIG.
Its clock runs, and is moved by lines on standard input: `advance SECONDS` lets time pass, `set_by SECONDS` sets the
clock. The response to each is `now TIME`, once everything that sleeps by the clock has been woken. The server stops
when its input ends.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading

import uvloop

from tidings.config import find_config
from tidings.declared import declare
from tidings.model.moment import to_text
from tidings.server import Server
from tidings.settings import read_settings
from tidings.testing.clock import FakeClock


def main() -> None:
    """Serve with a clock that runs, and is moved by lines on standard input."""
    flags = dict(zip((name.removeprefix("--") for name in sys.argv[1::2]), sys.argv[2::2], strict=True))
    clock = FakeClock(ticking=True)
    config = find_config(os.environ.get("TIDINGS_CONFIG"))
    settings = read_settings({**flags, "port": int(flags.get("port", "0"))}, file=config.settings)
    server = Server(settings, clock)

    def listen_to_input() -> None:
        print(f"ready {server.port}", flush=True)
        for line in sys.stdin:
            command, _, seconds = line.partition(" ")
            if command not in ("advance", "set_by"):
                print(f"unknown command {command.strip()!r}; use advance SECONDS or set_by SECONDS", flush=True)
                continue
            move = clock.advance if command == "advance" else clock.set_by
            print(f"now {to_text(move(float(seconds)))}", flush=True)
        server.stop()

    listener = threading.Thread(target=listen_to_input, name="input", daemon=True)
    server.open()
    try:
        declare(server, config)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(server.run(listener.start))
    finally:
        server.close()


if __name__ == "__main__":
    main()
