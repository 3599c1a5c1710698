"""XML as plain values. No document type is read, so nothing can be defined, fetched or expanded."""

from __future__ import annotations

from typing import Any
from xml.parsers import expat

XML_DEPTH_MAX = 60
"""The maximum depth of XML: that of JSON, minus the levels around it in an event."""
XML_NODES_MAX = 100_000


class Unread(Exception):
    """The XML is not read; the text says why."""


def xml_object(body: bytes) -> dict[str, Any]:
    """The root element by its name: attributes as `@name`, text next to them as `#text`, no prefixes. Raises Unread."""
    reader = _Reader()
    # The text is in UTF-8 already, whatever its declaration says.
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.buffer_text = True
    try:
        parser.Parse(body, True)
    except expat.ExpatError as wrong:
        raise Unread(f"The XML cannot be parsed: {wrong}.") from None
    return reader.root


class _Reader:
    """Builds plain values while expat reads."""

    def __init__(self) -> None:
        self.root: dict[str, Any] = {}
        self._open: list[dict[str, Any]] = [self.root]
        self._texts: list[list[str]] = [[]]
        self._nodes = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._nodes += 1 + len(attributes)
        if len(self._open) > XML_DEPTH_MAX:
            raise Unread(f"The XML is nested deeper than {XML_DEPTH_MAX} levels.")
        if self._nodes > XML_NODES_MAX:
            raise Unread(f"The XML has more than {XML_NODES_MAX:,} elements and attributes.")
        named = {key: value for key, value in attributes.items() if key != "xmlns" and not key.startswith("xmlns:")}
        self._open.append({f"@{_plain(key)}": value for key, value in named.items()})
        self._texts.append([])

    def end(self, name: str) -> None:
        element, text = self._open.pop(), "".join(self._texts.pop()).strip()
        value: Any = element
        if not element:
            value = text
        elif text:
            element["#text"] = text
        parent, name = self._open[-1], _plain(name)
        if name not in parent:
            parent[name] = value
        elif isinstance(parent[name], list):
            parent[name].append(value)
        else:
            parent[name] = [parent[name], value]

    def text(self, data: str) -> None:
        self._texts[-1].append(data)

    def doctype(self, *_: Any) -> None:
        raise Unread("XML with a document type (DTD) is not read: it could define entities.")


def _plain(name: str) -> str:
    return name.rpartition(":")[2]
