"""`tidings serve`: read the settings, run the server, stop it cleanly. Loads neither typer nor rich."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidings.cli.local.process.log_format import JsonFormatter, log_to_stderr
from tidings.cli.local.process.notify import keep_watchdog, notify
from tidings.cli.terminal.sentences import plain, sentence
from tidings.settings import SETTINGS, Settings, SettingsError, check_ca_file, read_settings

if TYPE_CHECKING:
    from tidings.config import Config
    from tidings.nodes.joined import Joined
    from tidings.nodes.standing_by import StandingBy
    from tidings.server import Server

REFUSED = 2
"""The exit status if the server did not start: a wrong setting, a taken port, an unusable database."""

BROKEN = 1
"""The exit status if it started but could not continue; the log says why."""

Flags = dict[str, Any]
"""The command line's flags by their settings' names, and `config`, `json` and `new_store`."""


def read_flags(args: Sequence[str]) -> Flags | None:
    """The flags of a plain command line; None if typer is needed: help, an unknown flag, a missing value."""
    takes_value = {"--config": "config"}
    switches: dict[str, tuple[str, bool]] = {"--json": ("json", True), "--new-store": ("new_store", True)}
    for setting in SETTINGS:
        if setting.type is bool:
            switches[setting.flag] = (setting.name, True)
            switches["--no-" + setting.flag[2:]] = (setting.name, False)
        else:
            takes_value[setting.flag] = setting.name
    flags: Flags = {}
    rest = list(args)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        if flag in switches and not equals:
            name, flags[name] = switches[flag][0], switches[flag][1]
        elif flag in takes_value and (equals or rest):
            flags[takes_value[flag]] = value if equals else rest.pop(0)
        else:
            return None
    return flags


def serve(flags: Mapping[str, Any]) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status. An obstacle is one sentence on stderr."""
    given = dict(flags)
    as_json, new_store = bool(given.pop("json", False)), bool(given.pop("new_store", False))
    try:
        config, settings = _settings(given)
        check_ca_file(settings)
        from tidings.listening import opened

        # Before a store is made, or opened, which takes a while.
        opened(settings.host, settings.port).close()
        log_to_stderr(settings.log_level, settings.log_format)
        return _run(config, settings, as_json=as_json, new_store=new_store)
    except SettingsError as wrong:
        return _refuse(str(wrong))
    except OSError as wrong:
        return _refuse(plain(wrong))


def _settings(given: Flags) -> tuple[Config, Settings]:
    path = given.pop("config", None) or os.environ.get("TIDINGS_CONFIG")
    from tidings.config import find_config

    try:
        config = find_config(path)
    except SettingsError as wrong:
        # All errors in flags and variables are reported together.
        try:
            read_settings(given)
        except SettingsError as more:
            raise SettingsError(f"{wrong}\n{more}") from None
        raise
    return config, read_settings(given, file=config.settings)


def _run(config: Config, settings: Settings, *, as_json: bool, new_store: bool) -> int:
    from tidings.store.base import StoreError

    stop = _Stop()
    try:
        if not settings.standby:
            return _work(config, settings, stop, as_json=as_json, new_store=new_store)
        while _turn_comes(settings, stop, as_json=as_json):
            with contextlib.suppress(_Superseded):
                return _work(config, settings, stop, as_json=as_json, new_store=new_store)
        return 0
    except StoreError as wrong:
        return _refuse(str(wrong))


class _Superseded(Exception):
    """Another server works on the database."""


def _work(config: Config, settings: Settings, stop: _Stop, *, as_json: bool, new_store: bool) -> int:
    """Serve, and return the exit status. With `standby` it raises _Superseded if another server was faster."""
    from tidings.declared import declare
    from tidings.model.errors import TidingsError
    from tidings.rules.tracing.configured import WrongTracing
    from tidings.server import Server
    from tidings.store.base import StoreError, Taken

    server: Server | Joined
    if settings.join:
        from tidings.nodes.joined import Joined

        server = joined = Joined(settings)
        first = joined.server
    else:
        server = first = Server(settings)
    stop.ends(server)
    try:
        server.open(new_store=new_store)
        declare(first, config)
    except (StoreError, SettingsError, TidingsError, WrongTracing) as wrong:
        if settings.standby and isinstance(wrong, Taken):
            raise _Superseded from None
        return _refuse(str(wrong))
    try:
        if stop.signals == 0:
            import uvloop

            uvloop.run(server.run(lambda: _announce(server, as_json, stop)))
    except (StoreError, OSError) as wrong:
        return _refuse(plain(wrong) if isinstance(wrong, OSError) else str(wrong))
    finally:
        server.close()
    if settings.standby and first.superseded:
        raise _Superseded
    # A stage has failed; the log says how. The supervisor should restart the process.
    return BROKEN if server.failed else 0


def _turn_comes(settings: Settings, stop: _Stop, *, as_json: bool) -> bool:
    """Stand by until this server may work; False: it was stopped. Raises StoreError if it could not work."""
    import uvloop

    from tidings.nodes.standing_by import StandingBy

    waiting = StandingBy(settings)
    stop.ends(waiting)
    waiting.check()
    return uvloop.run(waiting.wait(lambda url: _announce_standby(url, as_json)))


class _Stop:
    """The first SIGTERM or SIGINT asks the server to stop, the second ends the process at once.

    A thread waits for them, since Python's own handlers run only between two instructions of the main thread, and that
    may be long after the signal while it waits for other threads to end.
    """

    def __init__(self) -> None:
        self.signals = 0
        self._ended: Server | StandingBy | Joined | None = None
        # Every thread started from here on leaves these two signals to the waiting one.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        threading.Thread(target=self._wait, name="signals", daemon=True).start()

    def _wait(self) -> None:
        while True:
            number = signal.sigwait(_SIGNALS)
            self.signals += 1
            notify("STOPPING=1", "STATUS=Stops once what is in flight has ended.")
            if self.signals > 1:
                os._exit(128 + number)
            if self._ended is not None:
                self._ended.stop()

    def ends(self, ended: Server | StandingBy | Joined) -> None:
        """From now on a signal stops this."""
        self._ended = ended
        if self.signals:
            ended.stop()


_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def _announce(server: Server | Joined, as_json: bool, stop: _Stop) -> None:
    from tidings.client.exchange import DEFAULT_URL
    from tidings.listening import url_of

    url = url_of(server.settings.host, server.port)
    if as_json:
        _print(json.dumps({"url": url, "operator_key": server.operator_key, "pid": os.getpid()}))
    else:
        _print(f"Tidings listens on {url}; its API is documented at {url}/docs.")
        if server.operator_key:
            _print(f"Keep the operator's key, which is shown only this once: {server.operator_key}")
            there = "" if url == DEFAULT_URL else f" and TIDINGS_URL to {url}"
            _print(f"Next, in another terminal: set TIDINGS_KEY to the key{there}, and run: tidings console")
    notify("READY=1", f"STATUS=Listens on {url}.")
    keep_watchdog()
    if stop.signals:
        server.stop()


def _announce_standby(url: str, as_json: bool) -> None:
    if as_json:
        _print(json.dumps({"url": url, "standby": True, "pid": os.getpid()}))
    else:
        _print(f"Tidings stands by on {url}. It takes over when the active server is gone.")
    notify("READY=1", f"STATUS=Stands by on {url}.")
    keep_watchdog()


def _refuse(why: str) -> int:
    lines = [sentence(line) for line in why.splitlines()]
    as_json = any(isinstance(each.formatter, JsonFormatter) for each in logging.getLogger().handlers)
    for line in lines:
        if as_json:
            logging.getLogger("tidings").critical(line)
        else:
            print(f"tidings: {line}", file=sys.stderr, flush=True)
    return REFUSED


def _print(line: str) -> None:
    try:
        print(line, flush=True)
    except OSError:
        # The process that started us no longer reads our output; the log continues.
        pass
