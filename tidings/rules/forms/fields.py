"""The fields of a form as its owner declares them: what each type can have, and whether the declaration makes sense."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, time
from decimal import Decimal
from html import escape
from typing import Any

from tidings.model.errors import Invalid
from tidings.model.forms.form import Bound, FormField, InputType
from tidings.rules.reading.exact import is_kept
from tidings.rules.reading.jsontext import INTEGER_MAX, INTEGER_MIN
from tidings.rules.reading.refused import Refused, escaped
from tidings.rules.reading.schema import checked
from tidings.rules.reading.schema_words import states

FIELDS_MAX = 100
OPTIONS_MAX = 500
OPTIONS_IN_ALL_MAX = 2_000
PAGE_BYTES_MAX = 256 * 1024
"""The maximum size, in bytes, of all fields' texts on a page with the HTML around them, so that pages stay cheap."""
FIELD_BYTES, OPTION_BYTES, CHOICE_BYTES = 400, 30, 130
"""About how many bytes of HTML surround a field, an option of a select, and a radio button or checkbox."""
LINKS_MAX, LINK_BYTES = 50, 100
"""The maximum number of URLs in a text that become links, and about how many bytes of HTML each link takes."""
NAME_CHARS_MAX = 64
LABEL_CHARS_MAX = 1_000
TEXT_CHARS_MAX = 2_000
"""The maximum length of a help text, a placeholder or an option, in characters."""
PATTERN_CHARS_MAX = 1_000
PATTERN_WORK_MAX = 5_000_000
"""The maximum work of matching, a few milliseconds: the maximum length times the states of the pattern, summed over
all fields."""
EXTRA_VALUES = 20
"""How many values are read from a submission beyond those of the form's fields, so that errors can name them."""
LINE_CHARS, AREA_CHARS, CHARS_MAX = 1_000, 10_000, 200_000
"""The maximum length of a line and of a longer text, in characters, by default; and the largest maximum."""
FILES_MAX = 20
ACCEPT_MAX = 50
FILE_BYTES_MAX = 1024 * 1024 * 1024

NAME_PATTERN = "[A-Za-z][A-Za-z0-9_-]*"
AUTOCOMPLETE_PATTERN = "[a-z0-9-]+( [a-z0-9-]+){0,3}"
ACCEPT_PATTERN = r"[a-z0-9]+/(\*|[a-z0-9.+-]+)|\.[A-Za-z0-9]+"
LINES: tuple[InputType, ...] = ("text", "email", "tel", "url")
"""Types whose value is a single line of text."""
TEXTS: tuple[InputType, ...] = (*LINES, "textarea")
CHOICES: tuple[InputType, ...] = ("select", "radio", "checkboxes")
NUMBERS: tuple[InputType, ...] = ("number", "integer")
TIMES: tuple[InputType, ...] = ("date", "time")
COUNTED: tuple[InputType, ...] = (*TEXTS, "checkboxes", "file")
"""Types whose bounds count something: characters, choices or files."""
MANY: tuple[InputType, ...] = ("checkboxes", "file")
"""Types that may have several values."""

ONLY: dict[str, tuple[InputType, ...]] = {
    "placeholder": (*TEXTS, *NUMBERS),
    "min": (*COUNTED, *NUMBERS, *TIMES),
    "max": (*COUNTED, *NUMBERS, *TIMES),
    "pattern": LINES,
    "options": CHOICES,
    "accept": ("file",),
    "max_bytes": ("file",),
}
"""Attributes that only some types can have."""
NEVER: dict[str, tuple[InputType, ...]] = {
    "label": ("hidden",),
    "help": ("hidden",),
    "required": ("hidden",),
    "autocomplete": ("hidden", "file", "radio", "checkbox", "checkboxes"),
    "default": ("file",),
    "from_query": ("file",),
}
"""Attributes that some types cannot have."""
_NAME = re.compile(NAME_PATTERN)
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2})?")
_NUMBER_CHARS_MAX = 100
_NOT_LINEAR = re.compile(r"\(\?<?[=!]|(?<!\\)(\\\\)*\\([1-9]|k<)")
_COUNTS = re.compile(r"\{([0-9]+)(,[0-9]*)?\}")


def check_fields(fields: Mapping[str, FormField], pointer: str = "/fields") -> None:
    """Raise Refused with the place of what is wrong."""
    if not 1 <= len(fields) <= FIELDS_MAX:
        raise Refused(pointer, "wrong_value", f"A form must have 1 to {FIELDS_MAX} fields.")
    for name, field in fields.items():
        at = f"{pointer}/{escaped(name)}"
        check_name(name, at)
        try:
            _check(field)
        except Refused as wrong:
            raise wrong.under(at) from None

    if sum(map(_pattern_work, fields.values())) > PATTERN_WORK_MAX:
        detail = (
            "Taken together, the fields' patterns are too large: use simpler ones, or give their fields a "
            "smaller `max`."
        )
        raise Refused(pointer, "pattern", detail)
    count = sum(len(field.options) for field in fields.values())
    if count > OPTIONS_IN_ALL_MAX:
        detail = f"The fields have {count:,} options in all; the maximum is {OPTIONS_IN_ALL_MAX:,}."
        raise Refused(pointer, "too_many", detail)
    if (size := page_bytes(fields)) > PAGE_BYTES_MAX:
        detail = f"A page with these fields would be about {size:,} bytes long; the maximum is {PAGE_BYTES_MAX:,}."
        raise Refused(pointer, "too_large", detail)


def values_max(fields: Mapping[str, FormField]) -> int:
    """The maximum number of values that are read from a submission."""
    return EXTRA_VALUES + sum(_values_of(field) for field in fields.values())


def _values_of(field: FormField) -> int:
    if field.type == "checkboxes":
        return len(field.options)
    return field.max if field.type == "file" and isinstance(field.max, int) else 1


def page_bytes(fields: Mapping[str, FormField]) -> int:
    """About how many bytes of HTML the fields take."""
    return sum(_field_bytes(name, field) for name, field in fields.items())


def _field_bytes(name: str, field: FormField) -> int:
    texts = [field.label, field.help, field.placeholder, field.pattern_help, *field.accept]
    texts += field.default if isinstance(field.default, list) else [str(field.default or "")]
    choices = field.choices
    each = OPTION_BYTES if field.type == "select" else CHOICE_BYTES + 3 * len(name)
    around = FIELD_BYTES + len(choices) * each
    around += min(LINKS_MAX, field.help.count("://")) * LINK_BYTES
    return around + sum(len(escape(text).encode()) for text in (*texts, *choices, *choices.values()))


def check_name(name: str, pointer: str) -> None:
    """Raise Refused unless a field can have the name."""
    if len(name) > NAME_CHARS_MAX or not _NAME.fullmatch(name):
        detail = (
            f"A field's name must begin with a letter and consist of 1 to {NAME_CHARS_MAX} letters, digits, _ and -."
        )
        raise Refused(pointer, "name", detail)


def number_of(text: str, *, whole: bool) -> Decimal | None:
    """A number as JSON writes it; None if it is not one, or does not fit into 64 bits (`whole`) or a double
    (otherwise)."""
    if whole:
        found = Decimal(text) if _WHOLE.fullmatch(text) else None
        return found if found is not None and INTEGER_MIN <= found <= INTEGER_MAX else None
    if len(text) > _NUMBER_CHARS_MAX or not _NUMBER.fullmatch(text) or not is_kept(text):
        return None
    return Decimal(text)


def is_number(text: str) -> bool:
    """Whether it is a number, also one with too many digits."""
    return len(text) <= _NUMBER_CHARS_MAX and _NUMBER.fullmatch(text) is not None


def date_of(text: str) -> date | None:
    """A date such as `2026-11-29`; None if it is not one."""
    try:
        return date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        return None


def time_of(text: str) -> time | None:
    """A time of day such as `14:30`; None if it is not one."""
    try:
        return time.fromisoformat(text) if _TIME.fullmatch(text) else None
    except ValueError:
        return None


def ordered(kind: InputType, text: str) -> Any:
    """A value of a type in order: a number, a date or a time; None if it is not one."""
    if kind in NUMBERS:
        return number_of(text, whole=kind == "integer")
    return date_of(text) if kind == "date" else time_of(text)


def bound_text(bound: Bound) -> str:
    """A bound as its value would be written."""
    return bound if isinstance(bound, str) else f"{bound:g}" if isinstance(bound, float) else str(bound)


def _check(field: FormField) -> None:
    for name, kinds in ONLY.items():
        if _is_set(field, name) and field.type not in kinds:
            detail = f"A field of the type {field.type} cannot have {name}; only these can: {', '.join(kinds)}."
            raise Refused(f"/{name}", "not_possible_here", detail)
    for name, kinds in NEVER.items():
        if _is_set(field, name) and field.type in kinds:
            raise Refused(f"/{name}", "not_possible_here", f"A field of the type {field.type} cannot have {name}.")
    _check_texts(field)
    if field.type in CHOICES:
        _check_options(field)
    _check_bounds(field)
    if field.pattern:
        _check_pattern(field)
    elif field.pattern_help:
        raise Refused("/pattern_help", "incomplete", "A `pattern_help` requires a `pattern`.")
    _check_accept(field)
    if field.type == "hidden" and not isinstance(field.default, str) and not field.from_query:
        detail = "A hidden field needs `default`, or `from_query` to take its value from the URL."
        raise Refused("/default", "missing", detail)
    if field.default is not None:
        _check_default(field)


def _is_set(field: FormField, name: str) -> bool:
    return bool(getattr(field, name) not in (None, "", False, (), [], {}))


def _check_texts(field: FormField) -> None:
    limits = {"label": LABEL_CHARS_MAX, "help": TEXT_CHARS_MAX, "placeholder": TEXT_CHARS_MAX}
    for name, most in (limits | {"pattern_help": TEXT_CHARS_MAX}).items():
        check_line(getattr(field, name), most, f"/{name}")
    if len(field.autocomplete) > 100 or not re.fullmatch(f"({AUTOCOMPLETE_PATTERN})?", field.autocomplete):
        detail = "Write a value that HTML defines for `autocomplete`, such as name, email, postal-code or off."
        raise Refused("/autocomplete", "wrong_value", detail)


def check_line(text: str, chars_max: int, pointer: str) -> None:
    """Raise Refused for a text that is too long, or not one line."""
    if len(text) > chars_max:
        raise Refused(pointer, "too_long", f"It can be at most {chars_max:,} characters long.")
    if _CONTROL.search(text):
        raise Refused(pointer, "control_character", "It must be a single line without control characters.")


def _check_options(field: FormField) -> None:
    choices = field.choices
    if not 1 <= len(choices) <= OPTIONS_MAX:
        raise Refused(
            "/options", "wrong_value", f"A field of the type {field.type} must have 1 to {OPTIONS_MAX} options."
        )
    if len(choices) != len(field.options):
        raise Refused("/options", "repeated", "An option appears twice.")
    for index, (value, label) in enumerate(choices.items()):
        at = f"/options/{escaped(value) if isinstance(field.options, dict) else index}"
        check_line(value, TEXT_CHARS_MAX, at)
        check_line(label, TEXT_CHARS_MAX, at)
        if not value or value != value.strip() or not label.strip():
            raise Refused(
                at, "wrong_value", "An option needs a value and a label, without spaces before or after them."
            )


def _check_bounds(field: FormField) -> None:
    found: dict[str, Any] = {}
    for name in ("min", "max"):
        bound = getattr(field, name)
        if bound is None:
            continue
        if field.type in COUNTED:
            most = FILES_MAX if field.type == "file" else OPTIONS_MAX if field.type == "checkboxes" else CHARS_MAX
            if type(bound) is not int or not 0 <= bound <= most or (name == "max" and bound == 0):
                raise Refused(f"/{name}", "bound", f"It must be a whole number of at most {most:,}.")
            found[name] = bound
        else:
            right = isinstance(bound, str) if field.type in TIMES else not isinstance(bound, str)
            value = ordered(field.type, bound_text(bound)) if right else None
            if value is None:
                raise Refused(f"/{name}", "bound", f"It must be a {field.type}, written as people would enter it.")
            found[name] = value
    if len(found) == 2 and found["min"] > found["max"]:
        raise Refused("/min", "bound", "The minimum must not be greater than the maximum.")


def _check_pattern(field: FormField) -> None:
    if len(field.pattern) > PATTERN_CHARS_MAX:
        raise Refused("/pattern", "too_long", f"It can be at most {PATTERN_CHARS_MAX:,} characters long.")
    if not _is_pattern(field.pattern):
        raise Refused("/pattern", "pattern", _why_no_pattern(field.pattern))


def _is_pattern(pattern: str) -> bool:
    try:
        checked({"type": "string", "pattern": whole_pattern(pattern)})
    except Invalid:
        return False
    return True


def _why_no_pattern(pattern: str) -> str:
    if _NOT_LINEAR.search(pattern):
        return (
            "It is not a regular expression that can run in linear time: lookarounds and backreferences are not "
            "allowed."
        )
    if _is_pattern(_COUNTS.sub(_without_count, pattern)):
        return "The pattern is too large: use fewer or smaller numbers in braces, such as {0,10}, and do not nest them."
    return "It is not a regular expression, or is too large."


def _pattern_work(field: FormField) -> int:
    """The maximum number of steps to match a text against the field's pattern."""
    if not field.pattern:
        return 0
    return states(whole_pattern(field.pattern)) * (field.max if isinstance(field.max, int) else LINE_CHARS)


def _without_count(count: re.Match[str]) -> str:
    """Drops a count such as `{2,5}`, but keeps one that counts down, since no pattern may have one."""
    least, most = int(count[1]), (count[2] or ",")[1:]
    return count[0] if most and int(most) < least else ""


def whole_pattern(pattern: str) -> str:
    """A pattern that matches only a whole text."""
    return f"^(?:{pattern})$"


def _check_accept(field: FormField) -> None:
    if len(field.accept) > ACCEPT_MAX:
        raise Refused("/accept", "too_many", f"The list may have at most {ACCEPT_MAX} types.")
    for index, each in enumerate(field.accept):
        if len(each) > 100 or not re.fullmatch(ACCEPT_PATTERN, each):
            detail = "Write media types such as image/* and application/pdf, or file name extensions such as .pdf."
            raise Refused(f"/accept/{index}", "wrong_value", detail)
    if field.max_bytes is not None and not 1 <= field.max_bytes <= FILE_BYTES_MAX:
        raise Refused("/max_bytes", "out_of_range", f"It must be a number of bytes from 1 to {FILE_BYTES_MAX:,}.")


def _check_default(field: FormField) -> None:
    wanted = bool if field.type == "checkbox" else list if field.type == "checkboxes" else str
    if not isinstance(field.default, wanted):
        names: dict[Callable[..., Any], str] = {bool: "true or false", list: "a list of options", str: "a string"}
        raise Refused("/default", "wrong_type", f"The default of a {field.type} field must be {names[wanted]}.")
    texts = field.default if isinstance(field.default, list) else [str(field.default)]
    for text in texts:
        if field.type in CHOICES and text not in field.choices:
            raise Refused("/default", "not_in_enum", "The default is not one of the options.")
        if len(text) > CHARS_MAX or (field.type != "textarea" and _CONTROL.search(text)):
            raise Refused("/default", "wrong_value", "The default is too long, or not a single line.")
