"""What people sent, checked against a form's fields: the data of an event, or a sentence for each wrong field."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from tidings.model.forms.form import FormField
from tidings.rules.forms.fields import (
    AREA_CHARS,
    LINE_CHARS,
    LINES,
    MANY,
    NUMBERS,
    TEXTS,
    TIMES,
    bound_text,
    is_number,
    ordered,
    whole_pattern,
)
from tidings.rules.forms.posted import Posted, PostedFile
from tidings.rules.forms.texts import Says, size_text, types_text
from tidings.rules.reading.schema import Validator, compiled

CHECKED = ("on", "true", "1", "yes")
"""The values that mean that a checkbox is ticked."""

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
_TEL = re.compile(r"\+?[0-9 ()./-]{3,40}")
_URL = re.compile(r"https?://[^\s/?#@]+([/?#]\S*)?", re.IGNORECASE)
_BREAK = re.compile("[\r\n\u2028\u2029]")


class WrongField(NamedTuple):
    """What is wrong with a field: a code for programs, a sentence for people."""

    name: str
    code: str
    text: str


class _Said(Exception):
    """Something is wrong with a value."""

    def __init__(self, code: str, sentence: str, **values: Any) -> None:
        super().__init__(code)
        self.code, self.sentence, self.values = code, sentence, values


class FormChecks:
    """The checks of a form's fields, compiled. Never raises for what people send."""

    def __init__(self, fields: dict[str, FormField], lang: str) -> None:
        """`lang`: the language of the sentences."""
        self.fields, self.says = fields, Says(lang)
        self._email = compiled({"type": "string", "format": "email"})
        self._patterns = {
            name: compiled({"type": "string", "pattern": whole_pattern(field.pattern)})
            for name, field in fields.items()
            if field.pattern
        }

    def unknown(self, posted: Posted, own: tuple[str, ...]) -> list[WrongField]:
        """The names that were sent and are not fields. `own`: known names that are not fields."""
        known = {*self.fields, *own}
        strange = [name for name in posted.names() if name not in known]
        return [WrongField(name, "unknown_field", self.says.say("unknown", name=repr(name[:64]))) for name in strange]

    def check(self, posted: Posted) -> tuple[dict[str, Any], list[WrongField]]:
        """The data of the event, in the order of the fields, and what is wrong. Empty values are left out."""
        data: dict[str, Any] = {}
        wrong: list[WrongField] = []
        for name, field in self.fields.items():
            try:
                value = self._value(name, field, posted)
            except _Said as said:
                text = self.says.say(said.sentence, **said.values) if said.sentence else field.pattern_help
                wrong.append(WrongField(name, said.code, text))
            else:
                if value is not None:
                    data[name] = value
        return data, wrong

    def _value(self, name: str, field: FormField, posted: Posted) -> Any:
        texts, files = posted.texts.get(name, []), posted.files.get(name, [])
        if field.type == "file":
            if any(texts):
                raise _Said("wrong_type", "file_again")
            return _files(field, files, self.says)
        if files:
            raise _Said("wrong_type", "control_character")
        if len(texts) > 1 and field.type not in MANY:
            raise _Said("repeated", "repeated")
        if field.type == "checkboxes":
            return _choices(field, [each for each in texts if each])
        text = texts[0] if texts else ""
        if _CONTROL.search(text):
            raise _Said("control_character", "control_character")
        if field.type == "checkbox":
            return _box(field, text)
        if field.type == "hidden":
            return _hidden(field, name in posted.texts, text)
        if field.type == "textarea":
            text = text.replace("\r\n", "\n").replace("\r", "\n")
            text = text if text.strip() else ""
        else:
            text = text.strip()
        if not text:
            if field.required:
                raise _Said("missing", "missing_choice" if field.type in ("select", "radio") else "missing")
            return None
        return self._filled(name, field, text)

    def _filled(self, name: str, field: FormField, text: str) -> Any:
        """The value of a text that is not empty."""
        if field.type in TEXTS:
            if field.type in LINES and _BREAK.search(text):
                raise _Said("wrong_value", "one_line")
            _check_length(field, text)
            self._check_text(name, field, text)
            return text
        if field.type in ("select", "radio"):
            if text not in field.choices:
                raise _Said("not_in_enum", "not_an_option")
            return text
        value = ordered(field.type, text)
        if value is None:
            if field.type in NUMBERS and is_number(text) and (field.type == "number" or not set(text) & set(".eE")):
                raise _Said("not_exact", "digits")
            raise _Said("format", field.type)
        _check_range(field, value)
        return msgspec.Raw(text.encode()) if field.type in NUMBERS else text

    def _check_text(self, name: str, field: FormField, text: str) -> None:
        if (
            (field.type == "email" and not self._email.is_valid(text))
            or (field.type == "tel" and (not _TEL.fullmatch(text) or sum(map(str.isdigit, text)) < 3))
            or (field.type == "url" and not _URL.fullmatch(text))
        ):
            raise _Said("format", field.type)
        pattern: Validator | None = self._patterns.get(name)
        if pattern is not None and not pattern.is_valid(text):
            raise _Said("pattern", "" if field.pattern_help else "pattern")


def chars_max(field: FormField) -> int:
    """How many characters a text may have."""
    if isinstance(field.max, int):
        return field.max
    return AREA_CHARS if field.type == "textarea" else LINE_CHARS


def _check_length(field: FormField, text: str) -> None:
    most = chars_max(field)
    if len(text) > most:
        raise _Said("too_long", "too_long", max=f"{most:,}", has=f"{len(text):,}")
    if isinstance(field.min, int) and len(text) < field.min:
        raise _Said("too_short", "too_short", min=f"{field.min:,}", has=f"{len(text):,}")


def _check_range(field: FormField, value: Any) -> None:
    is_time = field.type in TIMES
    for bound, name, sentence in ((field.min, "min", "early" if is_time else "small"), (field.max, "max", "")):
        if bound is None:
            continue
        limit = ordered(field.type, bound_text(bound))
        if value < limit if name == "min" else value > limit:
            sentence = f"too_{sentence or ('late' if is_time else 'large')}"
            raise _Said("out_of_range", sentence, **{name: bound_text(bound)})


def _box(field: FormField, text: str) -> bool:
    is_ticked = text.strip().lower() in CHECKED
    if text and not is_ticked and text.strip().lower() not in ("off", "false", "0", "no"):
        raise _Said("wrong_value", "not_an_option")
    if field.required and not is_ticked:
        raise _Said("missing", "missing_box")
    return is_ticked


def _choices(field: FormField, chosen: list[str]) -> list[str] | None:
    if any(each not in field.choices for each in chosen):
        raise _Said("not_in_enum", "not_an_option")
    if len(set(chosen)) != len(chosen):
        raise _Said("repeated", "repeated")
    if not chosen and field.required:
        raise _Said("missing", "missing_choice")
    if chosen and isinstance(field.min, int) and len(chosen) < field.min:
        raise _Said("too_few", "too_few_choices", min=field.min)
    if isinstance(field.max, int) and len(chosen) > field.max:
        raise _Said("too_many", "too_many_choices", max=field.max)
    return [each for each in field.choices if each in chosen] or None


def _hidden(field: FormField, is_sent: bool, text: str) -> str | None:
    if field.from_query:
        text = text.strip()
        if len(text) > LINE_CHARS or _BREAK.search(text):
            raise _Said("too_long", "too_long", max=f"{LINE_CHARS:,}", has=f"{len(text):,}")
        return text or (field.default if isinstance(field.default, str) else None)
    if is_sent and text != field.default:
        raise _Said("wrong_value", "fixed")
    return str(field.default)


def _files(field: FormField, files: list[PostedFile], says: Says) -> Any:
    if not files:
        if field.required:
            raise _Said("missing", "missing_file")
        return None
    most = field.max if isinstance(field.max, int) else 1
    if len(files) > most:
        raise _Said("too_many", "too_many_files", max=most)
    if isinstance(field.min, int) and len(files) < field.min:
        raise _Said("too_few", "too_few_files", min=field.min)
    for file in files:
        if field.max_bytes is not None and len(file.content) > field.max_bytes:
            raise _Said("too_large", "file_too_large", name=file.name, max=size_text(field.max_bytes))
        if field.accept and not is_accepted(file, field.accept):
            raise _Said("wrong_value", "file_type", name=file.name, accept=types_text(field.accept, says))
    found = [file.data() for file in files]
    return found if most > 1 else found[0]


def is_accepted(file: PostedFile, accept: tuple[str, ...]) -> bool:
    """Whether a file is of one of these types, by the type that its sender gave, or by the extension of its name."""
    family = file.type.partition("/")[0]
    return any(
        file.name.lower().endswith(each.lower()) if each.startswith(".") else each in (file.type, f"{family}/*")
        for each in accept
    )
