"""The menu: what an operation is. Routing, permissions, OpenAPI and the docs are made from the one table of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from tidings.model.access import Caller, Key
from tidings.model.errors import Place, TidingsError
from tidings.rules.deliver.bodies import Chosen
from tidings.web.parts import Parts
from tidings.web.wire.cursors import Cursors


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One query parameter, header or name in the path that an operation reads. `schema` is its JSON Schema."""

    name: str
    schema: dict[str, Any]
    help: str
    where: str = "query"
    required: bool = False
    example: Any = None


class BodySchema(msgspec.Struct, frozen=True):
    """A body described by a JSON Schema rather than by a struct: the document's component `name`."""

    name: str
    schema: dict[str, Any]
    """It may name other components, as in `#/components/schemas/Place`."""
    example: Any = None
    places: Callable[[Any, frozenset[str]], list[Place]] | None = None
    """What else is wrong with plain values of which some members, named, hold numbers that cannot be read exactly."""


class Slice(NamedTuple):
    """Some elements of a body's list as a body of their own; `start` is the place of the first in the whole list."""

    start: int
    raw: bytes
    elements: int = 0
    """How many elements; 0: few enough not to be counted."""


class Listing(msgspec.Struct, frozen=True):
    """The one member of a body, a list that is read slice by slice (web/wire/bodies/slices.py)."""

    member: str
    most: int
    """How many elements it may have."""
    weight: int
    """How many bytes of text cost as much as storing one of them."""
    too_many: str = "wrong_value"
    """The code of the refusal if there are more."""


class NextOperation(msgspec.Struct, frozen=True):
    """What may be called next with what an answer says (OpenAPI links)."""

    name: str
    operation: str
    """The operationId of what is called."""
    parameters: dict[str, str]
    """By the name of its parameter a runtime expression, such as `$response.body#/id`."""
    help: str


class Request(msgspec.Struct):
    """One request that was read, known and permitted."""

    operation: Operation
    key: Key
    request_id: str
    path: dict[str, str]
    """The values of the `{names}` of the path."""
    query: dict[str, Any]
    """The parameters of the menu that were given, converted by their schema."""
    headers: dict[str, str]
    """All headers, names in lower case."""
    raw: bytes
    """The body as received."""
    body: Any
    """The body as the operation's `request` struct; None if the operation takes none, or a BodySchema."""
    cursors: Cursors
    value: Any = None
    """The body as plain JSON values."""
    pieces: AsyncIterator[bytes] | None = None
    """The body in chunks, if the operation is `incoming`."""
    slices: Sequence[Slice] = ()
    """The body, if the operation has a `listing`; the handler reads it."""
    chosen: Chosen | None = None
    """The fields that `fields` names, as a tree; None: the whole form."""
    given: dict[str, Any] = {}
    """The read-only members that the body has; `given.agree` checks them."""
    client: str = ""
    """The caller's `address:port`, if the operation is `addressed`."""
    connected_from: str = ""
    """The connection's: a proxy's, if there is one before the server."""
    act: Any = None
    """The record of what this request does (habits/acts.py); None: it changes nothing."""

    @property
    def caller(self) -> Caller:
        """The caller, for functions that decide."""
        return Caller(self.key, self.request_id)


class Answer(msgspec.Struct):
    """A whole answer. `body` is bytes as they are, or anything msgspec can write as JSON; None: no body."""

    status: int = 200
    body: Any = None
    headers: list[tuple[str, str]] = []
    media: str = "application/json"
    cache: str | None = None
    """`Cache-Control`, for files that are the same for everybody; None: nobody may keep the answer."""


@dataclass(slots=True)
class Stream:
    """An answer piece by piece. Each is written when the one before has left the process."""

    pieces: AsyncIterator[bytes]
    headers: list[tuple[str, str]] = field(default_factory=list)
    media: str = "text/event-stream"
    whole: bool = False
    """It has an end, and a caller that does not get that far must notice, so the connection is broken then."""


Handler = Callable[[Parts, Request], Awaitable[Answer | Stream]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One row of the menu."""

    name: str
    """Its operationId, such as `publish_event`."""
    method: str
    path: str
    """Such as `/v1/deliveries/{id}:retry`."""
    scope: str | None
    """What the key must have; None: no key is needed."""
    summary: str
    handler: Handler
    tag: str
    """What it belongs to: operations of one tag stand together."""
    whole: bool = False
    """It is about what belongs to the whole server, so a tenant's key may not use it."""
    tag_help: str = ""
    """The description of the tag, if its operations are made at run time."""
    help: str = ""
    request: type[msgspec.Struct] | BodySchema | None = None
    """The struct of the body, which forbids unknown fields; of a
    BodySchema the handler checks `Request.value` itself."""
    request_optional: bool = False
    """The body may be left out; `Request.body` is None then."""
    response: Any = None
    """The type of the answer's body, or a BodySchema, for the documentation."""
    components: tuple[BodySchema, ...] = ()
    """More components that the document must hold, because the BodySchemas of this operation name them."""
    links: tuple[NextOperation, ...] = ()
    """What may be called after its success."""
    status: int = 200
    parameters: tuple[Parameter, ...] = ()
    path_parameters: tuple[Parameter, ...] = ()
    """The schemas of the `{names}` in the path; a name without one may be any text."""
    stream: bool = False
    """The handler answers a Stream (SSE), not an Answer."""
    ticketed: bool = False
    """A ticket in its URL may replace a key (callers/tickets.py)."""
    incoming: Mapping[str, str] = field(default_factory=dict)
    """The body is a file of any size (`max_import_bytes`), that the handler reads as `Request.pieces`: by its media
    types an example."""
    outgoing: Mapping[str, str] = field(default_factory=dict)
    """The handler answers a file (a Stream that has an end): by its media types an example."""
    at_sender: bool = False
    """Only the node that sends can do it, such as what is about lanes, timers, replays or declarations. A node that
    takes in passes it on (wire/forwarding.py). What is not marked so is done wherever it arrives."""
    addressed: bool = False
    """It is given the addresses of the caller and of the connection."""
    idempotent_key: bool = False
    """It reads Idempotency-Key."""
    refuses: tuple[type[TidingsError], ...] = ()
    """What it may refuse with beside what its method, path, parameters and body tell."""
    listing: Listing | None = None
    """Its body is a list that the handler reads in slices, so `Request.body` and `Request.value` are None."""
    large: bool = False
    """Its body may have `max_batch_bytes` rather than `max_body_bytes`."""
    secret: bool = False
    """Its answer holds a secret, so the copy kept for an Idempotency-Key is encrypted with the caller's key."""
    masked: tuple[str, ...] = ()
    """Members that its answer shows in another form than its body takes them."""
    merge_patch: bool = False
    """The body is a merge patch (RFC 7396), so `application/merge-patch+json` is read too."""
    media: str = "application/json"
    """The media type of the answer."""
    example: Any = None
    """An example of the body."""
    sorts: tuple[str, ...] = ()
    """What a list may be sorted by (`-x` begins with the last); the first is how it is sorted by itself."""
    sorts_max: int = 1
    """By how many of them at once."""
    also: tuple[tuple[int, str], ...] = ()
    """Other statuses of success, with when they are answered."""
    item: type[msgspec.Struct] | None = None
    """What a list lists, or what is read: whose fields `fields` may choose. Set by habits/shaping.py."""
    internal: bool = False
    """Pages and their files: nothing that a caller would ask, so no page lists it."""
    is_list: bool = False
    """It answers pages of `item`. Set by habits/shaping.py."""
    per_key: Callable[[Parts, Key, dict[str, str]], Operation] | None = None
    """A template: from the caller and the path's names it returns the operation that is run instead.

    Raises NotFound, or Forbidden. It needs a key; that operation decides which.
    """
    known: dict[str, Parameter] = field(init=False, repr=False, compare=False)
    """Its query parameters by name."""

    def __post_init__(self) -> None:
        known = {parameter.name: parameter for parameter in self.parameters if parameter.where == "query"}
        object.__setattr__(self, "known", known)
