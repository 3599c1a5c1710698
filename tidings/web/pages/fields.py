"""What a browser sends from a page of ours: the fields of a posted form, and the parameters of a URL."""

from __future__ import annotations

from urllib.parse import parse_qsl

from tidings.model.errors import BadMedia, Invalid, Malformed

POSTED_BYTES_MAX = 1024 * 1024
FIELDS_MAX, QUERY_CHARS_MAX = 2_000, 8_000
FORM_MEDIA = "application/x-www-form-urlencoded"


def read_fields(raw: bytes, content_type: str) -> list[tuple[str, str]]:
    """The fields of a body, in order. Raises BadMedia, Malformed or Invalid."""
    if raw and content_type.partition(";")[0].strip().lower() != FORM_MEDIA:
        raise BadMedia(f"Forms are sent as {FORM_MEDIA}.")
    try:
        fields = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except ValueError:
        raise Malformed("The form cannot be read.") from None
    if any("\0" in value for _, value in fields):
        raise Invalid("A field contains the character NUL.")
    return fields


def read_parameters(text: str) -> dict[str, str]:
    """The parameters of a query; of a repeated one the last. Raises Malformed."""
    if len(text) > QUERY_CHARS_MAX:
        raise Malformed("The URL is too long.")
    try:
        return dict(parse_qsl(text, max_num_fields=FIELDS_MAX, errors="strict"))
    except ValueError:
        raise Malformed("The query cannot be read.") from None
