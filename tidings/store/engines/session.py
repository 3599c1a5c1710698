"""A session with PostgreSQL: how it is opened, and how the driver's errors become the store's."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tidings.rules.network import database_url
from tidings.store.base import Behind, Contended, Held, Outdated, StoreBusy, StoreError, StoreFull, UniqueViolation

CONNECT_SECONDS = 5
_LAST_WORDS = ("57P01", "57P02", "57P03", "57P05", "25P03")
"""The SQLSTATEs after which a session is over: the server shuts down, crashed or is starting, or the session was idle
for too long."""


def with_defaults(url: str) -> str:
    """The URL, with parameters (unless it sets them) by which a connection notices that the other side is gone."""
    return _with_defaults(url, os.getpid())


@functools.lru_cache
def _with_defaults(url: str, pid: int) -> str:
    given = _parts(url)
    wanted = {
        "application_name": f"tidings@{socket.gethostname()}:{pid}",
        "connect_timeout": str(CONNECT_SECONDS),
        "keepalives_idle": "5",
        "keepalives_interval": "2",
        "keepalives_count": "3",
        "tcp_user_timeout": "10000",
    }
    if has_several_hosts(url):
        # Only the primary accepts writes, not its replicas.
        wanted["target_session_attrs"] = "read-write"
    return make_conninfo("", **{**wanted, **given})


def has_several_hosts(url: str) -> bool:
    """Whether the URL names more than one host, of which one is the primary."""
    given = _parts(url)
    return any("," in str(given.get(name, "")) for name in ("host", "hostaddr"))


def place(url: str) -> str:
    """Where the database is, without user and password."""
    given = _parts(url)
    host = given.get("host") or given.get("hostaddr")
    where = "local socket" if host is None or str(host).startswith("/") else host
    return f"postgresql://{where}/{given.get('dbname', '')}"


@functools.lru_cache
def _parts(url: str) -> dict[str, Any]:
    try:
        database_url.check(url)
        return dict(conninfo_to_dict(url))
    except (ValueError, psycopg.Error):
        # libpq's message quotes the part that it does not understand, which may be of the password.
        raise StoreError(database_url.WRONG) from None


def ends_session(wrong: BaseException | None) -> bool:
    """Whether PostgreSQL ended the session with this error."""
    return isinstance(wrong, psycopg.Error) and wrong.sqlstate in _LAST_WORDS


@contextlib.contextmanager
def translated() -> Iterator[None]:
    try:
        yield
    except psycopg.errors.UniqueViolation as wrong:
        raise UniqueViolation("a value is taken", because=str(wrong).strip()) from wrong
    except (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory) as wrong:
        raise StoreFull("PostgreSQL has run out of space", because=str(wrong).strip()) from wrong
    except psycopg.errors.LockNotAvailable as wrong:
        raise Held("something was locked for too long", because=str(wrong).strip()) from wrong
    except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure) as wrong:
        raise Contended("another server came first", because=str(wrong).strip()) from wrong
    except psycopg.errors.DivisionByZero as wrong:
        raise Behind("the catalogue was changed by another server") from wrong
    except psycopg.errors.ProgramLimitExceeded as wrong:
        # For example a key that no index accepts: it would be refused again.
        raise StoreError("PostgreSQL refused", because=str(wrong).strip()) from wrong
    except (psycopg.OperationalError, psycopg.InterfaceError) as wrong:
        raise StoreBusy("PostgreSQL cannot be reached", because=str(wrong).strip()) from wrong
    except psycopg.errors.FeatureNotSupported as wrong:
        # "cached plan must not change result type": it has no code of its own, and no other statement causes it.
        raise Outdated("PostgreSQL refused", because=str(wrong).strip()) from wrong
    except psycopg.Error as wrong:
        raise StoreError("PostgreSQL refused", because=str(wrong).strip()) from wrong
