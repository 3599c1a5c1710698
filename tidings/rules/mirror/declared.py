"""`emit` in declarations of links: which events follow from observations."""

from __future__ import annotations

from typing import Any

from tidings.model.event import OWN_TYPES
from tidings.model.link import CursorRule, EmitRule
from tidings.rules import event_types
from tidings.rules.mirror.cursors import moment_of
from tidings.rules.mirror.observer import Observer
from tidings.rules.mirror.records import read_path
from tidings.rules.reading import durations
from tidings.rules.reading.places import Places, shown
from tidings.rules.reading.refused import Refused
from tidings.rules.template import is_template

PARTS = ("type", "each", "key", "data", "mode", "only", "ignore", "deleted", "cursor", "sweep")
POLLED = ("cursor", "sweep")
CURSORS = ("record", "body", "header", "clock")
CURSOR_PARTS = (*CURSORS, "from", "overlap", "order")
SWEEP_PARTS = ("every", "most")
MODES = ("changes", "all")
TYPE_CHARS_MAX = event_types.TYPE_CHARS_MAX - len(".created")
FIELDS_MAX = 200
OVERLAP_SECONDS_MAX, SWEEP_SECONDS_MAX = 31 * 86_400, 366 * 86_400


def read_emit(given: Any, pointer: str, wrong: Places, *, is_poll: bool) -> EmitRule | None:
    """The rule. `is_poll`: the link has a timer, so it may have a cursor and full reads."""
    before = len(wrong.found)
    emit = wrong.members(given, pointer, PARTS, "`emit`")
    if type(given) is not dict:
        return None
    found: dict[str, Any] = {}

    def take(name: str, read: Any) -> None:
        try:
            found.update(read())
        except Refused as refused:
            wrong.say(refused.pointer, refused.place.code, refused.detail)

    take("type", lambda: {"type": _type(emit.get("type"), f"{pointer}/type")})
    take("key", lambda: {"key": _key(emit.get("key"), f"{pointer}/key")})
    if emit.get("each") is not None:
        take("each", lambda: {"each": read_path(emit["each"], f"{pointer}/each")})
    for name in ("only", "ignore"):
        if emit.get(name) is not None:
            take(name, lambda name=name: {name: _fields(emit[name], f"{pointer}/{name}")})
    found["data"], found["deleted"] = emit.get("data"), emit.get("deleted")
    if found["deleted"] is not None and type(found["deleted"]) is not str:
        wrong.say(f"{pointer}/deleted", "wrong_type", "`deleted` must be a template, such as {{ record.is_deleted }}.")
    mode = emit.get("mode", MODES[0])
    if mode not in MODES:
        wrong.say(f"{pointer}/mode", "not_in_enum", f"`mode` must be {' or '.join(MODES)}.")
    found["is_all"] = mode == MODES[1]
    for name in POLLED if not is_poll else ():
        if emit.get(name) not in (None, False):
            wrong.say(
                f"{pointer}/{name}", "contradiction", f"`{name}` requires a timer: `every`, `at` or `cron` in `when`."
            )
    if found["is_all"]:
        for name in ("only", "ignore", "deleted", "sweep"):
            if emit.get(name) not in (None, False):
                detail = f"`{name}` requires the mirror, which `mode: all` does not keep."
                wrong.say(f"{pointer}/{name}", "contradiction", detail)
    if emit.get("only") and emit.get("ignore"):
        wrong.say(f"{pointer}/ignore", "contradiction", "Use `only` or `ignore`, not both.")
    if emit.get("cursor") is not None:
        found["cursor"] = _cursor(emit["cursor"], f"{pointer}/cursor", wrong)
    if emit.get("sweep") not in (None, False):
        take("sweep", lambda: _sweep(emit["sweep"], f"{pointer}/sweep", wrong))
    if len(wrong.found) > before:
        return None
    rule = EmitRule(**found)
    take("templates", lambda: (Observer(rule, pointer), {})[1])
    return None if len(wrong.found) > before else rule


def plain_emit(rule: EmitRule) -> dict[str, Any]:
    """The rule in its canonical form, without defaults."""
    found: dict[str, Any] = {"type": rule.type}
    if rule.each:
        found["each"] = ".".join(rule.each)
    found["key"] = rule.key
    if rule.is_all:
        found["mode"] = MODES[1]
    for name in ("data", "deleted"):
        if getattr(rule, name) is not None:
            found[name] = getattr(rule, name)
    for name in ("only", "ignore"):
        if getattr(rule, name):
            found[name] = list(getattr(rule, name))
    if rule.cursor is not None:
        found["cursor"] = _plain_cursor(rule.cursor)
    if rule.sweep_seconds is not None:
        every: Any = True if rule.sweep_seconds == 0 else durations.text(rule.sweep_seconds)
        found["sweep"] = every if rule.sweep_most == _MOST else {"every": every, "most": rule.sweep_most}
    return found


_MOST = EmitRule(type="").sweep_most


def _type(value: Any, pointer: str) -> str:
    kind = event_types.check_type(value, pointer)
    if len(kind) > TYPE_CHARS_MAX:
        raise Refused(pointer, "event_type", f"It can be at most {TYPE_CHARS_MAX} characters long.")
    if kind.startswith(OWN_TYPES):
        raise Refused(pointer, "own_event_type", f"Types that begin with {OWN_TYPES} are published by Tidings itself.")
    return kind


def _key(value: Any, pointer: str) -> str:
    if type(value) is not str or not value:
        detail = "`key` must be the name of the field that identifies a record, or a template such as {{ record.id }}."
        raise Refused(pointer, "missing" if value is None else "wrong_type", detail)
    return value if is_template(value) else ".".join(read_path(value, pointer))


def _fields(value: Any, pointer: str) -> tuple[str, ...]:
    if type(value) is not list or not 1 <= len(value) <= FIELDS_MAX or not all(type(name) is str for name in value):
        raise Refused(pointer, "wrong_type", f"It must be a list of up to {FIELDS_MAX} field names.")
    return tuple(dict.fromkeys(value))


def _cursor(given: Any, pointer: str, wrong: Places) -> CursorRule | None:
    cursor = wrong.members(given, pointer, CURSOR_PARTS, "`cursor`", "{record: changed}")
    kinds = [kind for kind in CURSORS if cursor.get(kind) not in (None, False)]
    if len(kinds) != 1:
        wrong.say(pointer, "incomplete", f"`cursor` needs exactly one of {', '.join(CURSORS)}.")
        return None
    kind, value = kinds[0], cursor[kinds[0]]
    found: dict[str, Any] = {"kind": kind, "since": cursor.get("from")}
    try:
        if kind == "header":
            found["path"] = (_header(value, f"{pointer}/header"),)
        elif kind != "clock":
            found["path"] = read_path(value, f"{pointer}/{kind}")
        elif value is not True:
            raise Refused(f"{pointer}/clock", "wrong_type", "`clock` must be true.")
        if cursor.get("overlap") is not None:
            if kind in ("body", "header"):
                raise Refused(
                    f"{pointer}/overlap", "contradiction", f"`overlap` can be used only with times, not with `{kind}`."
                )
            found["overlap_seconds"] = durations.seconds(
                cursor["overlap"], f"{pointer}/overlap", 0, OVERLAP_SECONDS_MAX
            )
        _check_from(found["since"], kind, f"{pointer}/from")
    except Refused as refused:
        wrong.say(refused.pointer, refused.place.code, refused.detail)
        return None
    order = cursor.get("order")
    if order is not None and kind != "record":
        wrong.say(f"{pointer}/order", "not_in_enum", "`order` can be used only with `record`.")
    elif order not in (None, "asc"):
        detail = "`order` can only be `asc`, which means that the records are sorted by the cursor's field."
        wrong.say(f"{pointer}/order", "not_in_enum", detail)
    found["is_ordered"] = order == "asc"
    return CursorRule(**found)


def _check_from(value: Any, kind: str, pointer: str) -> None:
    if value is None or value == "now" or type(value) is int:
        return
    if type(value) is not str or (kind == "clock" and moment_of(value) is None):
        detail = f"`from` must be `now`, or a time such as 2026-01-01T00:00:00Z, not {shown(value)}."
        raise Refused(pointer, "wrong_value", detail)


def _header(value: Any, pointer: str) -> str:
    if type(value) is not str or not value or not value.replace("-", "").isalnum():
        raise Refused(pointer, "wrong_type", "`header` must be the name of a header, such as ETag.")
    return value


def _sweep(given: Any, pointer: str, wrong: Places) -> dict[str, Any]:
    sweep = wrong.members(given, pointer, SWEEP_PARTS, "`sweep`") if type(given) is dict else {"every": given}
    every, most = sweep.get("every", True), sweep.get("most", _MOST)
    if type(most) not in (int, float) or type(most) is bool or not 0 <= most <= 1:
        raise Refused(f"{pointer}/most", "out_of_range", "`most` must be a fraction from 0 to 1, such as 0.2.")
    seconds = 0 if every is True else durations.seconds(every, pointer, 60, SWEEP_SECONDS_MAX)
    return {"sweep_seconds": seconds, "sweep_most": float(most)}


def _plain_cursor(rule: CursorRule) -> dict[str, Any]:
    found: dict[str, Any] = {rule.kind: True if rule.kind == "clock" else ".".join(rule.path)}
    if rule.since is not None:
        found["from"] = rule.since
    if rule.overlap_seconds is not None:
        found["overlap"] = durations.text(rule.overlap_seconds)
    if rule.is_ordered:
        found["order"] = "asc"
    return found
