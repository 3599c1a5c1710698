"""What Schemathesis is told of this API: which refusals of a request that fits the document are right, and why."""

from __future__ import annotations

import json
import os
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import AllowHeaderMismatch, RejectedPositiveData, UseAfterFree

CANNOT_BE_TOLD = {
    "duplicate_key": "a header that is named twice, in capitals and in small letters",
    "empty_range": "a range that ends before it begins",
    "filter": "a filter has a language of its own",
    "idempotency_key_reused": "a key that was sent with another body before",
    "not_found": "an endpoint that is not there, named in a body or a query",
    "not_permitted": "what only some keys may write, such as all tenants",
    "not_together": "parameters that exclude one another",
    "not_with_order": "a batch for an endpoint that keeps the order of each subject",
    "not_whole": "5.0, which JSON Schema takes for a whole number",
    "number_out_of_range": "a number below free JSON that does not fit into 64 bits",
    "past": "a time that is over",
    "refused_address": "a URL that leads where the operator lets nobody call",
    "repeated": "a list sorted by one name both ways, or two limits for the same window",
    "reserved_name": "a header that Tidings sets itself",
    "schema": "a schema that is no JSON Schema, or an example or event that does not fit it",
    "secret_halves": "a private key whose public half is another's",
    "stale": "another revision than the present one",
    "too_many_to_count": "a count that would take too long",
    "unchanged": "a secret that is in use already",
    "unknown_value": "`***` for a header whose value is not stored",
    "url": "a URL whose host or port nobody can call",
    "wrong_cursor": "a cursor that somebody made up",
}
"""Codes of refusals that a schema cannot say beforehand, with what was sent. All others fail the run."""

_TAG = st.from_regex(r'(W/)?"[!#-+\--~]{0,20}"', fullmatch=True)
schemathesis.openapi.format("entity-tags", st.just("*") | st.lists(_TAG, min_size=1, max_size=3).map(", ".join))


@schemathesis.hook
def filter_failure(
    context: schemathesis.HookContext, failure: Failure, case: schemathesis.Case, response: schemathesis.Response
) -> bool:
    """Whether a failure is one: not where the refusal's codes all stand above, or a key says that it is revoked."""
    if isinstance(failure, RejectedPositiveData):
        problem = json.loads(response.content)
        codes = {place["code"] for place in problem["errors"]} or {problem["code"]}
        return not codes <= CANNOT_BE_TOLD.keys()
    if isinstance(failure, UseAfterFree) and case.path == "/v1/keys/{id}":
        # A revoked key is refused as a key, and its entry stays to be read, with the time.
        return json.loads(response.content).get("revoked", "not among the fields") is None
    if isinstance(failure, AllowHeaderMismatch) and os.environ["CALLER"] != "operator":
        # A path's methods are the same for all, and the document tells only those that the key may use.
        return bool(failure.missing_methods)
    return True


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Mend a request that fits the document where no schema can say it, so that more than refusals are looked at."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    case.query.pop("cursor", None)
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
