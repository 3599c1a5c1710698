"""What declarations of collections are checked for, as JSON Schema (see bounds.py)."""

from __future__ import annotations

from typing import Any

from tidings.control.endpoints.edit import REASON_CHARS_MAX
from tidings.model.access import VERBS
from tidings.model.calls.trial import RECORDS_SHOWN
from tidings.model.ids import ALPHABET, ID_CHARS
from tidings.model.link import EDIT_WORDS, IN_DOUBTS
from tidings.model.link import VERBS as CALL_VERBS
from tidings.rules import splitting, template
from tidings.rules.calls import keeping, signing
from tidings.rules.calls.mail import RECIPIENTS_MAX
from tidings.rules.declare import connections, declaration, declared_field, links, pacing
from tidings.rules.deliver import judgement, retry
from tidings.rules.event_types import PATTERNS_MAX, TYPE_CHARS_MAX
from tidings.rules.items.field import FORMATS, TYPES
from tidings.rules.mirror import declared as emit
from tidings.rules.reading import decimals
from tidings.rules.reading.jsontext import NO_NUL
from tidings.rules.timers import declared as timers
from tidings.rules.timers.cron import CRON_CHARS_MAX
from tidings.web.openapi.connection_bounds import NAME as CONNECTION
from tidings.web.openapi.connection_bounds import RATE, STATUS
from tidings.web.openapi.schemas import NULL

Schema = dict[str, Any]
DESCRIPTION_CHARS_MAX = 2_000
_CHARS = declaration.DECLARATION_BYTES_MAX
"""The limit for every text of a declaration is that of the whole declaration."""


def _named(count_max: int, component: str, *, null: bool = False) -> Schema:
    """A map from names to values that a component describes. `null`: a value may be null, to remove the name."""
    named = {"$ref": f"#/components/schemas/{component}"}
    inner = {"anyOf": [named, NULL]} if null else named
    names = {"pattern": _WORD}
    return {"type": "object", "maxProperties": count_max, "propertyNames": names, "additionalProperties": inner}


def _object(*needed: str, **properties: Schema) -> Schema:
    return {"type": "object", "required": [*needed], "additionalProperties": False, "properties": properties}


def _word(pattern: str, chars_max: int, help: str) -> Schema:
    return {"type": "string", "pattern": pattern, "minLength": 1, "maxLength": chars_max, "description": help}


_WORD = f"^[A-Za-z](_?[A-Za-z0-9]){{0,{declaration.NAME_CHARS_MAX - 1}}}$"
_LOWER = f"^(?!({'|'.join(declaration.NO_COLLECTIONS)})$)[a-z](_?[a-z0-9]){{0,{declaration.NAME_CHARS_MAX - 1}}}$"
_FIELD_NAME: Schema = {"pattern": _WORD, "maxLength": declaration.NAME_CHARS_MAX}
NAME: Schema = {"pattern": _LOWER, "maxLength": declaration.NAME_CHARS_MAX}
"""The name of a collection."""
_WHEN: Schema = {"type": "string", "pattern": NO_NUL, "maxLength": _CHARS}
_TEXT: Schema = {"type": ["string", "null"], "pattern": NO_NUL, "maxLength": DESCRIPTION_CHARS_MAX}
_FLAG: Schema = {"type": ["boolean", "null"]}


def _digits(least: int, help: str) -> Schema:
    most = decimals.DIGITS_MAX
    return {"type": ["integer", "null"], "format": "int32", "minimum": least, "maximum": most, "description": help}


_BOUND: Schema = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": NO_NUL, "maxLength": 40}, NULL]}
_VALUES: Schema = {
    "type": ["array", "null"],
    "items": {"type": "string", "pattern": NO_NUL, "minLength": 1, "maxLength": declared_field.VALUE_CHARS_MAX},
    "minItems": 1,
    "maxItems": declared_field.VALUES_MAX,
    "uniqueItems": True,
    "description": "The values of an enum. Required for an enum; not allowed for other types.",
}
_TO: Schema = {
    "type": ["string", "null"],
    **NAME,
    "description": "The collection that a reference refers to. Required for a reference; not allowed for other types.",
}
_PARAMETERS: Schema = {
    "type": "array",
    "items": {"type": "string", "pattern": NO_NUL, "maxLength": declaration.NAME_CHARS_MAX + 16},
    "minItems": 1,
    "maxItems": declaration.PARAMETERS_MAX,
    "uniqueItems": True,
}
_ATTRIBUTES: dict[str, Schema] = {
    "description": _TEXT,
    "required": _FLAG,
    "default": {"description": "The default for items that are created without a value for this field."},
    "unique": _FLAG,
    "min": {"description": "The minimum: a value, a number of characters or elements, or a time.", **_BOUND},
    "max": {"description": "The maximum: a value, a number of characters or elements, or a time.", **_BOUND},
    "pattern": {
        "type": ["string", "null"],
        "pattern": NO_NUL,
        "maxLength": declared_field.PATTERN_CHARS_MAX,
        "description": "A regular expression without look-around.",
    },
    "format": {"enum": [*FORMATS, None]},
    "max_digits": _digits(1, "For a decimal: the maximum number of digits."),
    "scale": _digits(0, "For a decimal: the maximum number of digits after the decimal point."),
    "values": _VALUES,
    "to": _TO,
    "schema": {
        "type": ["object", "null"],
        "description": "The JSON Schema of an object, or of each element of an array.",
    },
    "filterable": _FLAG,
    "sortable": _FLAG,
    "searchable": _FLAG,
    "example": {},
    "was": {
        "type": ["string", "null"],
        **_FIELD_NAME,
        "description": "The previous name of the field, to rename it and keep its values.",
    },
}
COMPONENTS: dict[str, Schema] = {
    "FieldDeclaration": {
        **_object("type", type={"enum": list(TYPES)}, **_ATTRIBUTES),
        "description": f"A field. The type alone is also accepted, as in `done: boolean`. Types: {', '.join(TYPES)}.",
    },
    "FieldPatch": _object(type={"enum": [*TYPES, None]}, **_ATTRIBUTES),
    "EventDeclaration": {
        **_object(when={**_WHEN, "type": ["string", "null"]}, filter={"type": ["object", "null"]}, description=_TEXT),
        "description": (
            "When an event is emitted: a sentence in `when`, or a pattern in `filter`. The sentence alone is also "
            "accepted, as in `completed: when done becomes true`."
        ),
    },
    "QuestionDeclaration": {
        **_object("parameters", parameters=_PARAMETERS, description=_TEXT),
        "description": "The parameters that must be given together. The list alone is also accepted.",
    },
    "QuestionPatch": _object(parameters=_PARAMETERS, description=_TEXT),
}
"""The values in the maps of a declaration, by the names that they have in generated clients.

The schemas leave out short forms, because few generators can tell a text or a list from an object.
"""

_FIELDS = _named(declaration.FIELDS_MAX, "FieldDeclaration")
_EVENTS = _named(declaration.EVENTS_MAX, "EventDeclaration")
_QUESTIONS = _named(declaration.QUESTIONS_MAX, "QuestionDeclaration")
_COLLECTION: dict[str, Schema] = {
    "was": NAME,
    "description": {"pattern": NO_NUL, "maxLength": DESCRIPTION_CHARS_MAX},
    "fields": _FIELDS,
    "events": _EVENTS,
    "questions": _QUESTIONS,
}


def _or_null(schema: Schema) -> Schema:
    """The schema, or null, because a part of a declaration file may be empty."""
    return {**schema, "type": ["object", "null"]}


_COLLECTIONS: Schema = {
    "maxProperties": declaration.COLLECTIONS_MAX,
    "propertyNames": {"pattern": _LOWER},
    "additionalProperties": {"$ref": "#/components/schemas/Declaration"},
}
COMPONENTS["Declaration"] = {
    **_object(
        was={"type": ["string", "null"], **NAME},
        description=_TEXT,
        fields=_or_null(_FIELDS),
        events=_or_null(_EVENTS),
        questions=_or_null(_QUESTIONS),
    ),
    "description": "One collection in a declaration file.",
}

_PLAN: Schema = {"pattern": "^plan_[0-9a-f]{24}$", "maxLength": 29}
_FIELD_NAMES: Schema = {
    "items": {"type": "string", **_FIELD_NAME},
    "maxItems": declaration.FIELDS_MAX,
    "uniqueItems": True,
}

_LONG: Schema = {"pattern": NO_NUL, "maxLength": 2**31 - 1}
LINK: Schema = {"pattern": links.NAME_PATTERN, "maxLength": 64}
_PATTERN: Schema = {"pattern": r"^(\*|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(\.\*)?)$", "maxLength": TYPE_CHARS_MAX + 2}
_DELAY: Schema = {"type": "number", "minimum": 0, "maximum": retry.DELAY_SECONDS_MAX}
_LINK_ID: Schema = {"pattern": rf"^lnk_[0-7][{ALPHABET}]{{{ID_CHARS - 1}}}$", "maxLength": 4 + ID_CHARS}
_TEMPLATE: Schema = {"type": "string", "minLength": 1, "maxLength": template.SOURCE_CHARS_MAX, "pattern": NO_NUL}
_CONNECTIONS: Schema = {
    "maxProperties": connections.CONNECTIONS_MAX,
    "propertyNames": {"pattern": connections.NAME_PATTERN},
    "additionalProperties": {"$ref": "#/components/schemas/ConnectionBody"},
}
_NAMES_OF_FIELDS: Schema = {
    "type": "array",
    "minItems": 1,
    "maxItems": emit.FIELDS_MAX,
    "items": {"type": "string", **_LONG},
}
_LINK: dict[str, Schema] = {
    "description": {"pattern": NO_NUL, "maxLength": links.DESCRIPTION_CHARS_MAX},
    "tenant": {"pattern": r"^(\*|[A-Za-z0-9_-]{1,64})$", "maxLength": 64},
    "when": {
        **_object(
            event={
                "type": "array",
                "minItems": 1,
                "maxItems": PATTERNS_MAX,
                "items": {"type": "string", **_PATTERN},
                "description": "The event types or patterns to act on; a single one can be given as a string.",
            },
            every=_word(r"^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$", 40, "A duration, such as `15m` or `1h30m`."),
            at={
                "type": "array",
                "minItems": 1,
                "maxItems": timers.TIMES_MAX,
                "items": {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$", "maxLength": 5},
                "description": "Times of day; a single one can be given as a string.",
            },
            days=_word(r"^[A-Za-z, -]+$", 100, "The days of the week for `at`, such as `mon-fri` or `mon,thu`."),
            cron=_word(r"^[0-9A-Za-z*/, -]+$", CRON_CHARS_MAX, "Five cron fields, such as `30 9 * * mon-fri`."),
            tz=_word(r"^[A-Za-z0-9_+/-]+$", timers.ZONE_CHARS_MAX, "The time zone of `at` or `cron`: UTC by default."),
            missed={"type": "string", "enum": ["once", "skip"], "description": "What to do about missed times."},
        ),
        "description": "When the link acts: exactly one of `event`, `every`, `at` and `cron`.",
    },
    "item": {
        **_object(
            "collection",
            collection={"type": "string", **NAME},
            create={"description": "A template for the new item's id, or `true` for a generated id."},
            **{word: _TEMPLATE | {"description": f"The id of the item to {word}."} for word in EDIT_WORDS[1:]},
            data={"description": "The item's fields, by name, or one template that yields all of them."},
        ),
        "description": "The edit and the item's id: exactly one of `create`, `put`, `patch` and `delete`.",
    },
    "call": {
        **_object(
            via={"type": "string", **CONNECTION, "description": "The connection that the call goes through."},
            **{
                word: _TEMPLATE | {"description": f"The path or URL of a {word.upper()} request."}
                for word in CALL_VERBS
            },
            query={"type": "object", "description": "The query parameters of the URL, by name."},
            headers={"type": "object", "additionalProperties": _TEMPLATE},
            json={"description": "The body as JSON, in which strings can be templates."},
            form={"type": "object", "description": "The body as a form."},
            xml=_TEMPLATE | {"description": "The body as XML."},
            text=_TEMPLATE | {"description": "The body as text."},
            ok=_TEMPLATE
            | {"description": "An expression over `status`, `headers` and `body` that is true if the call succeeded."},
            in_doubt={"type": "string", "enum": list(IN_DOUBTS)},
            sign={"description": "The name of the signature scheme, or an object with `scheme` and `secret`."},
            give_up_on={
                "type": "array",
                "maxItems": judgement.GIVE_UP_MAX,
                "items": STATUS,
            },
            timeout_seconds={"type": "number", "minimum": 0.1, "maximum": 120},
            pages={
                "type": "object",
                "description": "Further pages: `next` (a URL template), or the parts of the request that change.",
            },
            empty={"type": "array", "maxItems": 10, "items": {"type": "integer", "minimum": 200, "maximum": 499}},
            gone={"type": "array", "maxItems": 10, "items": {"type": "integer", "minimum": 400, "maximum": 499}},
        ),
        "description": "The link's request: exactly one of `get`, `post`, `put`, `patch`, `delete` and `head`.",
    },
    "mail": {
        **_object(
            *("via", "to", "subject"),
            via={"type": "string", **CONNECTION, "description": "The connection to the mail server."},
            to={"description": "One address, or a list of them."},
            subject=_TEMPLATE,
            text=_TEMPLATE | {"description": "The email as plain text."},
            html=_TEMPLATE | {"description": "The email as HTML, in which values are escaped."},
            in_doubt={"type": "string", "enum": list(IN_DOUBTS)},
        ),
        "description": "The email that the link sends.",
    },
    "if": _TEMPLATE,
    "once": _TEMPLATE,
    "split": _TEMPLATE
    | {"description": "A template that yields a list; the link acts on each element (`item` in templates) separately."},
    "emit": {
        **_object(
            "type",
            "key",
            type=_word(
                r"^[A-Za-z0-9_.-]+$",
                emit.TYPE_CHARS_MAX,
                "The type of the events, to which `.created`, `.updated` or `.deleted` is added.",
            ),
            each=_TEMPLATE
            | {"description": "The path of the records in the response. The default is the response itself."},
            key=_TEMPLATE | {"description": "The path of a record's key, or a template for it."},
            data={"description": "A template for the part of a record to keep. The default is the whole record."},
            mode={"type": "string", "enum": list(emit.MODES)},
            only=_NAMES_OF_FIELDS | {"description": "The only fields whose changes count."},
            ignore=_NAMES_OF_FIELDS | {"description": "Fields whose changes do not count."},
            deleted=_TEMPLATE | {"description": "A template that is true for deleted records."},
            cursor={"type": "object", "description": "How the link keeps track of how far it has read."},
            sweep={"description": "How often all records are read; records missing from such a read count as deleted."},
        ),
        "description": "Which events are published from the responses to a call.",
    },
    "keep": {"minProperties": 1, "maxProperties": keeping.NAMES_MAX}
    | {"description": "The values that the link keeps from responses for the event's subject: templates, by name."},
    "order": _TEMPLATE,
    "order_max_age_seconds": {"minimum": 1, "maximum": pacing.ORDER_AGE_SECONDS_MAX},
    "rate": RATE,
    "max_in_flight": {"minimum": 1, "maximum": pacing.IN_FLIGHT_MAX},
    "retry_delays_seconds": {"minItems": 1, "maxItems": retry.DELAYS_MAX, "items": _DELAY},
}
_LINKS: Schema = {
    "maxProperties": links.LINKS_MAX,
    "propertyNames": {"pattern": links.NAME_PATTERN},
    "additionalProperties": {"$ref": "#/components/schemas/LinkBody"},
}

BOUNDS: dict[str, dict[str, Schema]] = {
    "NewCollection": {**_COLLECTION, "name": NAME},
    "CollectionBody": _COLLECTION,
    "PlanBody": {"collections": _COLLECTIONS, "links": _LINKS, "connections": _CONNECTIONS},
    "ApplyBody": {
        "collections": _COLLECTIONS,
        "links": _LINKS,
        "connections": _CONNECTIONS,
        "plan": _PLAN,
        "links_plan": _PLAN,
    },
    "CollectionPatch": {
        "was": NAME,
        "fields": _named(declaration.FIELDS_MAX, "FieldPatch", null=True),
        "events": _named(declaration.EVENTS_MAX, "EventDeclaration", null=True),
        "questions": _named(declaration.QUESTIONS_MAX, "QuestionPatch", null=True),
        "description": {"pattern": NO_NUL, "maxLength": DESCRIPTION_CHARS_MAX},
    },
    "CollectionView": {
        "name": NAME,
        "description": {"pattern": NO_NUL, "maxLength": DESCRIPTION_CHARS_MAX},
        "indexes": {"enum": ["ready", "building"]},
    },
    "Permit": {
        "collection": NAME,
        **dict.fromkeys(("read", "write", "filter", "sort", "questions"), _FIELD_NAMES),
        "verbs": {"maxItems": len(VERBS), "uniqueItems": True},
    },
    "Shown": {
        "plan": _PLAN,
        "loses": {"maxLength": 1_000_000},
        "steps": {"maxItems": 1_000_000},
        "refusals": {"maxItems": 1_000_000},
        "stays": {"items": {"type": "string", **NAME}, "maxItems": declaration.COLLECTIONS_MAX},
    },
    "LinkBody": {**_LINK, "was": LINK},
    "CallView": {
        "method": {"enum": [word.upper() for word in CALL_VERBS]},
        "url": _LONG,
        "headers": {"values": _LONG},
        "body": _LONG,
    },
    "MailView": {
        "to": {"maxItems": RECIPIENTS_MAX, "items": {"type": "string", **_LONG}},
        "subject": _LONG,
        "text": _LONG,
        "html": _LONG,
    },
    "LinkView": {
        **_LINK,
        "id": _LINK_ID,
        "name": LINK,
        "state": {"enum": ["enabled", "paused"]},
        "last_run": {"pattern": "^[A-Za-z0-9_.:-]{1,64}$", "maxLength": 64},
    },
    "LinkPause": {"reason": {"pattern": NO_NUL, "maxLength": REASON_CHARS_MAX}},
    "LinkTestView": {"link": LINK, "says": _LONG, "elements": {"maxItems": splitting.ELEMENTS_MAX}},
    "ObservedView": {"first": {"maxItems": RECORDS_SHOWN}, "changes": {"maxItems": RECORDS_SHOWN}},
    "ChangeOfRecord": {"change": {"enum": ["created", "updated", "deleted"]}, "key": {"maxLength": 256}},
    "LinkSecretView": {"link": LINK, "secret": {"maxLength": signing.SECRET_CHARS_MAX}},
    "KeptView": {"link": LINK, "values": {"type": "object"}},
    "EditView": {"edit": {"enum": list(EDIT_WORDS)}, "id": _LONG, "data": {"type": "object"}},
    "ChangeShown": {"data": {"type": "object"}},
    "GivenEvent": {"data": {"type": "object"}},
    "LinkTest": {"event_id": {"pattern": "^[A-Za-z0-9_.:-]{1,64}$", "maxLength": 64}},
    "LinksBody": {"links": _LINKS, "connections": _CONNECTIONS},
    "LinksApply": {"links": _LINKS, "connections": _CONNECTIONS, "plan": _PLAN},
    "LinkPlan": {
        "plan": _PLAN,
        "loses": {"maxLength": 1_000_000},
        "steps": {"maxItems": 1_000_000},
        "refusals": {"maxItems": 1_000_000},
        "stays": {"items": {"type": "string", **LINK}, "maxItems": links.LINKS_MAX},
        "connections_stay": {"items": {"type": "string", **CONNECTION}, "maxItems": connections.CONNECTIONS_MAX},
        "warnings": {"maxItems": 1_000_000},
    },
    "LinkStep": {"do": {"maxLength": 40}, "link": LINK, "connection": CONNECTION, "says": {"maxLength": 10_000}},
    "StepShown": {"do": {"maxLength": 40}, "collection": NAME, "says": {"maxLength": 10_000}},
}
"""The bounds of each field, by the names of its struct and of the field."""
