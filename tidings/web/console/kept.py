"""What a form shows before it acts: a question, or, if a value was refused, the form as it was filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tidings.model.errors import Place, TidingsError
from tidings.web.console.lists import button
from tidings.web.console.visit import View

KEPT = frozenset((400, 404, 409, 412, 422))
"""The statuses of problems that people can fix in the form."""


def places(path: str) -> Iterator[str]:
    """Where the form that posts to a path may be: on the page there, or on the one above."""
    yield path
    yield path.rpartition("/")[0]


def refilled(view: View, to: str, posted: Mapping[str, str], wrong: TidingsError | None = None) -> View | None:
    """The page with the form that posts to `to`, as it was filled in; None if the page does not have it."""
    new, forms = view.values.get("new"), list(view.values.get("forms") or ())
    if new is not None and new["to"] == to:
        values = {**view.values, "new": _filled(new, posted, wrong)}
    elif any(each["to"] == to for each in forms):
        values = {
            **view.values,
            "forms": [_filled(each, posted, wrong) if each["to"] == to else each for each in forms],
        }
    else:
        return None
    if wrong is None:
        return replace(view, values=values)
    return replace(view, values=values, sentence=f"Nothing was changed. {wrong.detail}", state="attention")


def question(asked: str, to: str, posted: Mapping[str, str]) -> View:
    """The question that a browser without scripts shows before something is done; others show it in a dialog."""
    actions = [button(to, "Yes", "danger", fields=posted)]
    values = {"actions": actions, "notes": [], "given": [], "back": to.rpartition("/")[0]}
    return View("confirm.html", "Are you sure?", asked, values, "attention")


def said(place: Place) -> tuple[str, str]:
    """The name of the wrong value, unless the sentence begins with it, and the sentence."""
    where = place.parameter or (place.pointer or "").removeprefix("/")
    name = where.rpartition("/")[2]
    return ("" if not name or place.detail.startswith((name, f"{where} ")) else where), place.detail


def _named(field: Mapping[str, Any], name: str, place: Place) -> str:
    """The sentence, with the field's label in place of its name in the API."""
    label = re.split("[,;]", field["label"])[0]
    return label + place.detail.removeprefix(name) if place.detail.startswith(f"{name} ") else place.detail


def _filled(form: Mapping[str, Any], posted: Mapping[str, str], wrong: TidingsError | None) -> dict[str, Any]:
    errors = {} if wrong is None else {(each.pointer or "").removeprefix("/"): each for each in wrong.errors}
    fields, told = [], set()
    for each in form["fields"]:
        name = each["name"].removeprefix("f.")
        value = each["name"] in posted if each["kind"] == "check" else posted.get(each["name"], each["value"])
        found = [(at, place) for at, place in errors.items() if at == name or at.startswith(f"{name}/")]
        told |= {at for at, _ in found}
        fields.append({**each, "value": value, "wrong": " ".join(_named(each, name, place) for _, place in found[:3])})
    others = [" ".join(filter(None, said(place))) for at, place in errors.items() if at not in told][:5]
    if wrong is not None and not (told or others):
        others = [wrong.detail]
    return {**form, "fields": fields, "open": True, "wrong": " ".join(others)}
