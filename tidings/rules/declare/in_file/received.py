"""Links with a hook or a form in a file: `emit` and `verify`, written out as the options of the hook or form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tidings.rules.reading.places import Places

EMIT_PARTS = ("type", "key", "mode", "data")
VERIFY_PARTS = ("scheme", "secret", "secrets", "settings", "header", "prefix", "encoding")
_ALGORITHM = re.compile(r"hmac-sha(?:1|256|384|512)")
_OF_FORM = re.compile(r"\{\{\s*(?:body|data)\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_RECEIPT = re.compile(r"\{\{\s*delivery\.id\s*\}\}")


def written_out(body: Any, emit: Any, what: str, at: str, wrong: Places) -> Any:
    """The options of a hook or form with what `emit` and `verify` say. `at`: a pointer to the link.

    Reports what is wrong with these two alone; the rest is checked with all the options.
    """
    if not isinstance(body, Mapping):
        return body
    found = dict(body)
    if what == "hook" and "verify" in found:
        found |= _verified(found.pop("verify"), found, f"{at}/when/hook/verify", wrong)
    if emit is None:
        return found
    given = wrong.members(emit, f"{at}/emit", EMIT_PARTS, "`emit`")
    if given.get("mode", "all") != "all":
        detail = "Each request becomes an event, so `mode` must be `all`. To compare records, fetch them with a link."
        wrong.say(f"{at}/emit/mode", "contradiction", detail)
    parts = {name: given[name] for name in ("type", "key", "data") if given.get(name) is not None}
    if what == "form":
        parts = _of_form(parts, f"{at}/emit", wrong)
    for name in parts:
        if name in found:
            detail = f"`{name}` is given in both `emit` and the {what}. Leave one of them out."
            wrong.say(f"{at}/emit/{name}", "contradiction", detail)
    return found | parts


def _verified(given: Any, body: Mapping[str, Any], at: str, wrong: Places) -> dict[str, Any]:
    parts = wrong.members(given, at, VERIFY_PARTS, "`verify`")
    for name in ("scheme", "secrets", "settings"):
        if name in body:
            detail = f"`{name}` is given in both `verify` and the hook. Leave one of them out."
            wrong.say(f"{at}", "contradiction", detail)
    found: dict[str, Any] = {name: parts[name] for name in ("scheme", "settings", "secrets") if name in parts}
    if "secret" in parts:
        found["secrets"] = [parts["secret"], *found.get("secrets", ())]
    algorithm = parts.get("scheme")
    if type(algorithm) is str and _ALGORITHM.fullmatch(algorithm):
        if type(parts.get("header")) is not str:
            wrong.say(at, "missing", f"{algorithm} needs `header`, the name of the header that contains the signature.")
            return {}
        place = {"from": f"header:{parts['header']}"}
        place |= {name: parts[name] for name in ("prefix", "encoding") if name in parts}
        check = {"kind": "signature", "algorithm": algorithm, "signed": "{body}", "signature": place}
        return found | {"scheme": {"check": check}}
    for name in ("header", "prefix", "encoding"):
        if name in parts:
            detail = f"`{name}` requires a scheme that signs the body, such as hmac-sha256."
            wrong.say(f"{at}/{name}", "contradiction", detail)
    return found


def _of_form(parts: Mapping[str, Any], at: str, wrong: Places) -> dict[str, Any]:
    found = {name: value for name, value in parts.items() if name == "type"}
    if "data" in parts:
        wrong.say(
            f"{at}/data",
            "contradiction",
            "The data of a form's events consists of the form's fields. Leave `data` out.",
        )
    key = str(parts.get("key", ""))
    field = _OF_FORM.fullmatch(key.strip())
    if field is not None:
        found["subject"] = field[1]
    elif key and not _RECEIPT.fullmatch(key.strip()):
        detail = "The key of a form's events must be {{ delivery.id }} or a field of the form, as in {{ body.email }}."
        wrong.say(f"{at}/key", "wrong_value", detail)
    return found
