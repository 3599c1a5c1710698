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
    """The text next to it; if empty, its name."""
    help: str = ""
    placeholder: str = ""
    required: bool = False
    default: str | bool | list[str] | None = None
    """What the page shows at first. The value of a hidden field."""
    min: Bound | None = None
    """The smallest number, date or time; the fewest characters, choices or files."""
    max: Bound | None = None
    pattern: str = ""
    """A regular expression (without look-around) that the whole text must match."""
    pattern_help: str = ""
    """The message for a text that does not match it."""
    options: dict[str, str] | list[str] = []
    """What can be chosen: labels by value, or values that are their own labels."""
    autocomplete: str = ""
    """What browsers fill in (HTML): `name`, `postal-code` ...; if empty, as the type says."""
    from_query: bool = False
    """Whether the parameter of its name in the page's URL takes the place of the default."""
    accept: tuple[str, ...] = ()
    """The media types of its files, such as `image/*`, or the ends of their names, such as `.pdf`."""
    max_bytes: int | None = None
    """The size that each of its files may have."""

    @property
    def choices(self) -> dict[str, str]:
        """The options' labels by value, in order."""
        return self.options if isinstance(self.options, dict) else {each: each for each in self.options}


class FormOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a form's owner chooses. Stored as one JSON text."""

    path: str
    """What follows `/f/` in its URL."""
    fields: dict[str, FormField]
    """By name, in the order of the page."""
    title: str = ""
    description: str = ""
    """Text above the fields; blank lines part paragraphs."""
    submit: str = ""
    """The text of the button."""
    thanks: str = ""
    """The text to show after a submission, or the URL or path to redirect to."""
    lang: str = "en"
    type: str = ""
    """The type of the form's events."""
    subject: str = ""
    """The field whose value is the subject of its events; if empty, the subject is the receipt's id."""
    origins: tuple[str, ...] = ()
    """The origins of other pages that may submit it."""
    honeypot: str = ""
    """The name of the field that people do not see."""
    min_seconds: float = 0
    """A submission that is made sooner is not a person's."""
    max_per_minute: int = 0
    """How many submissions each address may make in a minute; 0: any number."""
    enabled: bool = True


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """One form."""

    id: str
    tenant: str | None
    options: FormOptions
    revision: int
    created: Micros
    updated: Micros
