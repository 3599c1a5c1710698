"""What Schemathesis is told about this API: which refusals of a request that fits the document are right, and why."""

from __future__ import annotations

import gc
import json
import os
import re
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.core.jsonschema.patterns import update_quantifier
from schemathesis.openapi.checks import AllowHeaderMismatch, RejectedPositiveData, UseAfterFree
from schemathesis.specs.openapi import converter
from schemathesis.specs.openapi.coverage import _operation as operation
from schemathesis.specs.openapi.coverage import _schema as coverage
from schemathesis.transport import requests as transport

from tests.openapi import wire

CANNOT_BE_TOLD = {
    "bound": "a `min` or `max` that the field's type cannot have",
    "certificate": "a text that is no certificate in PEM form, or a key of another one",
    "contradiction": "attributes of a field that exclude one another, such as a `min` over the `max`",
    "default": "a default that its own field cannot have",
    "duplicate_key": "a header that is named twice, in capitals and in small letters",
    "empty_range": "a range that ends before it begins",
    "example": "an example that its own field cannot have",
    "filter": "a filter has a language of its own",
    "incomplete": "what leaves a field, an event, a question, a certificate or a replay without what it needs",
    "idempotency_key_reused": "a key that was sent with another body before",
    "import_refused": "a file whose lines are no items: a schema tells of the file as one text",
    "name": "a name that is taken, or differs from another only in case",
    "no_permission": "a key with neither a scope nor a permit",
    "no_such_item": "a reference to an item that is not there",
    "no_word": "a text of letters that are but marks of others",
    "not_exact": "a number that a double does not keep",
    "not_found": "an endpoint that is not there, named in a body or a query",
    "not_permitted": "what only some keys may write, such as all tenants",
    "not_together": "parameters that exclude one another",
    "not_whole": "5.0, which JSON Schema takes for a whole number",
    "not_with_http": "a certificate for an http:// URL",
    "not_with_order": "a batch for an endpoint that keeps the order of each subject",
    "number_out_of_range": "a number below free JSON that does not fit into 64 bits",
    "own_event_type": "an event type that a collection brings, as long as that is there",
    "past": "a time that is over",
    "pattern": "a text that is no regular expression",
    "permit": "a permit for what its collection has not, or its maker may not",
    "question": "a question about a field that is not there, or not filterable",
    "range_too_large": "a range of times in which too many rows would be read",
    "reference": "a reference into a collection that is not there",
    "refused_address": "a URL that leads where the operator lets nobody call",
    "repeated": "a list sorted by one name both ways, or two limits for the same window",
    "reserved_name": "a header that Tidings sets itself",
    "rows": "a row rule about a field that is not there",
    "schema": "a schema that is no JSON Schema, or an example or event that does not fit it",
    "secret_halves": "a private key whose public half is another's",
    "stale": "another revision than the present one",
    "too_many_to_count": "a count that would take too long",
    "type": "a patch of a field that is not there, or that takes its type away",
    "unchanged": "a secret that is in use already",
    "unknown_value": "`***` for a header whose value is not stored",
    "url": "a URL whose host or port nobody can call",
    "when": "a condition about a field that is not there, or that has no such value",
    "wrong_cursor": "a cursor that somebody made up",
}
"""Codes of refusals that a schema cannot say beforehand, with what was sent. All others fail the run."""

HOOK_PARTS = frozenset(
    (
        *("scheme", "settings", "secrets", "type", "subject", "key", "data", "path", "max_bytes"),
        *("accepted", "repeated", "refused"),
    )
)
"""Members of a hook that have their own language: schemes, sources, templates, paths that begin with a tenant. The
limit of `max_bytes` is a setting."""
FORM_PARTS = frozenset(("fields", "path", "type", "subject", "thanks", "honeypot"))
"""Members of a form whose parts depend on one another: what each type of field can have, names of fields, URLs."""
LINK_PARTS = frozenset(
    ("was", "when", "filter", "if", "once", "split", "item", "order", "mail", "call", "emit", "keep", "rate")
)
"""Members of a link that have their own language: templates, patterns, fields of a collection, requests per hour."""
CONNECTION_PARTS = frozenset(("base", "smtp", "from", "auth", "headers", "private", "rate", "client_certificate"))
"""Members of a connection that depend on one another, or hold credentials and addresses in more than one form."""
LANGUAGES = {"hooks": HOOK_PARTS, "forms": FORM_PARTS, "links": LINK_PARTS, "connections": CONNECTION_PARTS}
"""By what is declared: in bodies of its own, and under this name in the bodies of many."""
ITEMS_OF = ("rooms", "notes")
LINE_BYTES = 8_192
_TAG = st.from_regex(r'(W/)?"[!#-+\--~]{0,20}"', fullmatch=True)
schemathesis.openapi.format("entity-tags", st.just("*") | st.lists(_TAG, min_size=1, max_size=3).map(", ".join))
_drawn = coverage._pattern_strategy
DRAWN, TWICE = 32, 8_192
"""The longest text that is drawn at random, and the longest whose letters may have two bytes: bodies have a limit."""


def _of_length(session: Any, pattern: str, min_length: int | None, max_length: int | None, fmt: str | None) -> Any:
    """The longest text that is permitted, if it can be one letter again and again; the longest list of entity tags.

    At random, a long text is drawn letter by letter, which took half of a run, and a list of tags is never drawn.
    """
    if min_length is None or min_length != max_length:
        return _drawn(session, pattern, min_length, max_length, fmt)
    if '(W/)?"' in pattern:
        return st.just('"' + "a" * (min_length - 2) + '"')
    if min_length > DRAWN and fmt is None:
        # First one of two bytes: so a limit that counts bytes is found.
        for letter in "éa1/" if min_length <= TWICE else "a1/":
            if re.search(pattern, letter * min_length):
                return st.just(letter * min_length)
    return _drawn(session, pattern, min_length, max_length, fmt)


coverage._pattern_strategy = _of_length
_oversized = coverage._generate_oversized_string


def _of_more_than_tags(ctx: Any, new_schema: dict[str, Any], target_length: int) -> str | None:
    """A text that is too long, or None for a list of entity tags: none is drawn, which takes a second to find out."""
    return None if new_schema.get("format") == "entity-tags" else _oversized(ctx, new_schema, target_length)


coverage._generate_oversized_string = _of_more_than_tags
LONG = 256
"""The longest text whose length Schemathesis may write into its pattern. It did so up to `^[^\\x00]{0,1000000}$`, which
takes the validator a second to compile, wherever it appears: two thirds of the time of a run."""


def _of_short_texts(pattern: str, min_length: int | None, max_length: int | None) -> str:
    """The pattern with the lengths in it; of long texts, the pattern alone, next to `minLength` and `maxLength`."""
    if max(min_length or 0, max_length or 0) > LONG:
        return pattern
    return update_quantifier(pattern, min_length, max_length)


_READERS: tuple[Any, ...] = (converter, operation)
for _module in _READERS:
    _module.update_quantifier = _of_short_texts
transport._request = wire.request
# What is loaded stays; to look through it for garbage took a tenth of a run.
gc.freeze()
gc.set_threshold(50_000, 20, 100)


@schemathesis.serializer("application/x-ndjson", "text/csv")
def as_file(context: schemathesis.SerializationContext, value: Any) -> bytes:
    """A file is sent as the text that it is."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


@schemathesis.hook
def filter_failure(
    context: schemathesis.HookContext, failure: Failure, case: schemathesis.Case[Any], response: schemathesis.Response
) -> bool:
    """Whether a failure is one: not where the refusal's codes all stand above, or a key says that it is revoked."""
    if response.status_code == 431:
        # The HTTP server refuses what is too long for any line of a request, before Tidings sees it.
        return len(response.request.url or "") < LINE_BYTES
    if isinstance(failure, RejectedPositiveData):
        problem = json.loads(response.content)
        codes = {place["code"] for place in problem["errors"]} or {problem["code"]}
        if problem["code"] == "import_refused":
            codes = {problem["code"]}
        codes -= {place["code"] for place in problem["errors"] if has_own_language(case.path, steps(place))}
        return not codes <= CANNOT_BE_TOLD.keys()
    if isinstance(failure, AcceptedNegativeData) and has_short_form(case.body):
        return False
    if isinstance(failure, AcceptedNegativeData) and case.path.endswith(":import"):
        # A file is a text whatever is in it, so that nothing sent in its place is none.
        return "in body" not in failure.message
    if isinstance(failure, UseAfterFree) and case.path == "/v1/keys/{id}":
        # A revoked key is refused as a key, and its entry stays to be read, with the time.
        return json.loads(response.content).get("revoked", "not among the fields") is None
    if isinstance(failure, AllowHeaderMismatch) and os.environ["CALLER"] != "operator":
        # A path's methods are the same for all, and the document tells only those that the key may use.
        return bool(failure.missing_methods)
    return True


def has_own_language(path: str, place: list[str]) -> bool:
    """Whether a wrong place, step by step, is in a member that has its own language."""
    return any(
        bool(parts & set(place)) and (path.startswith(f"/v1/{name}") or name in place[:2])
        for name, parts in LANGUAGES.items()
    )


def steps(place: dict[str, str]) -> list[str]:
    """Where a wrong place is, step by step."""
    return place.get("pointer", "").split("/")


def has_short_form(body: Any) -> bool:
    """Whether it declares a field, an event, a question or a link in the short form, which the document omits."""
    if not isinstance(body, dict):
        return False
    links = body.get("links")
    for link in links.values() if isinstance(links, dict) else [body]:
        when = link.get("when") if isinstance(link, dict) else None
        if isinstance(when, dict) and isinstance(when.get("event"), str):
            return True
    declared = body.get("collections")
    for each in declared.values() if isinstance(declared, dict) else [body]:
        parts = [each.get(part) for part in ("fields", "events", "questions")] if isinstance(each, dict) else []
        if any(isinstance(one, str | list) for part in parts if isinstance(part, dict) for one in part.values()):
            return True
    return False


def spare_collections(case: schemathesis.Case[Any]) -> None:
    """Turn what would change or drop the collections whose items are asked for, now and by later callers, elsewhere."""
    if case.method != "GET" and case.path_parameters.get("name") in ITEMS_OF:
        case.path_parameters["name"] = "tasks"
    if isinstance(case.body, dict) and case.body.get("prune") is True:
        case.body = {**case.body, "prune": False}


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """Mend a request that fits the document where no schema can say it, so that more than refusals are looked at."""
    if case.path.startswith("/v1/collections"):
        spare_collections(case)
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    case.query.pop("cursor", None)
    if os.environ["PHASES"] == "stateful" and case.path.startswith("/v1/items/"):
        # Several tenants may have an item of the same id: one's is deleted, and another's is still there.
        case.query.pop("tenant", None)
    if "type__in" in case.query:
        case.query.pop("type", None)
    if "after" in case.query:
        case.query["after"] = "start"
        for name in ("sort", "count"):
            case.query.pop(name, None)
    if "wait" in case.query:
        # Waiting for events would take most of the time.
        case.query |= {"after": "start", "wait": 0}
    if "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = case.id
    if len(case.headers.get("If-Match", "")) % 2:
        # Half of them change whatever is there, the others what made-up revisions are of.
        case.headers["If-Match"] = "*"
