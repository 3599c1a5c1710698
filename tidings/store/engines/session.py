"""A session with PostgreSQL: how it is opened, and how the driver's errors become the store's."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tidings.store.base import Held, Outdated, StoreBusy, StoreError, StoreFull, UniqueViolation

CONNECT_SECONDS = 5


def with_defaults(url: str) -> str:
    """The URL with what a connection needs to notice that the other side is gone, unless it says otherwise."""
    wanted = {
        "application_name": f"tidings@{socket.gethostname()}:{os.getpid()}",
        "connect_timeout": str(CONNECT_SECONDS),
        "keepalives_idle": "30",
        "keepalives_interval": "10",
        "keepalives_count": "3",
        "tcp_user_timeout": "30000",
    }
    try:
        return make_conninfo("", **{**wanted, **conninfo_to_dict(url)})
    except psycopg.Error as wrong:
        raise StoreBusy("PostgreSQL cannot be reached", because=str(wrong).strip()) from wrong


@contextlib.contextmanager
def translated() -> Iterator[None]:
    try:
        yield
    except psycopg.errors.UniqueViolation as wrong:
        raise UniqueViolation("a value is taken", because=str(wrong).strip()) from wrong
    except (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory) as wrong:
        raise StoreFull("PostgreSQL has run out of space", because=str(wrong).strip()) from wrong
    except psycopg.errors.LockNotAvailable as wrong:
        raise Held("a table is in use", because=str(wrong).strip()) from wrong
    except (psycopg.OperationalError, psycopg.InterfaceError) as wrong:
        raise StoreBusy("PostgreSQL cannot be reached", because=str(wrong).strip()) from wrong
    except psycopg.errors.FeatureNotSupported as wrong:
        # "cached plan must not change result type": it has no code of its own, and no other statement causes it.
        raise Outdated("PostgreSQL refused", because=str(wrong).strip()) from wrong
    except psycopg.Error as wrong:
        raise StoreError("PostgreSQL refused", because=str(wrong).strip()) from wrong
