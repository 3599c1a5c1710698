"""The part `mail` of a link's declaration: one message, read into its parts and written back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidings.model.link import IN_DOUBTS, SendMail
from tidings.rules.calls.mail import MailTemplate
from tidings.rules.declare.pacing import refusing
from tidings.rules.reading.places import Places, shown
from tidings.rules.template import SCOPE

PARTS = ("via", "to", "subject", "text", "html", "in_doubt")


def read_mail(given: Any, pointer: str, wrong: Places, names: Sequence[str] = SCOPE) -> SendMail | None:
    """The mail. `pointer`: that of the link; `names`: what its templates see. Its connection is looked up later."""
    at = f"{pointer}/mail"
    before = len(wrong.found)
    mail = wrong.members(given, at, PARTS, "`mail`")
    for name in ("via", "to", "subject"):
        if mail.get(name) is None and type(given) is dict:
            wrong.say(f"{at}/{name}", "missing", f"`mail` needs `{name}`.")
    if type(given) is dict and mail.get("text") is None and mail.get("html") is None:
        wrong.say(f"{at}/text", "missing", "`mail` needs `text`, `html` or both.")
    for name in ("via", "subject", "text", "html"):
        if mail.get(name) is not None and type(mail[name]) is not str:
            wrong.say(f"{at}/{name}", "wrong_type", f"`{name}` must be a string, not {shown(mail[name])}.")
    to: Any = mail.get("to")
    several = to if type(to) is list else [to]
    if to is not None and not (several and all(type(each) is str for each in several)):
        wrong.say(f"{at}/to", "wrong_type", f"`to` must be an address or a list of addresses, not {shown(to)}.")
    if mail.get("in_doubt") is not None and mail["in_doubt"] not in IN_DOUBTS:
        wrong.say(f"{at}/in_doubt", "not_in_enum", f"`in_doubt` must be {' or '.join(IN_DOUBTS)}.")
    if len(wrong.found) > before:
        return None
    found = SendMail(
        via=mail["via"],
        to=to,
        subject=mail["subject"],
        text=mail.get("text"),
        html=mail.get("html"),
        in_doubt=mail.get("in_doubt"),
    )
    refusing(lambda: MailTemplate(found, at, names), wrong)
    return found


def plain_mail(what: SendMail) -> dict[str, Any]:
    """The mail in its canonical form."""
    found = {"via": what.via, "to": what.to, "subject": what.subject}
    rest = {"text": what.text, "html": what.html, "in_doubt": what.in_doubt}
    return found | {name: value for name, value in rest.items() if value is not None}
