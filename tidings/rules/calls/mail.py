"""From the templates of a mail and an event to the message (RFC 5322). No value can add headers or recipients.

Each `to` is one address. A subject is one line. In HTML every value is escaped, for text and for quoted attributes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Any

import msgspec

from tidings.model.link import SendMail
from tidings.model.moment import SECOND, Micros
from tidings.rules.calls.texts import TextTemplate, in_text
from tidings.rules.template import MISSING, SCOPE, JsonTemplate, Scope, TemplateFailed

RECIPIENTS_MAX = 50
SUBJECT_CHARS_MAX = 500
ADDRESS_CHARS_MAX = 254
_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@"
    r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class Mail(msgspec.Struct, frozen=True):
    """One mail, filled in."""

    to: tuple[str, ...]
    subject: str
    text: str | None
    html: str | None


class MailTemplate:
    """The mail template of one link, compiled. Used by one thread at a time."""

    def __init__(self, what: SendMail, pointer: str = "/mail", names: Sequence[str] = SCOPE) -> None:
        """Raises Refused with the place of a template that is wrong."""
        self._pointer = pointer
        self._to = JsonTemplate(what.to, f"{pointer}/to", names)
        self._subject = TextTemplate(what.subject, f"{pointer}/subject", in_text, names)
        self._text = None if what.text is None else TextTemplate(what.text, f"{pointer}/text", in_text, names)
        self._html = None if what.html is None else TextTemplate(what.html, f"{pointer}/html", _in_html, names)

    def fill(self, scope: Scope) -> Mail:
        """The mail for an event. Raises TemplateFailed."""
        return Mail(
            to=self._recipients(self._to.fill(scope)),
            subject=self._one_line(self._subject.fill(scope)),
            text=self._whole(self._text, "text", scope),
            html=self._whole(self._html, "html", scope),
        )

    def _recipients(self, value: Any) -> tuple[str, ...]:
        at = f"{self._pointer}/to"
        several = value if type(value) is list else [value]
        found = [each for each in several if each is not MISSING and each is not None and each != ""]
        if not found:
            raise TemplateFailed(at, "the event has no value for the address.")
        if len(found) > RECIPIENTS_MAX:
            raise TemplateFailed(at, f"an email may have at most {RECIPIENTS_MAX} recipients.")
        for each in found:
            if not is_address(each):
                raise TemplateFailed(at, f"{str(each)[:80]!r} is not a single email address.")
        return tuple(dict.fromkeys(found))

    def _one_line(self, text: str) -> str:
        line = " ".join(text.split())
        if _CONTROL.search(line) or _NOT_TEXT.search(line) or len(line) > SUBJECT_CHARS_MAX:
            limits = (
                f"a subject can be at most {SUBJECT_CHARS_MAX} characters long, and cannot contain control characters."
            )
            raise TemplateFailed(f"{self._pointer}/subject", limits)
        return line

    def _whole(self, template: TextTemplate | None, name: str, scope: Scope) -> str | None:
        if template is None:
            return None
        text = template.fill(scope)
        if _NOT_TEXT.search(text):
            raise TemplateFailed(f"{self._pointer}/{name}", "an email cannot contain control characters.")
        return text


def is_address(value: Any) -> bool:
    """Whether this is one mail address, in ASCII, without a name or quotes."""
    return type(value) is str and len(value) <= ADDRESS_CHARS_MAX and _ADDRESS.fullmatch(value) is not None


def sender_address(text: str) -> str | None:
    """The address in `Name <address>`, or the address itself; None if there is no valid one."""
    if _CONTROL.search(text) or not text.isprintable():
        return None
    _, found = parseaddr(text)
    return found if is_address(found) else None


def message(mail: Mail, sender: str, key: str, now: Micros) -> bytes:
    """The message. `key`: the same on every attempt, used for Message-ID."""
    found = EmailMessage(policy=SMTP)
    found["From"] = sender
    found["To"] = ", ".join(mail.to)
    found["Subject"] = mail.subject
    found["Date"] = format_datetime(datetime.fromtimestamp(now // SECOND, UTC))
    found["Message-ID"] = f"<{key}@{(sender_address(sender) or '').rpartition('@')[2]}>"
    found["Auto-Submitted"] = "auto-generated"
    if mail.text is not None:
        found.set_content(mail.text)
        if mail.html is not None:
            found.add_alternative(mail.html, subtype="html")
            found.set_boundary(f"=_{key}")
    else:
        found.set_content(mail.html or "", subtype="html")
    return found.as_bytes()


def _in_html(value: Any) -> str:
    return html.escape(in_text(value))
