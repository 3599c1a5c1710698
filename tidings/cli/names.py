"""Finds hooks and forms by path or by id."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tidings.client import Client
from tidings.client.client import Json
from tidings.model.ids import ALPHABET, ID_CHARS


def hook_of(client: Client, text: str) -> Json:
    """A hook by its path or its id. Raises ValueError if there is none."""
    return _of("hook", "/in/", text, client.hooks())


def form_of(client: Client, text: str) -> Json:
    """A form by its path or its id. Raises ValueError if there is none."""
    return _of("form", "/f/", text, client.forms.list())


def hook_id(client: Client, text: str) -> str:
    """A hook's id, from its path or its id. Raises ValueError if no hook has this path."""
    return text if _is_id("hook", text) else str(hook_of(client, text)["id"])


def form_id(client: Client, text: str) -> str:
    """A form's id, from its path or its id. Raises ValueError if no form has this path."""
    return text if _is_id("form", text) else str(form_of(client, text)["id"])


def source(client: Client, hook: str | None, form: str | None) -> dict[str, str]:
    """The parameters that limit a list of receipts to a hook or a form. Raises ValueError if it does not exist."""
    found = {} if hook is None else {"hook": hook_id(client, hook)}
    return found if form is None else found | {"form": form_id(client, form)}


def _is_id(kind: str, text: str) -> bool:
    return re.fullmatch(f"{kind}_[{ALPHABET}]{{{ID_CHARS}}}", text) is not None


def _of(kind: str, prefix: str, text: str, found: Iterable[Json]) -> Json:
    every = list(found)
    path = text.removeprefix(prefix)
    for each in every:
        if path in (each["id"], each["path"]):
            return each
    known = ", ".join(sorted(each["path"] for each in every)[:20]) or "none"
    raise ValueError(f"There is no {kind} {text}. The {kind}s are: {known}.")
