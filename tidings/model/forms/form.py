"""Forms: pages that people fill in, and their fields."""

from __future__ import annotations

from typing import Literal

import msgspec

from tidings.model.moment import Micros

InputType = Literal[
    "text",
    "textarea",
    "email",
    "tel",
    "url",
    "number",
    "integer",
    "date",
    "time",
    "select",
    "radio",
    "checkbox",
    "checkboxes",
    "hidden",
    "file",
]

Bound = float | int | str


class FormField(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One field of a form. What it is called in the event's data is its name in the form."""

    type: InputType = "text"
    label: str = ""
    """The text shown next to the field; if empty, the field's name is shown."""
    help: str = ""
    placeholder: str = ""
    required: bool = False
    default: str | bool | list[str] | None = None
    """The value that the page shows at first; for a hidden field, its value."""
    min: Bound | None = None
    """The minimum number, date or time, or the minimum number of characters, choices or files."""
    max: Bound | None = None
    pattern: str = ""
    """A regular expression (without look-around) that the whole text must match."""
    pattern_help: str = ""
    """The message for a text that does not match `pattern`."""
    options: dict[str, str] | list[str] = []
    """The choices: labels by value, or values that are also the labels."""
    autocomplete: str = ""
    """What browsers fill in (HTML's `autocomplete`), such as `postal-code`; if empty, the type determines it."""
    from_query: bool = False
    """Whether the query parameter with the field's name, in the page's URL, replaces the default."""
    accept: tuple[str, ...] = ()
    """The permitted media types of its files, such as `image/*`, or extensions of their names, such as `.pdf`."""
    max_bytes: int | None = None
    """The maximum size of each of its files."""

    @property
    def choices(self) -> dict[str, str]:
        """The options' labels by value, in order."""
        return self.options if isinstance(self.options, dict) else {each: each for each in self.options}


class FormOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a form's owner chooses. Stored as one JSON text."""

    path: str
    """The part of the form's URL after `/f/`."""
    fields: dict[str, FormField]
    """The fields by name, in the order in which the page shows them."""
    title: str = ""
    description: str = ""
    """The text above the fields; blank lines separate paragraphs."""
    submit: str = ""
    """The text of the button."""
    thanks: str = ""
    """The text to show after a submission, or the URL or path to redirect to."""
    lang: str = "en"
    type: str = ""
    """The type of the form's events."""
    subject: str = ""
    """The field whose value becomes the subject of the form's events; if empty, the subject is the receipt's id."""
    origins: tuple[str, ...] = ()
    """The origins of other pages that may submit the form."""
    honeypot: str = ""
    """The name of the honeypot: a field that people do not see."""
    min_seconds: float = 0
    """The minimum time between opening the page and submitting it. Faster submissions are not made by people."""
    max_per_minute: int = 0
    """The maximum number of submissions per address and minute; 0 means no limit."""
    enabled: bool = True


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """One form."""

    id: str
    tenant: str | None
    options: FormOptions
    revision: int
    created: Micros
    updated: Micros
