"""The pages of forms: what the templates show, and the policies that browsers enforce.

The templates escape everything that is shown. A page has no script, and fetches only its one style sheet, from this
server; the sheet's name is the hash of its content, so that browsers may keep it. The sheet's URL is relative to the
page, so it is right below any prefix that a proxy strips.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl

from minijinja import Environment

from tidings.control.forms.body import is_target
from tidings.intake.forms.receive import FormAnswer
from tidings.intake.forms.tokens import FIELD
from tidings.model.forms.form import Form, FormField, InputType
from tidings.rules.forms.fields import LINES, LINKS_MAX, MANY
from tidings.rules.forms.texts import FALLBACK, Says, language_of, size_text, types_text
from tidings.rules.forms.values import CHECKED, chars_max
from tidings.rules.network.origin import ANY

STATIC = files("tidings.web.forms") / "static"
STYLE_FOLDER = "@/"
"""The folder of the style sheet below `/f/`; no form's path begins like this."""
PREFILLED_CHARS_MAX, QUERY_FIELDS_MAX = 1_000, 100
PAGES_KEPT, DEPTH_MAX = 1_000, 8
SHORT_CHARS = 500
"""A field for texts of up to this many characters has only a few rows."""
RIGHT_TO_LEFT = ("ar", "dv", "fa", "he", "ku", "ps", "sd", "ug", "ur", "yi")

_PLACE = f"token-{secrets.token_hex(8)}"
"""The placeholder for the token in a cached page. It is random, so that nobody can put it into a form's texts."""
_AUTOCOMPLETE: dict[InputType, str] = {"email": "email", "tel": "tel", "url": "url"}
_CONTROLS: dict[InputType, str] = {"number": "text", "integer": "text"}
"""Number fields are text inputs: for a number input that contains no number, browsers send nothing, so what was typed
would be lost."""
_MODES: dict[InputType, str] = {"number": "decimal", "integer": "numeric"}
_URL = re.compile(r"(https?://[^\s<>\"]*[^\s<>\".,;:!?)'\]])", re.IGNORECASE)
_PARAGRAPHS = re.compile(r"\n[ \t]*\n")


@cache
def style() -> tuple[str, bytes]:
    """The path of the style sheet below `/f/`, and its content."""
    content = (STATIC / "form.css").read_bytes()
    return f"{STYLE_FOLDER}form-{hashlib.sha256(content).hexdigest()[:16]}.css", content


def policy(form: Form | None) -> str:
    """The Content-Security-Policy of a page. Browsers also check where the response to a form redirects to."""
    target, ancestors = "", "'none'"
    if form is not None:
        options = form.options
        if is_target(options.thanks) and not options.thanks.startswith("/"):
            target = " https:" if options.thanks.lower().startswith("https:") else " http: https:"
        if options.origins:
            ancestors = "*" if ANY in options.origins else " ".join(("'self'", *options.origins))
    return (
        f"default-src 'none'; style-src 'self'; img-src data:; form-action 'self'{target}; base-uri 'none'; "
        f"frame-ancestors {ancestors}"
    )


class BlankPages:
    """Forms as they are opened, rendered once for each revision: only the token differs. Belongs to one event loop."""

    def __init__(self, body_bytes: int) -> None:
        self._body_bytes = body_bytes
        self._known: dict[str, tuple[Form, bytes, bytes]] = {}

    def page(self, form: Form, says: Says, token: str, query: str) -> bytes:
        """The page of a form. `query`: the query of its URL, which may fill in some fields."""
        given = _prefilled(form, query) if query else {}
        if given:
            return form_page(form, says, token, query=given, body_bytes=self._body_bytes)
        known = self._known.get(form.id)
        if known is None or known[0] is not form:
            if len(self._known) >= PAGES_KEPT:
                self._known.clear()
            page = form_page(form, says, _PLACE, body_bytes=self._body_bytes)
            before, _, after = page.partition(_PLACE.encode())
            known = self._known[form.id] = form, before, after
        return known[1] + token.encode() + known[2]


def form_page(
    form: Form,
    says: Says,
    token: str,
    *,
    query: Mapping[str, str] | None = None,
    answer: FormAnswer | None = None,
    body_bytes: int,
) -> bytes:
    """The page of a form: empty, or with the submission (`answer`) and what is wrong with it.

    `query`: the parameters of its URL. `body_bytes`: how much may be sent.
    """
    options = form.options
    said = [] if answer is None else _said(form, says, answer)
    wrong = dict(reversed(said))
    shown = [
        _field(name, field, says, _values(name, field, query, answer), wrong.get(name, ""), body_bytes)
        for name, field in options.fields.items()
    ]
    first = {field["name"]: field["first"] for field in shown}
    labels = {field["name"]: field["label"] for field in shown if field["kind"] != "hidden"}
    problems = [{"at": first.get(name, ""), "label": labels.get(name, ""), "text": text} for name, text in said]
    title = says.say("error_title", title=options.title) if answer is not None else options.title
    return _render(
        "form.html",
        form,
        says,
        page_title=title,
        description=_paragraphs(options.description),
        fields=shown,
        problems=problems,
        again=says.say(answer.again) if answer is not None and answer.again else "",
        problem_title=says.say("problem" if problems else "not_sent"),
        needs_files=any(field.type == "file" for field in options.fields.values()),
        required_note=says.say("required_note", mark="*") if any(each["required"] for each in shown) else "",
        submit=options.submit or says.say("submit"),
        submit_lang="" if options.submit else _lang(form, says),
        honeypot=options.honeypot,
        token_name=FIELD,
        token=token,
        action=options.path.rpartition("/")[2],
    )


def _said(form: Form, says: Says, answer: FormAnswer) -> list[tuple[str, str]]:
    """What is wrong, by the name of the field. Browsers never refill a chosen file, so it has to be chosen again."""
    said = [(each.name, each.text) for each in answer.wrong]
    named = {name for name, _ in said}
    lost = [name for name, files in answer.posted.files.items() if files and name in form.options.fields]
    return said + [(name, says.say("file_again")) for name in lost if name not in named]


def thanks_page(form: Form, says: Says) -> bytes:
    """The page after a submission."""
    own = form.options.thanks
    return _render(
        "message.html",
        form,
        says,
        page_title=says.say("thanks_title"),
        title=says.say("thanks_title"),
        title_lang=_lang(form, says),
        paragraphs=_paragraphs(own or says.say("thanks")),
        text_lang="" if own else _lang(form, says),
        link=form.options.path.rpartition("/")[2],
        link_text=says.say("again"),
        mood="good",
    )


@lru_cache(maxsize=64)
def nothing_page(title: str, text: str, depth: int) -> bytes:
    """The page of a URL without a form. `depth`: how many segments follow the door's, at most DEPTH_MAX."""
    return message_page(None, Says(FALLBACK), title, text, depth)


def message_page(form: Form | None, says: Says, title: str, text: str, depth: int = 0) -> bytes:
    """A page that says why something was not done. `depth`: that of the page's URL, if there is no form."""
    return _render(
        "message.html",
        form,
        says,
        page_title=title,
        title=title,
        title_lang=_lang(form, says),
        paragraphs=_paragraphs(text),
        text_lang=_lang(form, says),
        link="",
        mood="bad",
        depth=depth,
    )


def _render(template: str, form: Form | None, says: Says, *, depth: int = 0, **values: Any) -> bytes:
    options = form.options if form is not None else None
    lang = options.lang if options is not None else says.language
    steps = options.path.count("/") if options is not None else depth
    values = {
        "lang": lang,
        "dir": _direction(lang),
        "says_dir": _direction(says.language),
        "style": "../" * steps + style()[0],
        "says_lang": _lang(form, says),
        "form_title": options.title if options is not None else "",
        "choose": says.say("choose"),
    } | values
    return _environment().render_template(template, **values).encode()


@cache
def _environment() -> Environment:
    environment = Environment(undefined_behavior="strict", trim_blocks=True, lstrip_blocks=True)
    for name in ("page.html", "prose.html", "form.html", "message.html"):
        environment.add_template(name, (STATIC / name).read_text("utf-8"))
    return environment


def _direction(lang: str) -> str:
    return "rtl" if lang.partition("-")[0].lower() in RIGHT_TO_LEFT else "ltr"


def _lang(form: Form | None, says: Says) -> str:
    """The language of our sentences, if it differs from the page's, so that screen readers pronounce them right."""
    if form is None or form.options.lang.partition("-")[0].lower() == says.language:
        return ""
    return language_of(says.language)


def _values(name: str, field: FormField, query: Mapping[str, str] | None, answer: FormAnswer | None) -> list[str]:
    """What a field shows: what was sent, what the URL says, or its default."""
    if answer is not None:
        sent = answer.posted.texts.get(name, [])
        return [str(field.default)] if field.type == "hidden" and not field.from_query else sent
    if field.from_query and query is not None and name in query:
        text = query[name][:PREFILLED_CHARS_MAX]
        return text.split(",") if field.type == "checkboxes" else [text]
    default = field.default
    if isinstance(default, list):
        return default
    return ["on"] if default is True else [default] if isinstance(default, str) else []


def _field(
    name: str, field: FormField, says: Says, values: Sequence[str], error: str, body_bytes: int
) -> dict[str, Any]:
    """The values of a field for the template."""
    ident, text = f"f-{name}", values[0] if values else ""
    hints = _hints(field, says, body_bytes)
    about = [f"{ident}-help"] if field.help else []
    about += [f"{ident}-hint"] if hints else []
    about += [f"{ident}-error"] if error else []
    chosen = set(values)
    options = [
        {"id": f"{ident}-{index}" if index else ident, "value": value, "label": label, "chosen": value in chosen}
        for index, (value, label) in enumerate(field.choices.items())
    ]
    return {
        "name": name,
        "id": ident,
        "first": ident,
        "kind": field.type,
        "control": _CONTROLS.get(field.type, field.type),
        "label": field.label or _label(name),
        "help": _linked(field.help),
        "hints": hints,
        "error": error,
        "required": field.required,
        "placeholder": field.placeholder,
        "value": text,
        "checked": text.strip().lower() in CHECKED,
        "options": options,
        "autocomplete": field.autocomplete or _AUTOCOMPLETE.get(field.type, ""),
        "inputmode": _MODES.get(field.type, ""),
        "multiple": field.type in MANY and field.max != 1 and field.max is not None,
        "accept": ",".join(field.accept),
        "about": " ".join(about),
        "rows": 7 if chars_max(field) > SHORT_CHARS else 3 if field.type == "textarea" else 0,
        "bounds": _bounds(field),
    }


def _hints(field: FormField, says: Says, body_bytes: int) -> list[str]:
    """The limits that people must know before they begin, from the field's declaration."""
    found = []
    if field.type in (*LINES, "textarea") and field.max is not None:
        found.append(says.say("hint_most", max=f"{field.max:,}"))
    if field.type == "file":
        size = size_text(min(body_bytes, field.max_bytes or body_bytes))
        many = isinstance(field.max, int) and field.max > 1
        found.append(says.say("hint_files", max=field.max, size=size) if many else says.say("hint_file", size=size))
        if field.accept:
            found.append(says.say("hint_accept", accept=types_text(field.accept, says)))
    return found


def _bounds(field: FormField) -> dict[str, str]:
    """The bounds of date and time pickers."""
    if field.type not in ("date", "time"):
        return {}
    return {name: str(bound) for name, bound in (("min", field.min), ("max", field.max)) if bound is not None}


def _label(name: str) -> str:
    return re.sub("[_-]+", " ", name).strip().capitalize() or name


def _paragraphs(text: str) -> list[list[dict[str, str]]]:
    found = _PARAGRAPHS.split(text.replace("\r\n", "\n"))
    return [_linked(each.strip()) for each in found if each.strip()]


def _prefilled(form: Form, query: str) -> dict[str, str]:
    """The parameters of a page's URL that fill in fields; the first of each name. Too many fill in nothing."""
    if not any(field.from_query for field in form.options.fields.values()):
        return {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError:
        return {}
    fields = form.options.fields
    return {name: text for name, text in reversed(pairs) if name in fields and fields[name].from_query}


def _linked(text: str) -> list[dict[str, str]]:
    """A text in pieces, every second one a URL, so that a form can link to what people agree to."""
    pieces = _URL.split(text, LINKS_MAX)
    return [{"text": each, "url": each if index % 2 else ""} for index, each in enumerate(pieces) if each]
