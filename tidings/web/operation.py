"""The menu: what an operation is. Routing, permissions, OpenAPI and the docs are made from one table of operations."""

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
    """The JSON Schema. It can refer to other components, as in `#/components/schemas/Place`."""
    example: Any = None
    places: Callable[[Any, frozenset[str]], list[Place]] | None = None
    """Finds all other errors in plain values in which the named members have numbers that cannot be read exactly."""


class Slice(NamedTuple):
    """Some elements of a body's list, as a separate body; `start` is the index of the first in the whole list."""

    start: int
    raw: bytes
    elements: int = 0
    """The number of elements; 0 if there are too few to count."""


class Listing(msgspec.Struct, frozen=True):
    """The one member of a body, a list that is read slice by slice (web/wire/bodies/slices.py)."""

    member: str
    most: int
    """The maximum number of elements."""
    weight: int
    """The number of bytes of text that cost as much as storing one element."""
    too_many: str = "wrong_value"
    """The code of the refusal if there are more elements than `most`."""


class NextOperation(msgspec.Struct, frozen=True):
    """An operation that can be called next with values from a response (OpenAPI links)."""

    name: str
    operation: str
    """The operationId of the operation to call."""
    parameters: dict[str, str]
    """Runtime expressions, such as `$response.body#/id`, by the name of the parameter."""
    help: str


class Request(msgspec.Struct):
    """One request that has been read, from an identified caller who may make it."""

    operation: Operation
    key: Key
    request_id: str
    path: dict[str, str]
    """The values of the `{names}` in the path."""
    query: dict[str, Any]
    """The parameters that were sent, converted by their schemas."""
    headers: dict[str, str]
    """All headers; their names are lowercase."""
    raw: bytes
    """The body as received."""
    body: Any
    """The body as the operation's `request` struct; None if the operation takes no body, or a BodySchema."""
    cursors: Cursors
    value: Any = None
    """The body as plain JSON values."""
    pieces: AsyncIterator[bytes] | None = None
    """The body in chunks, if the operation is `incoming`."""
    slices: Sequence[Slice] = ()
    """The body, if the operation has a `listing`; the handler reads it."""
    chosen: Chosen | None = None
    """The fields that the parameter `fields` lists, as a tree; None for all."""
    given: dict[str, Any] = {}
    """The read-only members that the body has; `given.agree` checks them."""
    client: str = ""
    """The caller's `address:port`, if the operation is `addressed`."""
    connected_from: str = ""
    """The address of the connection: a proxy's, if there is one in front of the server."""
    act: Any = None
    """The record of what this request does (habits/acts.py); None if it changes nothing."""

    @property
    def caller(self) -> Caller:
        """The caller, for functions that decide."""
        return Caller(self.key, self.request_id)


class Answer(msgspec.Struct):
    """A whole response.

    `body` is bytes to send unchanged, anything that msgspec can write as JSON, or None for no body.
    """

    status: int = 200
    body: Any = None
    headers: list[tuple[str, str]] = []
    media: str = "application/json"
    cache: str | None = None
    """`Cache-Control`, for files that are the same for everybody; None if nobody may cache the response."""


@dataclass(slots=True)
class Stream:
    """A response piece by piece. Each piece is written once the previous one has left the process."""

    pieces: AsyncIterator[bytes]
    headers: list[tuple[str, str]] = field(default_factory=list)
    media: str = "text/event-stream"
    whole: bool = False
    """Whether the stream has an end. If it fails before its end, the connection is broken, so that the caller
    notices."""


Handler = Callable[[Parts, Request], Awaitable[Answer | Stream]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One row of the menu."""

    name: str
    """The operationId, such as `publish_event`."""
    method: str
    path: str
    """The path, such as `/v1/deliveries/{id}:retry`."""
    scope: str | None
    """The scope that the key must have; None if no key is needed."""
    summary: str
    handler: Handler
    tag: str
    """The group of the operation: operations with the same tag are listed together."""
    whole: bool = False
    """Whether the operation concerns the whole server, so that a tenant's key may not use it."""
    tag_help: str = ""
    """The description of the tag, if its operations are made at run time."""
    help: str = ""
    request: type[msgspec.Struct] | BodySchema | None = None
    """The struct of the body, which forbids unknown fields.

    With a BodySchema, the handler checks `Request.value` itself.
    """
    request_optional: bool = False
    """Whether the body may be omitted; `Request.body` is then None."""
    response: Any = None
    """The type of the response's body, or a BodySchema, for the documentation."""
    components: tuple[BodySchema, ...] = ()
    """Further components that the document must contain, because this operation's BodySchemas refer to them."""
    links: tuple[NextOperation, ...] = ()
    """The operations that can be called after this one has succeeded."""
    status: int = 200
    parameters: tuple[Parameter, ...] = ()
    path_parameters: tuple[Parameter, ...] = ()
    """The schemas of the `{names}` in the path; a name without a schema may be any text."""
    stream: bool = False
    """Whether the handler returns a Stream (SSE) rather than an Answer."""
    ticketed: bool = False
    """Whether a ticket in the URL can replace the key (callers/tickets.py)."""
    incoming: Mapping[str, str] = field(default_factory=dict)
    """Examples of the body, by media type, if the body is a file of any size (`max_import_bytes`), which the handler
    reads as `Request.pieces`."""
    outgoing: Mapping[str, str] = field(default_factory=dict)
    """Examples of the response, by media type, if the handler returns a file (a Stream that has an end)."""
    at_sender: bool = False
    """Whether only the node that sends can carry out the operation, for example because it concerns lanes, timers,
    replays or declarations. A node that takes in passes the request on (wire/forwarding.py). All other operations are
    carried out wherever they arrive."""
    addressed: bool = False
    """Whether the request has the addresses of the caller and of the connection."""
    idempotent_key: bool = False
    """Whether the operation supports Idempotency-Key."""
    refuses: tuple[type[TidingsError], ...] = ()
    """The refusals that are possible in addition to those that follow from the method, path, parameters and body."""
    listing: Listing | None = None
    """Set if the body is a list that the handler reads in slices; `Request.body` and `Request.value` are then None."""
    large: bool = False
    """Whether the limit for the body is `max_batch_bytes` rather than `max_body_bytes`."""
    secret: bool = False
    """Whether the response contains a secret, so that the copy kept for an Idempotency-Key is encrypted with the
    caller's key."""
    masked: tuple[str, ...] = ()
    """Members that have another form in the response than in the body."""
    merge_patch: bool = False
    """Whether the body is a merge patch (RFC 7396), so that `application/merge-patch+json` is accepted too."""
    media: str = "application/json"
    """The media type of the response."""
    example: Any = None
    """An example of the body."""
    sorts: tuple[str, ...] = ()
    """What a list can be sorted by (`-x` reverses the order); the first is the default."""
    sorts_max: int = 1
    """How many of these names can be combined."""
    also: tuple[tuple[int, str], ...] = ()
    """Further success statuses, and when they are returned."""
    item: type[msgspec.Struct] | None = None
    """The kind of thing that is listed or read; `fields` chooses among its fields. Set by habits/shaping.py."""
    internal: bool = False
    """Whether the operation serves pages or their files: API callers do not need it, so no page lists it."""
    refusal: Callable[[TidingsError, str], Any] | None = None
    """Makes the body of a refusal from the error and the request's id, unless the body is a problem (RFC 9457)."""
    is_list: bool = False
    """Whether the operation returns pages of `item`. Set by habits/shaping.py."""
    per_key: Callable[[Parts, Key, dict[str, str]], Operation] | None = None
    """Set for a template: returns the operation to run instead, for this caller and these names in the path.

    Raises NotFound, or Forbidden. A template needs a key; the returned operation decides what the key must permit.
    """
    known: dict[str, Parameter] = field(init=False, repr=False, compare=False)
    """The query parameters, by name."""

    def __post_init__(self) -> None:
        known = {parameter.name: parameter for parameter in self.parameters if parameter.where == "query"}
        object.__setattr__(self, "known", known)
