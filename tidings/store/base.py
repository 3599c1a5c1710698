"""What every engine provides: a connection that runs named statements, and an engine that opens connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from tidings.model.event import Event
from tidings.store.watch import Watch

T = TypeVar("T")
R = TypeVar("R")
Row = tuple[Any, ...]
Outcome = tuple[Any, Exception | None]
"""What a job returned, and what it raised; one of the two is None."""
Dialect = str
"""`sqlite` or `postgres`."""
Stamp = Callable[[Sequence[Event]], None]
LOCK_SECONDS = 2
"""The maximum time that a write waits for rows that another session has locked."""
FRESH_MAX = 5_000
"""The maximum number of appended events, and of deliveries, that a transaction remembers: as many as the route stage
takes in one step."""
Mark = tuple[dict[str, int], dict[str, int], int, int, list[Row] | None, int, int]


def no_rest() -> None:
    """The `rest` of connections without their own: it does not pause."""


NO_HOOKS: tuple[Callable[[], None], Stamp | None] = (no_rest, None)
"""The `rest` and `stamp` of a connection by default."""


class StoreError(Exception):
    """The store refused or broke. Nothing of the transaction is stored, unless that is `unknown`.

    `detail` may be shown to anyone. `because`: the driver's message, which names hosts, users and tables; they are in
    the error's text, for logs and operators only.
    """

    def __init__(self, detail: str, *, unknown: bool = False, because: str = "") -> None:
        super().__init__(f"{detail} ({because})" if because else detail)
        self.detail = detail
        self.because = because
        self.unknown = unknown


class StoreFull(StoreError):
    """No room on the disk."""


class StoreBusy(StoreError):
    """The store cannot be reached or is in use by another process."""


class Taken(StoreBusy):
    """Another server writes to the database."""


class Superseded(StoreBusy):
    """Another server has written to the database since this one did, so what this one has in memory is out of date."""


class Lost(StoreBusy):
    """The connection broke. Reads may be repeated on a new one."""


class StoreDamaged(StoreError):
    """The database is damaged: whatever touches the damage fails until a backup is restored."""


class TooLong(StoreError):
    """A brief read ran too long; it may be repeated on a reader thread."""


class NotSingle(StoreError):
    """A job that should run one statement runs another; it may be repeated on a reader thread."""


class Outdated(StoreError):
    """A table was altered since this connection prepared the statement; it may be repeated after a rollback."""


class Contended(StoreError):
    """Another node came first, as in a deadlock.

    Repeat the work in a new transaction, which sees what that node did.
    """


class Held(Contended):
    """For too long, another transaction held a lock that this one needs."""


class UniqueViolation(StoreError):
    """A row with this unique value exists."""


class Behind(Contended):
    """Another node has changed the catalogue since this one read it."""


class Positions:
    """What a journal's writer knows without asking: counters and cursors, and what it has just appended.

    Nobody else moves them. Those that moved are stored once per transaction (`journal.store`).
    """

    def __init__(self, own: frozenset[str], *, keeps: bool = False) -> None:
        """`own`: those that only this node moves; `keeps`: events get their numbers at the end
        (store/log/numbering.py)."""
        self.own = own
        self.kept: list[Row] | None = [] if keeps else None
        """The events of this transaction that have no number yet; None if events are numbered immediately."""
        self.kept_at = self.spilled = 0
        """`kept_at`: when these events were kept; `spilled`: how many of them were copied into the temporary table."""
        self.known: dict[str, int] = {}
        self.moved: dict[str, int] = {}
        """The positions in `known` that are not stored yet."""
        self.fresh: list[tuple[Any, ...]] = []
        """The events of this transaction, as the route stage reads them (`events_to_route`), in order."""
        self.deliveries: list[Row] = []
        """The deliveries of this transaction, as the deliver stage reads them (`deliveries_after`), in order."""
        self._ended = True

    def begin(self) -> None:
        """A transaction begins.

        If the previous one did not reach its `end`, it was undone, so everything is read again.
        """
        if not self._ended:
            self.known, self.moved = {}, {}
        self.fresh, self.deliveries, self._ended = [], [], False
        self.kept, self.kept_at, self.spilled = None if self.kept is None else [], 0, 0

    def end(self) -> None:
        """The transaction was committed."""
        self._ended = True

    def move(self, name: str, to: int) -> None:
        """Move one."""
        self.known[name] = self.moved[name] = to

    def append(self, rows: list[tuple[Any, ...]]) -> None:
        """Remember events that were appended. Once there are too many, remember none of this transaction."""
        if len(self.fresh) <= FRESH_MAX:
            self.fresh += rows

    def deliver(self, rows: list[Row]) -> None:
        """The same of deliveries."""
        if len(self.deliveries) <= FRESH_MAX:
            self.deliveries += rows

    def mark(self) -> Mark:
        """The state that `back` returns to if a part of the transaction is undone."""
        kept = self.kept
        counts = len(self.fresh), len(self.deliveries)
        return dict(self.known), dict(self.moved), *counts, kept, len(kept or ()), self.spilled

    def back(self, mark: Mark) -> None:
        """A part of the transaction was undone: return to the state at the mark."""
        self.known, self.moved = dict(mark[0]), dict(mark[1])
        del self.fresh[mark[2] :], self.deliveries[mark[3] :]
        self.kept, self.spilled = mark[4], mark[6]
        if self.kept:
            del self.kept[mark[5] :]


class Db(Protocol):
    """One connection. Statements are named (store/sql/*.sql) and take `:name` parameters."""

    dialect: Dialect
    journal: int
    """The journal (store/journal.py) of the node that uses this connection."""
    shares: bool
    """Whether other nodes write to the database concurrently; False for a connection that holds the pen alone."""
    noted: int
    """The number of changes to the catalogue that were noted in the present transaction (store/catalog.py)."""
    positions: Positions | None
    """The journal's positions, as far as its writer knows them; None if they are read from the store."""
    watched: dict[str, Watch]
    """The tables of items (store/items/tables.py) whose changes are noted, by their quoted names."""
    rest: Callable[[], None]
    """Called now and then by jobs that compute a lot. A reader's job pauses in it (store/readers.py)."""
    stamp: Stamp | None
    """Called with new events before they are stored, to set the traces to which they belong."""

    @property
    def session(self) -> int | None:
        """The number of its session in the database; None while it has none, or if the engine has no sessions."""

    def one(self, name: str, /, **params: Any) -> Row | None:
        """The first row, or None."""

    def all(self, name: str, /, **params: Any) -> list[Row]:
        """Every row."""

    def run(self, name: str, /, **params: Any) -> int:
        """Run a statement that returns no rows; returns how many rows it changed."""

    def query(self, sql: str, params: dict[str, Any]) -> list[Row]:
        """Run a composed SELECT; the text must not contain a caller's input, values go through `params`."""

    def execute(self, sql: str, params: dict[str, Any]) -> int:
        """Run a composed statement that returns no rows; returns how many it changed. As `query`: no caller's input."""

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Append many rows at once. Raises UniqueViolation."""

    def append(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """As `insert`, for rows that cannot be refused: they may be sent with the transaction's next statement."""

    def run_later(self, name: str, /, **params: Any) -> None:
        """Run a statement whose result nobody needs: it may be sent with the transaction's next one."""

    def execute_later(self, sql: str, params: dict[str, Any]) -> None:
        """The same for a composed statement. As `query`: no caller's input in the text."""

    def many(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        """Run one statement for each set of parameters."""

    def execute_many(self, sql: str, rows: Sequence[dict[str, Any]]) -> None:
        """Run a composed statement for each set of parameters. As `query`: no caller's input in the text."""

    def begin(self, *, write: bool = True) -> None:
        """Begin a transaction; with `write` it holds the writer's lock from the start."""

    def commit(self) -> None:
        """Make it durable. Raises StoreError(unknown=True) if that is uncertain."""

    def rollback(self) -> None:
        """Undo the transaction; never raises."""

    def savepoint(self) -> AbstractContextManager[None]:
        """Everything inside is stored, or nothing."""

    def close(self) -> None:
        """Close the connection."""


Run = Callable[[Callable[[Db], T]], Awaitable[R]]
"""Runs the job of a change: `Writer.call`, or a wrapper that also keeps the response for repeats of the request."""


class Builder(Db, Protocol):
    """A connection for slow work next to the writer, outside of transactions."""

    def cancel(self) -> None:
        """Cancel its statement, from another thread; that raises StoreError there. Does nothing if it is idle."""


class BriefDb(Db, Protocol):
    """A connection whose reads raise TooLong rather than take more than a moment."""

    def start_brief(self) -> None:
        """Start timing a single statement without a transaction."""


class AwaitedReads(Protocol):
    """Connections whose statements an event loop can await."""

    async def run_all(self, jobs: Sequence[Callable[[Db], Any]]) -> list[Outcome]:
        """Run jobs that read with one statement each. Each job is begun twice.

        The outcome is Lost, Outdated or NotSingle if a reader thread may repeat the job.
        """

    def close(self) -> None:
        """Close the connections."""


class UnsharedEngine:
    """The answers of an engine whose database is one file, opened by one process."""

    node = None
    joined, sends, wants_to_send = False, True, True
    _opened: Any = None

    def keep(self, db: Any) -> None:
        self._opened = db

    def close(self) -> None:
        """Other connections are closed by the code that opened them."""
        if self._opened is not None:
            self._opened.close()

    def timeline(self) -> None:
        """None: a file cannot tell that it has replaced another."""

    def note_reached(self, event: int) -> None:
        """Nothing: a file that is replaced under a server is noticed by its number (open_files.py)."""

    def claim(self, db: Db) -> None:
        """The lock on the file is enough: it lasts as long as the process, and nobody can take it in the meantime."""


class Engine(Protocol):
    """A database that Tidings can use."""

    dialect: Dialect
    where: str
    """Where the database is, in words and without a password."""
    joined: bool
    """Whether the server works together with other joined nodes on the same database (docs/decisions/0073)."""

    @property
    def sends(self) -> bool:
        """Whether this node routes and sends.

        One joined node does: the one whose writer's session holds the lock for it.
        """

    @property
    def wants_to_send(self) -> bool:
        """Whether it becomes the sender if there is none when its writer opens; until then it may be set."""

    @property
    def node(self) -> str | None:
        """The id of this node among those that share the database, made at each start; None if no node shares it."""

    def timeline(self) -> str | None:
        """What its writer found: a value that changes if the database is restored or promoted; None if unknown."""

    def writer(self) -> Db:
        """A connection for the one writer thread. Raises StoreError if the store would lose acknowledged data."""

    def keep(self, db: Any) -> None:
        """Use this connection for the next writer; of joined nodes that start at once, the sender stays the sender."""

    def note_reached(self, event: int) -> None:
        """This event is known to be stored. A database that later ends before it went back in time."""

    def claim(self, db: Db) -> None:
        """Record that this node is now the writer: any other that comes back has to start again."""

    def reader(self) -> Db:
        """A connection for reading; it sees what was committed."""

    def brief_reader(self) -> BriefDb | None:
        """A connection whose reads raise TooLong rather than take more than a moment; None if that is impossible."""

    def awaited_reads(self) -> AwaitedReads | None:
        """Connections that an event loop reads from without a thread; None if the engine needs none."""

    def builder(self) -> Builder:
        """A connection that builds indexes next to the writer. Raises StoreError if only the writer may write."""

    def check_safety(self) -> None:
        """The same check without a writer, for example next to a running server. Raises StoreError."""

    def close(self) -> None:
        """Release everything."""
