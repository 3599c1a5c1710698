"""Bodies that hold a list of many small things, read slice by slice: none stops the event loop for more than a moment.

The list is split by a parser that keeps its elements as text, at gigabytes a second. A few elements together then form
a small body of the same kind, which is read as strictly as any body.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import msgspec

from tidings.model.errors import Invalid, Malformed, Place, TooLarge
from tidings.rules.reading.jsontext import DEPTH_MAX, BadJson, explained_at
from tidings.web.operation import Listing, Request, Slice
from tidings.web.wire.bodies import body
from tidings.web.wire.bodies.work import LARGE_BYTES, Work

SLICE_BYTES = 64 * 1024

T = TypeVar("T", bound=msgspec.Struct)
_AT_BYTE = re.compile(r"^(?:JSON is malformed: )?(.*?) \(byte ([0-9]+)\)$", re.DOTALL)
_GAP = re.compile(rb"[ \t\r\n]*,?[ \t\r\n]*")
_SPACE = b" \t\r\n"


def split(raw: bytes, listing: Listing, element_bytes_max: int) -> list[Slice]:
    """The slices of a body; a small one is its own.

    Raises Malformed if it is not JSON, Invalid if it has another form, TooLarge if an element is too large.
    """
    if len(raw) <= min(LARGE_BYTES, element_bytes_max):
        return [Slice(0, raw)]
    try:
        elements = _elements(raw, listing)
    except (Invalid, Malformed):
        if len(raw) > SLICE_BYTES:
            raise
        # Read as a whole it is refused with every wrong place.
        return [Slice(0, raw)]
    for index, element in enumerate(elements):
        if len(element) > element_bytes_max:
            detail = (
                f"Each element of `{listing.member}` can be at most {element_bytes_max:,} bytes long, which is also "
                f"the limit for an element that is sent alone."
            )
            place = Place(pointer=f"/{listing.member}/{index}", code="too_large", detail=detail)
            raise TooLarge(detail, errors=[place])
    if len(raw) <= SLICE_BYTES:
        return [Slice(0, raw, len(elements))]
    _check_frame(raw, listing, elements)
    slices: list[Slice] = []
    held: list[bytes] = []
    size = start = 0
    for index, element in enumerate(elements):
        held.append(element)
        size += len(element)
        if size >= SLICE_BYTES or index == len(elements) - 1:
            text = b'{"%s":[%s]}' % (listing.member.encode(), b",".join(held))
            slices.append(Slice(start, text, len(held)))
            held, size, start = [], 0, index + 1
    return slices


async def read(
    request: Request,
    kind: type[T],
    work: Work,
    take: Callable[[T, Any, int], None],
    beside: body.Beside = lambda value, told: [],
) -> None:
    """Hand each slice to `take`: as a struct, as plain values, and with the place of its first element in the whole.

    Raises Malformed for the first that is not JSON, else at the end Invalid with the wrong places of all of them; what
    `take` raises counts among these. `beside`: as of `body.read`, for each slice.
    """
    places: list[Place] = []
    first: Invalid | None = None
    for start, raw, _ in request.slices:
        if start:
            await work.step()
        try:
            take(*body.read(raw, kind, beside), start)
        except Invalid as wrong:
            if len(request.slices) == 1:
                raise
            first = first or wrong
            places += [_shifted(place, start) for place in wrong.errors]
            if len(places) >= body.ERRORS_MAX:
                break
        except BadJson as wrong:
            if len(request.slices) == 1:
                raise
            raise _malformed(_shifted(wrong.place, start), start) from None
    if first is not None:
        raise Invalid(first.detail, code=first.code, errors=places[: body.ERRORS_MAX])


def _elements(raw: bytes, listing: Listing) -> list[bytes]:
    pointer = f"/{listing.member}"
    try:
        found = msgspec.structs.astuple(getattr(_splitter(listing).decode(raw), listing.member))
    except msgspec.ValidationError as wrong:
        if str(wrong).startswith("Expected `array` of at most length"):
            detail = f"`{listing.member}` must have 1 to {listing.most:,} elements per request."
            raise Invalid.at(pointer, listing.too_many, detail) from None
        raise Invalid("The body has wrong values.", errors=[body.place("", str(wrong))]) from None
    except msgspec.DecodeError as wrong:
        raise _not_json(raw, str(wrong)) from None
    except RecursionError:
        raise BadJson("", "too_deep", f"The JSON is nested deeper than {DEPTH_MAX} levels.") from None
    return [bytes(element) for element in found if element is not msgspec.UNSET]


@cache
def _splitter(listing: Listing) -> msgspec.json.Decoder[Any]:
    # An array-like struct refuses one element too many when it comes to it; a list would first take millions.
    fields = [(f"e{index}", msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for index in range(listing.most)]
    elements = msgspec.defstruct("Elements", fields, array_like=True, forbid_unknown_fields=True)
    return msgspec.json.Decoder(msgspec.defstruct("Frame", [(listing.member, elements)], forbid_unknown_fields=True))


def _check_frame(raw: bytes, listing: Listing, elements: list[bytes]) -> None:
    """Raise BadJson if there is more around the elements than there should be: the member appears twice."""
    at = raw.find(b"[") + 1
    is_plain = raw[:at].translate(None, _SPACE) == b'{"%s":[' % listing.member.encode()
    for element in elements:
        gap = _GAP.match(raw, at)
        at = gap.end() if gap else at
        is_plain = is_plain and raw.startswith(element, at)
        at += len(element)
    if not is_plain or raw[at:].translate(None, _SPACE) != b"]}":
        detail = f"The name {listing.member!r} appears twice in one object, or is written with escapes."
        raise BadJson(f"/{listing.member}", "duplicate_key", detail)


def _not_json(raw: bytes, message: str) -> BadJson:
    found = _AT_BYTE.match(message)
    what, offset = (found[1], int(found[2])) if found else (message, len(raw))
    return explained_at(raw, what, offset)


def _malformed(place: Place, start: int) -> Malformed:
    detail = place.detail
    if " column " in detail:
        detail = f"{detail} Lines and columns are relative to element {start}."
    return Malformed(detail, errors=[msgspec.structs.replace(place, detail=detail)])


def _shifted(place: Place, start: int) -> Place:
    """The place in the whole body of one in a slice."""
    pointer = getattr(place, "pointer", None)
    found = re.match(r"^(/[^/]+/)([0-9]+)(.*)$", pointer or "", re.DOTALL)
    if found is None:
        return place
    return msgspec.structs.replace(place, pointer=f"{found[1]}{int(found[2]) + start}{found[3]}")
