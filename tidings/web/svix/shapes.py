"""Bodies as Svix's API writes them. Members that are not here are refused (`unknown.py`)."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

NAME_PATTERN = r"^[a-zA-Z0-9\-_.]+$"
UID_CHARS_MAX = 256
CHANNELS_OF_ENDPOINT_MAX, CHANNELS_OF_MESSAGE_MAX = 10, 5
GRACE_SECONDS_MAX = 7 * 86_400
RATE_MAX = 65_535

Uid = Annotated[str, Meta(min_length=1, max_length=UID_CHARS_MAX, pattern=NAME_PATTERN)]
TypeName = Annotated[str, Meta(max_length=256, pattern=NAME_PATTERN)]
Channel = Annotated[str, Meta(max_length=128, pattern=NAME_PATTERN)]
EndpointChannels = Annotated[list[Channel], Meta(min_length=1, max_length=CHANNELS_OF_ENDPOINT_MAX)]
MessageChannels = Annotated[list[Channel], Meta(min_length=1, max_length=CHANNELS_OF_MESSAGE_MAX)]
EventTypes = Annotated[list[TypeName], Meta(min_length=1)]
Rate = Annotated[int, Meta(ge=1, le=RATE_MAX)]
Metadata = dict[str, str]
FormerId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=UID_CHARS_MAX,
        pattern=NAME_PATTERN,
        description="Not in Svix's API: the id that this resource had at Svix. The resource can also be found by "
        "that id.",
    ),
]

T = TypeVar("T")


class Shape(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=False):
    """A body that is sent or received."""


# --- applications -----------------------------------------------------------------------------------------------------


class ApplicationIn(Shape, kw_only=True):
    """An application to create, or to replace."""

    name: Annotated[str, Meta(min_length=1)]
    uid: Uid | None = None
    metadata: Metadata | None = None
    throttle_rate: Rate | None = None
    rate_limit: Rate | None = None


class ApplicationPatch(Shape, kw_only=True):
    """The members of an application to change."""

    name: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    uid: Uid | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET
    former_id: FormerId | UnsetType = UNSET
    throttle_rate: int | UnsetType | None = UNSET
    rate_limit: int | UnsetType | None = UNSET


class ApplicationOut(Shape, kw_only=True):
    """An application: one of our tenants."""

    id: str
    name: str
    uid: str | UnsetType = UNSET
    metadata: Metadata
    created_at: str
    updated_at: str


# --- endpoints --------------------------------------------------------------------------------------------------------


class EndpointUpdate(Shape, kw_only=True):
    """An endpoint to create or to replace."""

    url: str
    description: str | None = None
    channels: EndpointChannels | None = None
    filter_types: EventTypes | None = None
    event_types: EventTypes | None = None
    """The name of `filterTypes` in newer versions."""
    disabled: bool | None = None
    metadata: Metadata | None = None
    rate_limit: Rate | None = None
    throttle_rate: Rate | None = None
    """The name of `rateLimit` in newer versions."""
    uid: Uid | None = None


class EndpointIn(EndpointUpdate, kw_only=True):
    """An endpoint to create."""

    secret: str | None = None
    headers: dict[str, str] | None = None
    version: Literal[1] | None = None
    """Sent by older versions of the SDKs; every endpoint begins with 1."""
    former_id: FormerId | UnsetType = UNSET


class EndpointPatch(Shape, kw_only=True):
    """The members of an endpoint to change; an empty list or null selects everything."""

    url: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    channels: Annotated[list[Channel], Meta(max_length=CHANNELS_OF_ENDPOINT_MAX)] | UnsetType | None = UNSET
    filter_types: list[TypeName] | UnsetType | None = UNSET
    event_types: list[TypeName] | UnsetType | None = UNSET
    disabled: bool | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    rate_limit: Rate | UnsetType | None = UNSET
    throttle_rate: Rate | UnsetType | None = UNSET
    uid: Uid | UnsetType | None = UNSET
    former_id: FormerId | UnsetType = UNSET
    secret: str | UnsetType | None = UNSET
    """In earlier versions, this replaces the signing secret."""


class _EndpointFields(Shape, kw_only=True):
    id: str
    uid: str | UnsetType = UNSET
    url: str
    description: str
    channels: list[str] | UnsetType = UNSET
    filter_types: list[str] | UnsetType = UNSET
    event_types: list[str] | UnsetType = UNSET
    disabled: bool
    rate_limit: int | UnsetType = UNSET
    throttle_rate: int | UnsetType = UNSET
    version: int
    created_at: str
    updated_at: str


class EndpointOut(_EndpointFields, kw_only=True):
    """An endpoint."""

    metadata: Metadata


class EndpointHeadersIn(Shape, kw_only=True):
    """All headers of an endpoint."""

    headers: dict[str, str]


class EndpointHeadersPatchIn(Shape, kw_only=True):
    """Some headers of an endpoint; null removes one, and so does its name in `deleteHeaders`."""

    headers: dict[str, str | None]
    delete_headers: list[str] | None = None


class EndpointHeadersOut(Shape, kw_only=True):
    """The names of an endpoint's headers. Every value is sensitive here: none is shown."""

    headers: dict[str, str]
    sensitive: list[str]


class EndpointSecretOut(Shape, kw_only=True):
    """The signing secret."""

    key: str


class EndpointSecretRotateIn(Shape, kw_only=True):
    """A new signing secret, and for how long the old one still signs."""

    key: str | None = None
    grace_period_seconds: Annotated[int, Meta(ge=0, le=GRACE_SECONDS_MAX)] | None = None


class EndpointStats(Shape, kw_only=True):
    """How many messages an endpoint got, by state."""

    success: int
    pending: int
    sending: int
    fail: int
    canceled: int


class RecoverIn(Shape, kw_only=True):
    """Which failed messages to send again."""

    since: str
    until: str | None = None


class RecoverOut(Shape, kw_only=True):
    """The job that sends them."""

    id: str
    status: str
    task: str
    updated_at: str


class EventExampleIn(Shape, kw_only=True):
    """The event type whose example to send."""

    event_type: TypeName


# --- event types ------------------------------------------------------------------------------------------------------


class EventTypeUpdate(Shape, kw_only=True):
    """An event type to create or to replace. `schemas`: JSON Schemas by version; messages are not checked against
    them.
    """

    description: str
    archived: bool | None = None
    deprecated: bool | None = None
    feature_flag: str | None = None
    feature_flags: list[str] | None = None
    group_name: str | None = None
    schemas: dict[str, dict[str, Any]] | None = None


class EventTypeIn(EventTypeUpdate, kw_only=True):
    """An event type to create."""

    name: TypeName


class EventTypePatch(Shape, kw_only=True):
    """The members of an event type to change."""

    description: str | UnsetType = UNSET
    archived: bool | UnsetType = UNSET
    deprecated: bool | UnsetType = UNSET
    feature_flag: str | UnsetType | None = UNSET
    feature_flags: list[str] | UnsetType | None = UNSET
    group_name: str | UnsetType | None = UNSET
    schemas: dict[str, dict[str, Any]] | UnsetType | None = UNSET


class EventTypeOut(Shape, kw_only=True):
    """An event type."""

    name: str
    description: str
    archived: bool
    deprecated: bool
    feature_flag: str | UnsetType = UNSET
    feature_flags: list[str] | UnsetType = UNSET
    group_name: str | UnsetType = UNSET
    schemas: dict[str, Any] | UnsetType | None = UNSET
    created_at: str
    updated_at: str


# --- messages ---------------------------------------------------------------------------------------------------------


class MessageIn(Shape, kw_only=True):
    """A message to send. `payload` is the whole body of the webhooks."""

    event_type: TypeName
    payload: msgspec.Raw
    event_id: Uid | None = None
    channels: MessageChannels | None = None
    application: ApplicationIn | None = None
    payload_retention_period: int | None = None
    deliver_at: str | None = None
    transformations_params: dict[str, Any] | None = None


class _MessageFields(Shape, kw_only=True):
    id: str
    event_id: str | UnsetType = UNSET
    event_type: str
    payload: msgspec.Raw
    channels: list[str] | UnsetType = UNSET
    timestamp: str


class MessageOut(_MessageFields, kw_only=True):
    """A message: one of our events."""


Status = Literal[0, 1, 2, 3]
"""Success, pending, fail, sending."""
StatusText = Literal["success", "pending", "fail", "sending"]


class EndpointMessageOut(_MessageFields, kw_only=True):
    """A message, and the state of its delivery to an endpoint."""

    status: Status
    status_text: StatusText
    next_attempt: str | UnsetType = UNSET


class MessageEndpointOut(_EndpointFields, kw_only=True):
    """An endpoint, and the state of the delivery of a message to it."""

    status: Status
    status_text: StatusText
    next_attempt: str | UnsetType = UNSET


class MessageAttemptOut(Shape, kw_only=True):
    """One attempt."""

    id: str
    url: str
    msg_id: str
    endpoint_id: str
    response: str
    response_status_code: int
    response_duration_ms: int
    status: Status
    status_text: StatusText
    trigger_type: int
    timestamp: str


class EmptyResponse(Shape, kw_only=True):
    """An empty response."""


# --- the portal -------------------------------------------------------------------------------------------------------


class AppPortalAccessIn(Shape, kw_only=True):
    """Who may look after the application's endpoints, and for how long."""

    application: ApplicationIn | None = None
    expiry: int | None = None
    read_only: bool | None = None
    capabilities: list[str] | None = None
    feature_flags: list[str] | None = None


class ApplicationTokenExpireIn(Shape, kw_only=True):
    """Which tokens to end: all of them, now."""

    expiry: int | None = None
    session_ids: list[str] | None = None


class AppPortalAccessOut(Shape, kw_only=True):
    """The portal's URL, and a token for calls to this API."""

    url: str
    token: str


class ListResponse(Shape, Generic[T], kw_only=True):
    """A page of a list. `iterator` continues after it, `prevIterator` before it."""

    data: list[T]
    iterator: str | None
    prev_iterator: str | None
    done: bool
