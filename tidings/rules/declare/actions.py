"""What a link does, according to its declaration: its action, the guard before it, and what is kept after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tidings.model.link import EDIT_WORDS, CallApi, EditItem, EditWord, LinkAction
from tidings.rules.calls.keeping import KeepTemplate, check_keep
from tidings.rules.declare.calls import read_call
from tidings.rules.declare.mail import read_mail
from tidings.rules.declare.pacing import ORDERS, order_by, refusing, replaces
from tidings.rules.edits import VALUES_AT
from tidings.rules.guard import ITEM, MINE, Guard
from tidings.rules.mirror.declared import read_emit
from tidings.rules.reading.places import Places, shown
from tidings.rules.splitting import SplitTemplate
from tidings.rules.template import SCOPE, JsonTemplate, is_template
from tidings.rules.timers import declared as timers

ACTIONS = ("item", "call", "mail")
"""The possible actions of a link. Each link has exactly one."""
NEW = True
"""The value of `create` if the item's id is to be generated."""

ITEM_PARTS = ("collection", *EDIT_WORDS, "data")


def read_action(given: dict[str, Any], pointer: str, wrong: Places) -> LinkAction | None:
    """The action. `pointer`: that of the link."""
    named = [name for name in ACTIONS if given.get(name) is not None]
    if given.get("keep") is not None and named != ["call"]:
        wrong.say(f"{pointer}/keep", "contradiction", "`keep` stores values of a response, so it requires `call`.")
    if not named:
        detail = "A link needs `item` (an edit of an item), `call` (a request to another system) or `mail` (an email)."
        wrong.say(f"{pointer}/item", "missing", detail)
    elif len(named) > 1:
        detail = f"A link does one thing: {' or '.join(named)}. Declare a second link for the other."
        wrong.say(f"{pointer}/{named[1]}", "contradiction", detail)
    elif named == ["call"]:
        if type(given["call"]) is dict and given["call"].get("via") is not None:
            _no_rate(given, pointer, wrong)
        emit = given.get("emit")
        rule = None if emit is None else read_emit(emit, f"{pointer}/emit", wrong, is_poll=_has_timer(given))
        found = read_call(given["call"], pointer, wrong, rule, (*_names(given), MINE))
        return _keeping(found, given, pointer, wrong)
    elif named == ["mail"]:
        _no_rate(given, pointer, wrong)
        if given.get("emit") is not None:
            detail = "An email has no response to read. Use `emit` only with `call`."
            wrong.say(f"{pointer}/emit", "contradiction", detail)
        return read_mail(given["mail"], pointer, wrong, _names(given))
    else:
        if given.get("emit") is not None:
            detail = "An edit of an item already publishes an event about the change. Use `emit` only with `call`."
            wrong.say(f"{pointer}/emit", "contradiction", detail)
        return _item(given, pointer, wrong)
    return None


def guarded(what: LinkAction | None, given: dict[str, Any], pointer: str, wrong: Places) -> LinkAction | None:
    """The action with the link's `if` and `once`."""
    once = given.get("once")
    for name in ("if", "once", "split"):
        value = given.get(name)
        if value is not None and not (type(value) is str and is_template(value)):
            detail = f"`{name}` must be a template such as {{{{ data.id }}}}, not {shown(value)}."
            wrong.say(f"{pointer}/{name}", "wrong_type", detail)
            return None
    if once is not None and given.get("order", ORDERS[0]) != ORDERS[0]:
        detail = "`once` already keeps the events of each key in order; leave `order` out."
        wrong.say(f"{pointer}/order", "contradiction", detail)
    if given.get("if") is not None and replaces(given):
        detail = (
            "With `order: subject`, a newer event replaces a waiting one before the `if` of the newer one is "
            "evaluated. Use `filter` instead of `if`, or leave `order` out."
        )
        wrong.say(f"{pointer}/if", "contradiction", detail)
    _check_split(given, pointer, wrong)
    if once is not None and given.get("emit") is not None:
        detail = (
            "With `emit`, each read is compared with the previous state, so reading again does no harm; leave `once` "
            "out."
        )
        wrong.say(f"{pointer}/once", "contradiction", detail)
    if what is None:
        return None
    found = msgspec.structs.replace(
        what,
        only_if=given.get("if"),
        once_by=once,
        order_by=once or order_by(given),
        replaces=replaces(given),
        split_by=given.get("split"),
    )
    refusing(lambda: Guard(found, pointer), wrong)
    return found


def _check_split(given: dict[str, Any], pointer: str, wrong: Places) -> None:
    source = given.get("split")
    if source is None:
        return
    refusing(lambda: SplitTemplate(source, pointer), wrong)
    if given.get("emit") is not None:
        wrong.say(
            f"{pointer}/split",
            "contradiction",
            "A link with `emit` reads one response for each event; leave `split` out.",
        )
    if replaces(given):
        detail = (
            "`order: subject` replaces a whole event, but with `split` each element is separate; leave `order` out."
        )
        wrong.say(f"{pointer}/order", "contradiction", detail)


def _names(given: dict[str, Any]) -> tuple[str, ...]:
    """The names that the action's templates see."""
    return SCOPE if given.get("split") is None else (*SCOPE, ITEM)


def _keeping(call: CallApi | None, given: dict[str, Any], pointer: str, wrong: Places) -> CallApi | None:
    """The call with what is kept from its responses."""
    keep, at = given.get("keep"), f"{pointer}/keep"
    if keep is None or call is None:
        return call
    for name, detail in (
        ("emit", "With `emit`, the mirror already keeps what is read; leave `keep` out."),
        (
            "split",
            "With `split`, the elements of an event would overwrite one another's kept values; leave `keep` out.",
        ),
    ):
        if given.get(name) is not None:
            wrong.say(at, "contradiction", detail)
            return call
    before = len(wrong.found)
    check_keep(keep, at, wrong)
    found = msgspec.structs.replace(call, keep=keep)
    if len(wrong.found) == before:
        refusing(lambda: KeepTemplate(found, pointer), wrong)
    return found


def _has_timer(given: dict[str, Any]) -> bool:
    when = given.get("when")
    return type(when) is dict and any(when.get(kind) is not None for kind in timers.KINDS)


def _no_rate(given: dict[str, Any], pointer: str, wrong: Places) -> None:
    if given.get("rate") is not None:
        detail = "Set the connection's rate instead; all links of the connection share it."
        wrong.say(f"{pointer}/rate", "contradiction", detail)


def _item(given: dict[str, Any], pointer: str, wrong: Places) -> EditItem | None:
    at = f"{pointer}/item"
    item = wrong.members(given["item"], at, ITEM_PARTS, "`item`")
    words: list[EditWord] = [word for word in EDIT_WORDS if item.get(word) is not None]
    collection = item.get("collection")
    if type(collection) is not str or not collection:
        wrong.say(f"{at}/collection", "missing", "`item` needs `collection`, the name of a collection.")
    if len(words) != 1:
        wrong.say(at, "incomplete", f"`item` needs exactly one of {', '.join(EDIT_WORDS)}, with the item's id.")
        return None
    word = words[0]
    names = _names(given)
    target = _target(item[word], word, f"{at}/{word}", wrong, names)
    data = item.get("data")
    if word == "delete":
        if "data" in item:
            wrong.say(f"{at}/data", "contradiction", "`delete` takes no `data`.")
    elif type(data) is not dict and not (type(data) is str and is_template(data)):
        detail = "`item` needs `data`: the item's fields by name, or a template such as {{ data }} that yields them."
        wrong.say(f"{at}/data", "missing" if data is None else "wrong_type", detail)
    else:
        refusing(lambda: JsonTemplate(data, pointer + VALUES_AT, names), wrong)
    return EditItem(collection=str(collection), edit=word, item=target, values=data)


def _target(value: Any, word: EditWord, pointer: str, wrong: Places, names: Sequence[str]) -> str | None:
    if word == "create" and value is NEW:
        return None
    if type(value) is not str or not value:
        either = " or true, for a new id" if word == "create" else ""
        wrong.say(pointer, "wrong_type", f"`{word}` must be the item's id, such as {{{{ data.id }}}}{either}.")
        return None
    refusing(lambda: JsonTemplate(value, pointer, names), wrong)
    return value
