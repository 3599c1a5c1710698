"""`tidings serve`: read the settings, run the server, stop it cleanly. Loads neither typer nor rich."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidings.cli.local.process.log_format import log_to_stderr
from tidings.cli.local.process.notify import keep_watchdog, watchdog_seconds
from tidings.cli.local.process.saying import announce, announce_standby, obstacle
from tidings.cli.local.process.stopping import Stop
from tidings.cli.terminal.sentences import plain
from tidings.settings import SETTINGS, Settings, SettingsError, check_ca_file, read_settings

if TYPE_CHECKING:
    from tidings.config import Config
    from tidings.nodes.joined import Joined
    from tidings.nodes.worker import Worker
    from tidings.server import Server

REFUSED = 2
"""The exit status if the server did not start, for example because a setting is wrong or the port is in use."""

BROKEN = 1
"""The exit status if the server started but could not continue; the log says why."""

Flags = dict[str, Any]
"""The flags of the command line, by the names of their settings; also `config`, `json` and `new_store`."""


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


def serve(flags: Mapping[str, Any], worker: Worker | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status. If the server cannot run, stderr has the reason.

    `worker`: this process is one of several; an obstacle is reported to their supervisor.
    """
    given = dict(flags)
    as_json, new_store = bool(given.pop("json", False)), bool(given.pop("new_store", False))
    try:
        config, settings = _settings(given)
        check_ca_file(settings)
        if settings.workers > 1:
            from tidings.cli.local.process.workers import supervise

            return supervise(settings, flags)
        from tidings.listening import opened

        # Checked before a store is created or opened, since that takes a while.
        opened(settings.host, settings.port).close()
        log_to_stderr(settings.log_level, settings.log_format, None if worker is None else worker.number)
        return _run(config, settings, as_json=as_json, new_store=new_store, worker=worker)
    except (SettingsError, _Refused, OSError) as wrong:
        why = plain(wrong) if isinstance(wrong, OSError) else str(wrong)
        if worker is None:
            obstacle(why)
        else:
            worker.refuses(why)
        return REFUSED


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


class _Refused(Exception):
    """The server does not run; the text says why, in one or more lines."""


class _Superseded(Exception):
    """Another server works on the database."""


def _run(config: Config, settings: Settings, *, as_json: bool, new_store: bool, worker: Worker | None) -> int:
    """Returns the exit status. Raises _Refused."""
    from tidings.store.base import StoreError

    stop = Stop()
    try:
        if not settings.standby:
            return _work(config, settings, stop, as_json=as_json, new_store=new_store, worker=worker)
        while _turn_comes(settings, stop, as_json=as_json):
            with contextlib.suppress(_Superseded):
                return _work(config, settings, stop, as_json=as_json, new_store=new_store)
        return 0
    except StoreError as wrong:
        raise _Refused(str(wrong)) from None


def _work(
    config: Config, settings: Settings, stop: Stop, *, as_json: bool, new_store: bool, worker: Worker | None = None
) -> int:
    """Serve, and return the exit status. Raises _Refused; with `standby` _Superseded if another server was faster."""
    from tidings.declared import declare
    from tidings.model.errors import TidingsError
    from tidings.rules.tracing.configured import WrongTracing
    from tidings.store.base import StoreError, StoreFull, Taken

    server, first = _made(settings, stop, worker)
    try:
        server.open(new_store=new_store)
        declare(first, config)
    except StoreFull as wrong:
        raise _Refused(
            f"{wrong}; free some space on the disk of {_place(settings)}, and start the server again"
        ) from None
    except (StoreError, SettingsError, TidingsError, WrongTracing) as wrong:
        if settings.standby and isinstance(wrong, Taken):
            raise _Superseded from None
        raise _Refused(str(wrong)) from None
    try:
        if not stop.asked:
            import uvloop

            uvloop.run(server.run(lambda: _ready(server, stop, worker, as_json=as_json)))
    finally:
        server.close()
    if settings.standby and first.superseded:
        raise _Superseded
    # If a stage has failed, the log has the reason, and the supervisor should restart the process.
    return BROKEN if server.failed else 0


def _place(settings: Settings) -> str:
    """Where the database is, for people."""
    from tidings.store.engines.opening import sqlite_file

    file = sqlite_file(settings.database, settings.folder)
    return "the PostgreSQL server" if file is None else str(file.parent.resolve())


def _made(settings: Settings, stop: Stop, worker: Worker | None) -> tuple[Server | Joined, Server]:
    """What serves requests and can be stopped from now on, and the server in it."""
    from tidings.server import Server

    if not settings.join:
        server = Server(settings)
        stop.ends(server)
        return server, server
    from tidings.nodes.joined import Joined

    joined = Joined(settings, public=None if worker is None else worker.public)
    stop.ends(joined)
    if worker is not None:
        worker.follow(stop.ask, joined)
    return joined, joined.server


def _turn_comes(settings: Settings, stop: Stop, *, as_json: bool) -> bool:
    """Stand by until this server may work; False if it was stopped. Raises StoreError if it could not work."""
    import uvloop

    from tidings.nodes.standing_by import StandingBy

    waiting = StandingBy(settings)
    stop.ends(waiting)
    waiting.check()

    def ready(url: str) -> None:
        announce_standby(url, as_json=as_json)
        keep_watchdog(watchdog_seconds())

    return uvloop.run(waiting.wait(ready))


def _ready(server: Server | Joined, stop: Stop, worker: Worker | None, *, as_json: bool) -> None:
    from tidings.listening import url_of

    url = url_of(server.settings.host, server.port)
    if worker is None:
        announce(url, server.operator_key, as_json=as_json)
        keep_watchdog(watchdog_seconds())
    else:
        worker.is_ready(url, server.operator_key)
        keep_watchdog(worker.order.watchdog_seconds, worker.turned)
    if stop.asked:
        server.stop()
