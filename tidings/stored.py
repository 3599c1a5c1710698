"""The store of one server: the locks that keep other servers away, the engine, and the key that opens its secrets."""

from __future__ import annotations

from tidings.settings import Settings
from tidings.store.base import Engine
from tidings.store.engines.opening import (
    Expected,
    files_of,
    lock_database,
    lock_folder,
    note_node,
    note_use,
    open_engine,
    reached_before,
    sqlite_file,
    was_used,
)
from tidings.store.engines.place import refuse_closed, warn_of_place
from tidings.store.files import FileLock
from tidings.store.seal import Sealer, keep_mark, load_sealer, refuse_other
from tidings.store.writer import Writer


class OpenStore:
    """The store, which a server opens first and releases last."""

    def __init__(self, settings: Settings, *, wants_to_send: bool = True) -> None:
        """`wants_to_send`: a joined node becomes the sender, if there is none."""
        self._settings, self._wants_to_send = settings, wants_to_send
        self._locks: list[FileLock] = []

    @property
    def lock(self) -> FileLock:
        """The lock of the data folder. Its file also contains notes."""
        return self._locks[0]

    def open(self, new_store: bool) -> tuple[Engine, Sealer]:
        """Lock the folder and the database, and open what is in them. Raises StoreError.

        The key is created last: if a start is cut off, it leaves no key next to an empty database, since that would
        look like a lost database.
        """
        url, folder = self._settings.database, self._settings.folder
        file = sqlite_file(url, folder)
        refuse_closed(folder, files_of(file, folder))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        warn_of_place(folder if file is None else file.parent, holds_database=file is not None)
        self._locks.append(lock_folder(folder))
        if (lock := lock_database(url, folder)) is not None:
            self._locks.append(lock)
        self.before = None if new_store else reached_before(url, folder, self.lock)
        expected: Expected = "empty" if new_store else "filled" if was_used(url, folder, self.lock) else "any"
        engine = open_engine(url, folder, expected, self._settings.join, self._wants_to_send, keeps=True)
        if engine.node is not None:
            note_node(engine.node, self.lock)
        try:
            if lock is not None and file is not None:
                # At the first start, the file has only just been created.
                lock.also_inode(file)
            db = engine.writer()
            engine.keep(db)
            return engine, load_sealer(db, self._settings.secret_key or None, folder)
        except BaseException:
            engine.close()
            raise

    def keep_mark(self, writer: Writer, sealer: Sealer) -> None:
        """Store the mark of the key. Raises StoreError if a node that started concurrently has a different key."""
        mark = writer.wait(lambda db: keep_mark(db, sealer))
        refuse_other(mark, sealer, self._settings.secret_key or None, self._settings.folder)

    def note_use(self) -> None:
        """Note that the store is in use: from now on, an empty database means that one was lost."""
        note_use(self._settings.database, self._settings.folder, self.lock)

    def release(self) -> None:
        """Release the locks."""
        while self._locks:
            self._locks.pop().release()
