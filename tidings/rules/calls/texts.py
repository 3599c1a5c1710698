"""Templates for text: where the text goes determines how each value in it is escaped.

A value never changes a structure: in a URL everything but letters, digits and `-._~` is percent-encoded, in XML it is
escaped, in a header control characters are refused. Missing values and null are empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote
from xml.parsers import expat

from tidings.rules.reading.refused import Refused, escaped
from tidings.rules.template import SCOPE, JsonTemplate, Scope, TemplateFailed, TextProgram, is_template
from tidings.rules.templates.lexer import pieces
from tidings.rules.templates.numbers import shown

Escape = Callable[[Any], str]
"""Converts a value to text for a place. Raises ValueError if the value cannot be put there."""

ACCESS_TOKEN, SOAP_HEADER = "\0access_token\0", "\0soap_header\0"
"""Placeholders in XML and headers, replaced when the request is sent. No event contains a NUL, so none
contains these."""
AUTH = "auth"
"""The name under which templates see these placeholders."""
URL_CHARS_MAX = 8 * 1024
HEADER_CHARS_MAX = 8 * 1024
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_IN_XML = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
    "\t": "&#9;",
    "\n": "&#10;",
    "\r": "&#13;",
}
_XML_ESCAPE = str.maketrans(_IN_XML)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_PATH_TEXT = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*")


class TextTemplate(TextProgram):
    """A template for text, compiled. Filled by one thread at a time."""

    def __init__(self, source: str, pointer: str, escape: Escape, names: Sequence[str] = SCOPE) -> None:
        """`names`: the names that it may use. Raises Refused."""
        super().__init__(source, pointer, escape, names)
        self.pointer = pointer


def in_text(value: Any) -> str:
    """A value in plain text."""
    return str(shown(value))


def in_url(value: Any) -> str:
    """A value in a URL."""
    if type(value) in (dict, list):
        raise ValueError("a list or an object cannot be put into a URL")
    return quote(in_text(value), safe="")


def in_xml(value: Any) -> str:
    """A value in XML, in text or in an attribute."""
    text = in_text(value)
    wrong = _NOT_XML.search(text)
    if wrong is not None:
        raise ValueError(f"XML cannot contain the character U+{ord(wrong[0]):04X}")
    return text.translate(_XML_ESCAPE)


def _in_xml_or_later(value: Any) -> str:
    return value if value in (ACCESS_TOKEN, SOAP_HEADER) else in_xml(value)


class PathTemplate:
    """The path of a URL, perhaps with a query, in which every value is percent-encoded."""

    def __init__(self, source: str, pointer: str, names: Sequence[str] = SCOPE) -> None:
        """Raises Refused."""
        self._template = TextTemplate(source, pointer, in_url, names)
        plain = "".join(piece.text for piece in pieces(source) if piece.kind == "text")
        known = _PATH_TEXT.match(plain)
        assert known is not None
        if known.end() < len(plain):
            detail = f"A path cannot contain {plain[known.end()]!r}. Percent-encode it, or put it into a template."
            raise Refused(pointer, "url", detail)
        self._ends_open = source.partition("?")[0].endswith("/")
        self._is_fixed = not any(piece.kind != "text" for piece in pieces(source))

    def fill(self, scope: Scope) -> str:
        """The path. Raises TemplateFailed, also if a value would make a segment disappear."""
        path = self._template.fill(scope)
        if len(path) > URL_CHARS_MAX:
            raise TemplateFailed(self._template.pointer, f"the URL is longer than {URL_CHARS_MAX:,} characters.")
        if not self._is_fixed:
            self._check_steps(path)
        return path

    def _check_steps(self, path: str) -> None:
        steps = path.partition("?")[0].split("/")[1:]
        if steps and not steps[-1] and self._ends_open:
            steps.pop()
        for step in steps:
            if not step:
                raise TemplateFailed(
                    self._template.pointer, "a segment of the path is empty: the event has no value for it."
                )
            if step in (".", ".."):
                raise TemplateFailed(
                    self._template.pointer, f"a segment of the path would be {step!r}, which has a special meaning."
                )


class XmlTemplate:
    """An XML document with values in its text and its attributes."""

    def __init__(self, source: str, pointer: str, names: Sequence[str]) -> None:
        """Raises Refused."""
        self._template = TextTemplate(source, pointer, _in_xml_or_later, names)
        self.names_auth = AUTH in self._template.names
        _check_xml(source, pointer)

    def fill(self, scope: Scope) -> str:
        """The document. Raises TemplateFailed."""
        return self._template.fill(scope)


class Parameters:
    """The parameters of a query or a form. A list repeats its name; a missing value or null leaves its name out."""

    def __init__(self, given: Mapping[str, Any], pointer: str, names: Sequence[str] = SCOPE) -> None:
        """Raises Refused."""
        self._pointer = pointer
        self._template = JsonTemplate(dict(given), pointer, names)

    def fill(self, scope: Scope) -> str:
        """The parameters, encoded. Raises TemplateFailed."""
        found: list[str] = []
        try:
            for name, value in self._template.fill(scope).items():
                several = value if type(value) is list else [value]
                found += [f"{in_url(name)}={in_url(each)}" for each in several if each is not None]
        except ValueError as wrong:
            raise TemplateFailed(self._pointer, f"{wrong}.") from None
        return "&".join(found)


class HeaderTemplates:
    """Headers by name. A header whose value is missing, null or empty is left out."""

    def __init__(self, given: Mapping[str, str], pointer: str, names: Sequence[str] = SCOPE) -> None:
        """Raises Refused."""
        self._pointer = pointer
        self._template = JsonTemplate(dict(given), pointer, names)
        for name, value in given.items():
            if not is_template(value) and (_CONTROL.search(value) or not value.isascii()):
                code = "control_character" if value.isascii() else "not_ascii"
                raise Refused(f"{pointer}/{escaped(name)}", code, "A header must be a single line of ASCII characters.")
        self.names_auth = any(path[0] == AUTH for _, path in self._template.paths)

    def fill(self, scope: Scope) -> list[tuple[str, str]]:
        """Names and values. Raises TemplateFailed if a value cannot be in a header."""
        found = []
        for name, value in self._template.fill(scope).items():
            if type(value) in (dict, list):
                raise TemplateFailed(self._pointer, f"the header {name} cannot be a list or an object.")
            text = in_text(value).strip(" \t")
            if _CONTROL.search(text.replace(ACCESS_TOKEN, "")):
                raise TemplateFailed(self._pointer, f"the header {name} would contain a control character.")
            if not text.isascii() or len(text) > HEADER_CHARS_MAX:
                limits = f"at most {HEADER_CHARS_MAX:,} characters, which must all be ASCII"
                raise TemplateFailed(self._pointer, f"the header {name} can have {limits}.")
            if text:
                found.append((name, text))
        return found


_XML_STEP = re.compile(
    r"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>|<[!?]|</?[^\s<>/\"'=]+|/?>"
    r"|[^\s=<>\"'/]++\s*+=\s*+(?:\"[^\"<]*+\"|'[^'<]*+')|[^\s=<>\"'/]++|\s+|.",
    re.DOTALL,
)
_VALUE, _STATEMENT = "\x01", "\x02"


def _check_xml(source: str, pointer: str) -> None:
    """Raise Refused unless values are only in text and in quoted attributes, and the document is well-formed."""
    marks = {"text": None, "value": _VALUE, "statement": _STATEMENT}
    found = pieces(source)
    whole = "".join(text if marks[kind] is None else marks[kind] or "" for kind, text in found)
    wrong = _misplaced(whole)
    if wrong is not None:
        raise Refused(pointer, "xml", wrong)
    if any(kind == "statement" for kind, _ in found):
        return
    parser = expat.ParserCreate("utf-8")
    try:
        parser.Parse(whole.replace(_VALUE, "x").encode(), True)
    except (expat.ExpatError, ValueError) as error:
        raise Refused(pointer, "xml", f"This is not well-formed XML: {error}.") from None


def _misplaced(whole: str) -> str | None:
    """What is wrong with the places of values and statements, as a sentence."""
    inside = False
    place = 0
    while place < len(whole):
        if not inside and whole[place] != "<":
            place += 1
            continue
        step = _XML_STEP.match(whole, place)
        assert step is not None
        text, place = step[0], step.end()
        if text == "<!":
            return "XML with a document type (DTD) cannot be sent."
        if text == "<?":
            return "A processing instruction does not end with ?>."
        if _STATEMENT in text or _VALUE in text.partition("=" if inside else "\x00")[0]:
            what = "A statement" if _STATEMENT in text else "A value"
            where = "between elements" if _STATEMENT in text else "in the text of an element, or in a quoted attribute"
            return f"{what} can only be {where}, so that it cannot change the structure of the document."
        if text.startswith("<") and text[1:2] not in ("!", "?"):
            inside = True
        elif text in (">", "/>"):
            inside = False
    return None
