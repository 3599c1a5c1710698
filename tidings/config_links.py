"""The sections `links` and `connections` of `tidings.yaml`: what happens when, and how other systems are reached.

Hooks are URLs for other systems' webhooks, forms are pages that people fill in. Every other link acts on events
(rules/declare/links.py).
`${NAME}` in a value stands for an environment variable, so that secrets need not be in the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from tidings.model.errors import Invalid, Place
from tidings.model.moment import SystemClock
from tidings.rules.reading.refused import escaped
from tidings.settings import SettingsError

if TYPE_CHECKING:
    from tidings.config import Config

AT = "/links/{name}/when/{what}"
"""The JSON pointer to a hook or a form in the file."""
OTHERS = ("hook", "form")
"""The kinds of links that do not act on events."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class LinksOf(NamedTuple):
    """The links that act on events, the hooks and the forms, each by name; and the tests of the first."""

    links: dict[str, Any]
    hooks: dict[str, Any]
    forms: dict[str, Any]
    tests: dict[str, Any]


def links_of(config: Config, section: Any) -> LinksOf:
    """The links that a section declares. Raises SettingsError with every wrong place."""
    from tidings.rules.declare import links
    from tidings.rules.declare.in_file.link_tests import read_tests
    from tidings.rules.reading.places import Places

    wrong: list[str] = []
    found = LinksOf({}, {}, {}, {})
    if section is None:
        return found
    if not isinstance(section, dict):
        raise SettingsError(
            _said(
                config,
                "/links",
                "`links` must be an object whose keys are the links' names, as in `name: {when: ...}`.",
            )
        )
    for name, link in section.items():
        what = _kind(link)
        try:
            if what == "hook":
                found.hooks[str(name)] = _hook(config, str(name), link)
            elif what == "form":
                found.forms[str(name)] = _form(config, str(name), link)
            else:
                found.links[name] = _signed(config, str(name), _untested(str(name), link, found.tests))
        except SettingsError as error:
            wrong.append(str(error))
    places = Places()
    read_tests(found.tests, found.links, places)
    wrong += [_said(config, each.pointer or "", each.detail, each.code) for each in places.found]
    try:
        links.read(found.links, "/links")
    except Invalid as error:
        wrong += [_said(config, each.pointer or "", each.detail, each.code) for each in error.errors]
    if wrong:
        raise SettingsError("\n".join(wrong))
    return found


def connections_of(config: Config, section: Any) -> dict[str, Any]:
    """The connections by name, with environment variables filled in. Raises SettingsError with every wrong place."""
    from tidings.rules.declare import connections

    filled: dict[str, Any] = {} if section is None else _filled(config, "/connections", section)
    try:
        connections.read(filled, {}, SystemClock().now(), "/connections")
    except Invalid as error:
        wrong = [_said(config, each.pointer or "", each.detail, each.code) for each in error.errors]
        raise SettingsError("\n".join(wrong)) from None
    return filled


def _untested(name: str, link: Any, tests: dict[str, Any]) -> Any:
    """A link without its tests, which are moved to `tests`."""
    if not isinstance(link, dict) or "tests" not in link:
        return link
    tests[name] = link["tests"]
    return {part: value for part, value in link.items() if part != "tests"}


def _signed(config: Config, name: str, link: Any) -> Any:
    """The link, with environment variables filled in in its `sign`."""
    call = link.get("call") if isinstance(link, dict) else None
    if not isinstance(call, dict) or not isinstance(call.get("sign"), dict):
        return link
    sign = _filled(config, f"/links/{escaped(name)}/call/sign", call["sign"])
    return {**link, "call": {**call, "sign": sign}}


def _kind(link: Any) -> str | None:
    """`hook` or `form`; None for a link that acts on events."""
    when = link.get("when") if isinstance(link, dict) else None
    return next((what for what in OTHERS if isinstance(when, dict) and what in when), None)


def _hook(config: Config, name: str, link: Any) -> Any:
    from tidings.control.hooks.body import NewHook
    from tidings.control.hooks.declared import checked_hook

    return _read(config, name, link, "hook", lambda body: checked_hook(msgspec.convert(body, NewHook)))


def _form(config: Config, name: str, link: Any) -> Any:
    from tidings.control.forms.body import NewForm
    from tidings.control.forms.declared import checked_form

    return _read(config, name, link, "form", lambda body: checked_form(msgspec.convert(body, NewForm)))


def _read(config: Config, name: str, link: Any, what: str, check: Callable[[dict[str, Any]], object]) -> Any:
    """The declaration of a hook or a form, checked, with environment variables filled in."""
    from tidings.rules.declare.in_file.received import written_out
    from tidings.rules.reading.places import Places
    from tidings.rules.schemes.form import refused

    at = f"/links/{escaped(name)}"
    if not _NAME.fullmatch(name):
        raise SettingsError(
            _said(config, at, "A link's name must have 1 to 64 characters: letters, digits, _ and -.", "name")
        )
    emit = link.get("emit") if isinstance(link, dict) else None
    when = _only_member(config, at, {part: link[part] for part in link if part != "emit"}, "when")
    body = _only_member(config, f"{at}/when", when, what)
    places = Places()
    body = written_out(body, emit, what, f"{at}", places)
    if places.found:
        raise SettingsError(
            "\n".join(_said(config, each.pointer or "", each.detail, each.code) for each in places.found)
        )
    at = AT.format(name=escaped(name), what=what)
    if not isinstance(body, dict):
        example = "scheme: github" if what == "hook" else "fields: {email: {type: email}}"
        raise SettingsError(_said(config, at, f"A {what} must be an object, such as `{{path: x, {example}}}`."))
    body = _filled(config, at, body)
    try:
        check(body)
    except msgspec.ValidationError as error:
        place = refused(str(error), what=f"a {what}").place
        raise SettingsError(_said(config, at + (place.pointer or ""), place.detail, place.code)) from None
    except Invalid as error:
        lines = [_said(config, at + (each.pointer or ""), each.detail, each.code) for each in error.errors]
        raise SettingsError("\n".join(lines)) from None
    return body


def _only_member(config: Config, at: str, value: Any, name: str) -> Any:
    """The one member that a mapping may have."""
    from tidings.rules.declare.links import PARTS

    if not isinstance(value, Mapping) or name not in value:
        raise SettingsError(_said(config, at, f"The member {name!r} is required."))
    for other in value:
        if other != name:
            pointer = f"{at}/{escaped(str(other))}"
            detail = f"{str(other)!r} is unknown here; only {name!r} is allowed."
            if name == "when" and other in (*PARTS, "tests"):
                detail = (
                    f"A link with a hook or form only receives requests, so it can have `when` and `emit`, but not "
                    f"{other!r}. For that, declare a second link with `when: {{event: TYPE}}`, in which TYPE is the "
                    "type of the events that the first link emits."
                )
            raise SettingsError(_said(config, pointer, detail, "unknown_field"))
    return value[name]


def _filled(config: Config, at: str, value: Any) -> Any:
    """The value, with environment variables filled in."""
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
