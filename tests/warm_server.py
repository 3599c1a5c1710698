"""What the first server of a process loads, compiles and learns: most of its start, so copies find it done.

None of it is about one store or one set of settings. See tests/warm.py.
"""

from __future__ import annotations

import gc
import importlib

LATE = (
    "apsw",
    "cryptography.hazmat.primitives.ciphers.aead",
    "tidings.nodes.joined",
    "tidings.store.beats.waiting",
    "tidings.store.engines.postgres",
    "tidings.store.engines.sqlite",
    "tidings.web.front",
    "tidings.web.standby",
    "uvloop",
)
"""What a server loads once it knows that it needs it."""


def load_server() -> None:
    """Do it, in the process that is copied."""
    import tidings.cli.local.serve
    import tidings.server
    import tidings.testing.serve  # noqa: F401
    from tidings.rules.schemes.catalogue import handshakes
    from tidings.store.engines.migrate import migrations
    from tidings.store.engines.statements import statements
    from tidings.structs import learn_structs
    from tidings.web import app
    from tidings.web.console.pages.table import PAGES
    from tidings.web.console.visit import PageTable
    from tidings.web.portal.pages.table import PAGES as PORTAL
    from tidings.web.portal.visits import PortalPages
    from tidings.web.svix import door

    for name in LATE:
        importlib.import_module(name)
    learn_structs()
    handshakes()
    migrations()
    for dialect in ("postgres", "sqlite"):
        statements(dialect)
    app._routes("")
    door._routes("")
    PageTable(PAGES)
    PortalPages(PORTAL)
    gc.freeze()
