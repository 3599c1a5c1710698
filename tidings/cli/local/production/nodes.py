"""Whether servers that have joined one another can reach each other, and have the same secret key."""

from __future__ import annotations

import contextlib
import http.client
import ssl
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tidings.cli.local.doctor_local import Finding
from tidings.cli.terminal.sentences import sentence
from tidings.settings import Settings
from tidings.store.base import StoreError
from tidings.store.engines.opening import driver_needed
from tidings.store.seal import Sealer, load_key

if TYPE_CHECKING:
    from tidings.store.engines.nodes import Seen

ANSWER_SECONDS = 5.0


def look_at_nodes(settings: Settings) -> Iterator[Finding]:
    """The servers that share the database with this one, as this machine sees them.

    Yields nothing if none of them has joined others. `join` is not in these settings if it is only a flag of `serve`.
    """
    try:
        there, mark = _there(settings)
    except StoreError as wrong:
        if settings.join:
            yield Finding("fail", "nodes", sentence(str(wrong)))
        return
    if not settings.join and not there:
        return
    own = Sealer(load_key(settings.secret_key, settings.folder)).mark if settings.secret_key else None
    if None not in (mark, own) and mark != own:
        said = (
            f"The mark of this server's secret key is {own}, but that of the other servers' key is {mark}. All servers "
            "need the same key."
        )
        yield Finding("fail", "nodes", said)
    if len(there) < 2:
        said = f"Fewer than two servers use this database ({len(there)}), so none can take over. Start a second one"
        yield Finding("warn", "nodes", f"{said} (docs/howto/several-servers.md).")
    twice = {address for address, count in Counter(each.address for each in there).items() if count > 1}
    for each in there:
        if each.address is None:
            continue
        if each.address in twice:
            said = (
                f"{each.name} and another server are both registered at {each.address}. Set a different `node_url` for "
                "each of them."
            )
            yield Finding("fail", "nodes", said)
        elif (why := _unreachable(each.address, settings.ca_file or None)) is not None:
            said = (
                f"{each.name} does not answer at {each.address}: {why}. Open that port between the servers, or set "
                f"`node_url` on {each.name} to an address at which the others can reach it."
            )
            yield Finding("fail", "nodes", said)
        else:
            yield Finding("ok", "nodes", f"{each.name} answers at {each.address}.")


def _there(settings: Settings) -> tuple[list[Seen], str | None]:
    """The servers, and the mark of their secret key. Raises StoreError."""
    with driver_needed():
        from tidings.store.engines.nodes import seen
        from tidings.store.engines.opening import shared_engine
        from tidings.store.engines.pen import describe
    with contextlib.closing(shared_engine(settings.database).reader()) as db:
        there = [each for each in seen(db) if each.role in ("sends", "takes in")]
    return there, describe(settings.database).secret_mark


def _unreachable(address: str, ca_file: str | None) -> str | None:
    """Why no server responds at this address; None if one does."""
    parts = urlsplit(address)
    connection = (
        http.client.HTTPSConnection(
            parts.netloc, timeout=ANSWER_SECONDS, context=ssl.create_default_context(cafile=ca_file)
        )
        if parts.scheme == "https"
        else http.client.HTTPConnection(parts.netloc, timeout=ANSWER_SECONDS)
    )
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as wrong:
        return (wrong.strerror if isinstance(wrong, OSError) and wrong.strerror else str(wrong)).lower()
    finally:
        connection.close()
    return None if status == http.client.OK else f"it answers {status}"
