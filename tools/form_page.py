"""The page of the fields of forms in docs/reference, made from what their declarations may have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import get_args

from tidings.model.forms.form import FormField, InputType
from tidings.rules.forms.fields import AREA_CHARS, CHARS_MAX, FILES_MAX, LINE_CHARS, NEVER, ONLY

Table = Callable[[Sequence[str], Iterable[Sequence[object]]], str]

TYPES: dict[str, tuple[str, str, str]] = {
    "text": ("one line of text", "characters", "a string"),
    "textarea": ("text of several lines", "characters", "a string, its lines separated by `\\n`"),
    "email": ("an email address", "characters", "a string"),
    "tel": ("a phone number: digits, spaces and `+ - . / ( )`", "characters", "a string"),
    "url": ("a web address: `http://` or `https://`, without a password", "characters", "a string"),
    "number": ("a number such as `12.5`", "the number", "a number, with every digit as typed"),
    "integer": ("a whole number of up to 64 bits", "the number", "a number"),
    "date": ("a date, with the browser's picker", "the date: `2026-11-29`", "a string such as `2026-11-29`"),
    "time": ("a time of day, with the browser's picker", "the time: `17:30`", "a string such as `14:30`"),
    "select": ("one of the `options`, in a drop-down list", "", "a string: the option's value"),
    "radio": ("one of the `options`, all of them visible", "", "a string: the option's value"),
    "checkbox": ("a box to tick; `required` means that it must be ticked", "", "`true` or `false`"),
    "checkboxes": ("any of the `options`", "choices", "a list of strings, in the order of the options"),
    "hidden": (
        "nothing: the value is the field's `default` or, with `from_query`, the value in the page's URL",
        "",
        "a string",
    ),
    "file": (
        "a file, or several if `max` is more than 1",
        "files",
        "an object with `name`, `type`, `size` and `base64`; a list of them if `max` is more than 1",
    ),
}
"""What people enter, what `min` and `max` bound, and what is in the event."""
MEMBERS: dict[str, str] = {
    "type": "One of the types above; `text` if omitted.",
    "label": 'The text next to the field. The default is the name, capitalized: "First name" for `first_name`.',
    "help": "More text, below the label. URLs in it become links.",
    "placeholder": "A sample shown in the empty field. It disappears when people type, so it cannot replace a label.",
    "required": "Whether the field must be filled in, chosen or ticked.",
    "default": "What the page shows initially: a string, `true` for a checkbox, or a list for checkboxes.",
    "min": "The minimum length, count or value; see the table above. It applies only if the field is filled in.",
    "max": f"The maximum length, count or value; see the table above. The default is {LINE_CHARS:,} characters for a "
    f"single line, {AREA_CHARS:,} for a textarea, and one file. The limits are {CHARS_MAX:,} characters and "
    f"{FILES_MAX} files.",
    "pattern": "A regular expression, without look-around, that the whole text must match.",
    "pattern_help": "The message for input that does not match `pattern`.",
    "options": "What can be chosen: a list of values, or an object that maps each value to its label.",
    "autocomplete": "What browsers fill in: a value of HTML's `autocomplete` attribute, such as `name` or "
    "`postal-code`. The default depends on the type.",
    "from_query": "Whether the field is filled in from the parameter of the same name in the page's URL, as in "
    "`/f/contact?topic=press`.",
    "accept": "The accepted file types, such as `image/*`, `application/pdf` or `.pdf`. A file's type is "
    "the one that the browser claims.",
    "max_bytes": "The maximum size of each file, in bytes. `max_form_bytes` limits the whole submission.",
}


def lines(table: Table) -> Iterator[str]:
    """The page without its title."""
    assert tuple(TYPES) == get_args(InputType) and tuple(MEMBERS) == FormField.__struct_fields__
    yield "A [form](../howto/forms.md) declares its fields by name, in the order in which the page shows them:"
    yield "`fields: {NAME: {type: ..., ...}}`. A name begins with a letter and consists of letters, digits, `_` and"
    yield "`-`. Fields that are left empty are not in the event."
    yield ""
    yield "## Types"
    yield ""
    yield table(
        ["type", "people enter", "`min` and `max` bound", "in the event's `data`"],
        [(f"`{name}`", *told) for name, told in TYPES.items()],
    )
    yield ""
    yield "## Members"
    yield ""
    yield table(
        ["member", "for the types", "meaning"],
        [(f"`{name}`", _types(name), meaning) for name, meaning in MEMBERS.items()],
    )


def _types(member: str) -> str:
    """The types that can have a member."""
    if member in ONLY:
        return ", ".join(ONLY[member])
    if member in NEVER:
        return f"all but {', '.join(NEVER[member])}"
    if member == "pattern_help":
        return ", ".join(ONLY["pattern"])
    return "all"
