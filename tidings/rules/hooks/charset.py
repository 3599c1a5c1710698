"""Other systems' texts converted to UTF-8, whatever their character set."""

from __future__ import annotations

import codecs
import re

from tidings.rules.reading.multipart import parameters

_KNOWN = re.compile(
    r"us-?ascii|iso-?8859-?[0-9]{1,2}|latin-?[0-9]{1,2}|windows-?[0-9]{3,4}|cp[0-9]{3,4}|utf-?(8|16|32)(-?[lb]e)?"
    r"|koi8-[ru]|shift[_-]?jis|euc-(jp|kr)|iso-2022-jp|gb2312|gbk|gb18030|big5"
)
"""The known character sets. Python's other encodings (zip, idna, unicode_escape) are left out."""
_PROLOG = re.compile(rb"""<\?xml[^>]{1,100}encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def charset_of(content_type: str) -> str | None:
    """The character set that a Content-Type names, as Python calls it; None if it names no known one."""
    return _known(parameters(content_type).get("charset", "").strip().lower())


def in_utf8(body: bytes, content_type: str) -> bytes | None:
    """The text in UTF-8, without a byte order mark; None if it is not text in any candidate character set."""
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            return _decoded(body, encoding)
    # Senders are careless with this header. Valid UTF-8 is hardly ever text in anything else, unless it has the NULs of
    # UTF-16 and UTF-32, or the escapes of ISO-2022-JP.
    text = body if body.isascii() else _decoded(body, "utf-8")
    if text is None or b"\0" in body or b"\x1b" in body:
        named = charset_of(content_type) or _of_prolog(body)
        if named is not None:
            return _decoded(body, named)
    return text


def _of_prolog(body: bytes) -> str | None:
    """The character set that an XML document names for itself."""
    found = _PROLOG.match(body)
    return None if found is None else _known(found[1].decode().lower())


def _known(name: str) -> str | None:
    if not _KNOWN.fullmatch(name):
        return None
    try:
        return codecs.lookup(name).name
    except LookupError:
        return None


def _decoded(body: bytes, encoding: str) -> bytes | None:
    try:
        return body.decode(encoding).encode()
    except (UnicodeError, ValueError):
        return None
