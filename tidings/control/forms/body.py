"""A form as callers write it, and its checks."""

from __future__ import annotations

import re

import msgspec

from tidings.model.event import OWN_TYPES
from tidings.model.forms.form import FormField, FormOptions
from tidings.rules.event_types import TYPE_CHARS_MAX, check_type
from tidings.rules.forms import fields as field_rules
from tidings.rules.hooks.naming import check_path
from tidings.rules.network.origin import origins
from tidings.rules.reading.refused import Refused

TITLE_CHARS_MAX = 200
TEXT_CHARS_MAX = 10_000
SUBMIT_CHARS_MAX = 100
URL_CHARS_MAX = 2_000
MIN_SECONDS_MAX = 60
PER_MINUTE_DEFAULT, PER_MINUTE_MAX = 20, 100_000
LANG_PATTERN = "[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}"
HONEYPOTS = ("website", "homepage", "fax_number", "middle_name")
"""Names for the honeypot that look like those of real fields. The first one that is not the name of a field is used."""

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_URL = re.compile(r"https?://[A-Za-z0-9._~:\[\]-]+(/[^\s\x00-\x1f\x7f\\<>\"]*)?", re.IGNORECASE)
_TARGET = re.compile(r"/(?!/)[^\s\x00-\x1f\x7f\\<>\"]*")


class FormBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A form, whose page is at `/f/` followed by its `path`. Each submission becomes an event with the `fields` as
    data. `thanks` is the text of the next page, or a URL or path to redirect to. `subject` names the field whose value
    is the subject of the events. Pages from the `origins` can submit the form too. A submission that
    fills in the field named `honeypot`, which people do not see, or that takes less than `min_seconds`, is not from a
    person.
    """

    path: str
    fields: dict[str, FormField]
    title: str = ""
    description: str = ""
    submit: str = ""
    thanks: str = ""
    lang: str = "en"
    type: str | None = None
    subject: str = ""
    origins: tuple[str, ...] = ()
    honeypot: str | None = None
    min_seconds: float = 0
    max_per_minute: int = PER_MINUTE_DEFAULT
    enabled: bool = True


class NewForm(FormBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A form to declare. The paths of a tenant's forms begin with the tenant's id."""

    tenant: str | None = None


def checked(given: FormBody, tenant: str | None) -> FormOptions:
    """The options to store. Raises Refused with the place of what is wrong."""
    check_path(given.path)
    if tenant is not None and not given.path.startswith(f"{tenant}/"):
        raise Refused("/path", "path", f"The paths of this tenant's forms must begin with {tenant}/.")
    field_rules.check_fields(given.fields)
    _check_texts(given)
    if given.subject and given.subject not in given.fields:
        raise Refused("/subject", "subject", f"There is no field {given.subject[:100]!r}.")
    if given.subject and given.fields[given.subject].type in ("checkbox", "checkboxes", "file", "textarea"):
        raise Refused(
            "/subject",
            "subject",
            "A subject is a single line of text, so it cannot come from this field. Choose a field of another type.",
        )
    if not 0 <= given.min_seconds <= MIN_SECONDS_MAX:
        raise Refused("/min_seconds", "out_of_range", f"min_seconds must be from 0 to {MIN_SECONDS_MAX}.")
    if not 0 <= given.max_per_minute <= PER_MINUTE_MAX:
        detail = f"max_per_minute must be from 0 to {PER_MINUTE_MAX:,}; 0 means no limit."
        raise Refused("/max_per_minute", "out_of_range", detail)
    return FormOptions(
        path=given.path,
        fields=given.fields,
        title=given.title or _title(given.path),
        description=given.description,
        submit=given.submit,
        thanks=given.thanks,
        lang=given.lang,
        type=default_type(given.path) if given.type is None else _checked_type(given.type),
        subject=given.subject,
        origins=origins(given.origins, "/origins"),
        honeypot=_honeypot(given),
        min_seconds=given.min_seconds,
        max_per_minute=given.max_per_minute,
        enabled=given.enabled,
    )


def is_target(thanks: str) -> bool:
    """Whether browsers are redirected there, rather than shown it as a text."""
    return thanks.startswith("/") or re.match("https?://", thanks, re.IGNORECASE) is not None


def default_type(path: str) -> str:
    """The type of a form's events if none is given: `form.contact.submitted`."""
    middle = re.sub(r"\.{2,}", ".", re.sub("[^A-Za-z0-9_.-]+", "_", path.replace("/", "."))).strip(".")
    return f"form.{middle[: TYPE_CHARS_MAX - 20].strip('.')}.submitted"


def _checked_type(kind: str) -> str:
    check_type(kind, "/type")
    if kind.startswith(OWN_TYPES):
        raise Refused("/type", "event_type", f"Types that begin with {OWN_TYPES} are published by Tidings itself.")
    return kind


def _check_texts(given: FormBody) -> None:
    field_rules.check_line(given.title, TITLE_CHARS_MAX, "/title")
    field_rules.check_line(given.submit, SUBMIT_CHARS_MAX, "/submit")
    for name in ("description", "thanks"):
        text = getattr(given, name)
        if len(text) > TEXT_CHARS_MAX:
            raise Refused(f"/{name}", "too_long", f"{name} may have at most {TEXT_CHARS_MAX:,} characters.")
        if _CONTROL.search(text):
            raise Refused(f"/{name}", "control_character", f"{name} must not contain control characters.")
    if is_target(given.thanks):
        fits = _TARGET if given.thanks.startswith("/") else _URL
        if len(given.thanks) > URL_CHARS_MAX or not fits.fullmatch(given.thanks) or not given.thanks.isascii():
            detail = (
                "thanks must be a percent-encoded path such as /thanks, or a URL such as https://example.com/thanks."
            )
            raise Refused("/thanks", "url", detail)
    if not re.fullmatch(LANG_PATTERN, given.lang):
        raise Refused("/lang", "wrong_value", "lang must be a language tag such as en, de or pt-BR.")


def _honeypot(given: FormBody) -> str:
    if given.honeypot is None:
        return next((name for name in HONEYPOTS if name not in given.fields), "website_2")
    field_rules.check_name(given.honeypot, "/honeypot")
    if given.honeypot in given.fields:
        raise Refused("/honeypot", "name", "The honeypot must not have the name of one of the form's fields.")
    return given.honeypot


def _title(path: str) -> str:
    return re.sub("[/_-]+", " ", path.rpartition("/")[2]).strip().capitalize() or path
