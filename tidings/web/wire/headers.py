"""The headers of a request: which of them may be given only once, and which must be there (RFC 9110, RFC 9112).

Other doors keep headers exactly as received, repeated ones included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidings.model.errors import Malformed

ONCE_ONLY = ("authorization", "content-type", "host", "idempotency-key", "if-match", "if-none-match", "last-event-id")
"""Headers that must not be repeated: two programs could choose different values."""
NO_HOST = "The header `host` is missing; HTTP/1.1 requires it (RFC 9112)."


def check(lines: Sequence[tuple[str, str]], headers: Mapping[str, str], version: str) -> None:
    """Check the header lines as they arrived, and the same by name. Raises Malformed. `version`: of HTTP."""
    if len(headers) != len(lines):
        _refuse_repeated(lines)
    if "host" not in headers and version == "1.1":
        raise Malformed.of_parameter("host", "missing", NO_HOST)


def _refuse_repeated(lines: Sequence[tuple[str, str]]) -> None:
    names = [name for name, _ in lines]
    for name in ONCE_ONLY:
        if names.count(name) > 1:
            raise Malformed.of_parameter(name, "repeated", f"The header `{name}` is given twice.")
