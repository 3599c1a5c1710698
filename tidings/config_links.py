"""The section `links` of `tidings.yaml`: what happens when. Its hooks are URLs for other systems' webhooks.

Everything else in it is a link that acts on events (rules/declare/links.py).
`${NAME}` in a value stands for an environment variable, so that secrets need not be in the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from tidings.model.errors import Invalid, Place
from tidings.rules.reading.refused import escaped
from tidings.settings import SettingsError

if TYPE_CHECKING:
    from tidings.config import Config

AT = "/links/{name}/when/hook"
"""Where a hook is in the file."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def links_of(config: Config, section: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The links that act on events, and the hooks, both by name. Raises SettingsError with every wrong place."""
    from tidings.rules.declare import links

    wrong: list[str] = []
    hooks: dict[str, Any] = {}
    if section is None:
        return {}, hooks
    if not isinstance(section, dict):
        raise SettingsError(
            _said(config, "/links", "`links` must be an object of declarations by name, as in `name: {when: ...}`.")
        )
    acting = {name: link for name, link in section.items() if not _is_hook(link)}
    for name, link in section.items():
        try:
            if name not in acting:
                hooks[str(name)] = _hook(config, str(name), link)
        except SettingsError as error:
            wrong.append(str(error))
    try:
        links.read(acting, "/links")
    except Invalid as error:
        wrong += [_said(config, each.pointer or "", each.detail, each.code) for each in error.errors]
    if wrong:
        raise SettingsError("\n".join(wrong))
    return acting, hooks


def _is_hook(link: Any) -> bool:
    when = link.get("when") if isinstance(link, dict) else None
    return isinstance(when, dict) and "hook" in when


def _hook(config: Config, name: str, link: Any) -> Any:
    from tidings.control.hooks.body import NewHook
    from tidings.control.hooks.declared import checked_hook
    from tidings.rules.schemes.form import refused

    at = f"/links/{escaped(name)}"
    if not _NAME.fullmatch(name):
        raise SettingsError(_said(config, at, "A link's name is 1 to 64 letters, digits, _ and -.", "name"))
    when = _only_member(config, at, link, "when")
    body = _only_member(config, f"{at}/when", when, "hook")
    at = AT.format(name=escaped(name))
    if not isinstance(body, dict):
        raise SettingsError(_said(config, at, "A hook must be an object, such as `path: github, scheme: github`."))
    body = _filled(config, at, body)
    try:
        checked_hook(msgspec.convert(body, NewHook))
    except msgspec.ValidationError as error:
        place = refused(str(error)).place
        detail = place.detail.replace("in a signature scheme here", "in a hook")
        raise SettingsError(_said(config, at + (place.pointer or ""), detail, place.code)) from None
    except Invalid as error:
        lines = [_said(config, at + (each.pointer or ""), each.detail, each.code) for each in error.errors]
        raise SettingsError("\n".join(lines)) from None
    return body


def _only_member(config: Config, at: str, value: Any, name: str) -> Any:
    """The one member that a mapping may have."""
    if not isinstance(value, Mapping) or name not in value:
        raise SettingsError(_said(config, at, f"The member {name!r} is missing."))
    for other in value:
        if other != name:
            pointer = f"{at}/{escaped(str(other))}"
            detail = f"{str(other)!r} is unknown here; there is {name!r}."
            raise SettingsError(_said(config, pointer, detail, "unknown_field"))
    return value[name]


def _filled(config: Config, at: str, value: Any) -> Any:
    """The value with the variables that it names."""
    if isinstance(value, dict):
        return {name: _filled(config, f"{at}/{escaped(str(name))}", each) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(config, f"{at}/{index}", each) for index, each in enumerate(value)]
    if not isinstance(value, str):
        return value

    def variable(found: re.Match[str]) -> str:
        text = os.environ.get(found[1])
        if text is None:
            raise SettingsError(_said(config, at, f"The environment variable {found[1]} is not set."))
        return text

    return _VARIABLE.sub(variable, value)


def _said(config: Config, pointer: str, detail: str, code: str = "wrong_value") -> str:
    return f"{config.where(Place(pointer=pointer, code=code, detail=detail))}: {detail}"
