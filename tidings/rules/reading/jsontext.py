"""Strict reading of JSON input: whatever two parsers could read differently is refused, with its location.

RFC 8259 and the limits of I-JSON (RFC 7493): UTF-8 without a byte order mark, no repeated names, no lone surrogates, no
NUL, integers of signed 64 bits, no infinite numbers. jiter parses and catches most of it; a few cheap searches in the
bytes look for the rest, and only a match leads to an exact walk.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

import jiter

from tidings.model.errors import Invalid, Malformed, Place
from tidings.rules.reading import exact
from tidings.rules.reading.quick import quick
from tidings.rules.reading.refused import escaped

DEPTH_MAX = 64
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1
NO_NUL = r"^[^\x00]*$"
"""A pattern that every text read here matches."""
PLACES_MAX = 50
"""Only this many wrong numbers are reported."""
POINTER_SCAN_BYTES_MAX = 128 * 1024
"""Up to this offset, the pointer to a syntax error is worked out; beyond it, only line and column are given."""

Code = Literal[
    "syntax",
    "not_utf8",
    "byte_order_mark",
    "duplicate_key",
    "not_a_number",
    "nul_character",
    "lone_surrogate",
    "too_deep",
    "number_out_of_range",
    "not_exact",
]

# One pass makes all brackets, digits and exponent signs look alike, so that simple searches suffice below.
_ALIKE = bytes.maketrans(b"{123456789E", b"[000000000e")
_LONG = b"0" * 19
# The same, with dots as digits, to find the numbers that a double may not keep: many digits, or a tiny exponent.
_ALIKE_DOTS = bytes.maketrans(b"{123456789.E", b"[0000000000e")
_WHOLE_CHARS = 400
"""An integer with more digits does not fit into a double. Python reads at most 4,300."""
_DOUBLE_BITS = 1_024
"""No double is larger than an integer of this many bits."""
_MANY, _TINY = b"0" * (exact.SURE_DIGITS + 1), b"0e-000"
_HUGE, _HUGE_PLUS = b"0e000", b"0e+000"
# A string, or (the group) such a number; nothing is tried twice, however the text is made.
_WITH_MANY = re.compile(
    rb'"(?:[^"\\]++|\\.)*+"'
    rb"|(-?+[0-9.]++(?:(?<=[0-9.]{16})(?:[eE][+-]?+[0-9]++)?+|[eE][+-]?+[0-9]{3,}+))"
    rb"|[0-9.]++(?:[eE][+-]?+[0-9]*+)?+",
    re.DOTALL,
)
_BACKSLASH = 0x5C
_GAP_BYTES = 64
"""How many bytes before a number are searched for the character that precedes it."""
_RUN = re.compile(rb"[0-9.eE+-]*")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"?|[{}\[\],:]', re.DOTALL)
_NO_NUMBER = re.compile(rb"-?(?:NaN|nan|Infinity)\b")
_ENDS = "EOF while parsing "
_WHERE = re.compile(r"(.*) at line ([0-9]+) column ([0-9]+)$", re.DOTALL)


class BadJson(Malformed):
    """The text is not JSON as we read it. `pointer` is the place, if known; otherwise the whole body."""

    def __init__(self, pointer: str, code: Code, detail: str) -> None:
        self.pointer = pointer
        self.place = Place(pointer=pointer, code=code, detail=detail)
        super().__init__(detail, errors=[self.place])


class NotExact(Invalid):
    """The text is JSON, but numbers in it (`errors`) would change when stored. `value`: all as it was read.

    `place` is the first of them.
    """

    def __init__(self, places: list[Place], value: Any) -> None:
        self.place, self.value = places[0], value
        super().__init__(self.place.detail, errors=places)


def read_exact(raw: bytes, *, depth_max: int = DEPTH_MAX) -> Any:
    """Like `read`, for values that are stored as values rather than as this text. Raises BadJson, NotExact."""
    alike = raw.translate(_ALIKE_DOTS)
    value = _parsed(raw, alike, depth_max)
    if _MANY in alike or _TINY in alike or _HUGE in alike or _HUGE_PLUS in alike:
        return _checked_exact(raw, value)
    return value


def read(raw: bytes, *, depth_max: int = DEPTH_MAX) -> Any:
    """The value of a JSON text, where `[[]]` has depth 2. Raises BadJson."""
    alike = raw.translate(_ALIKE)
    found = quick(raw) if alike.count(b"[") <= depth_max else None
    if found is not None and not (_LONG in alike and _is_number_at(raw, alike, _LONG)):
        return found[0]
    value = _parsed(raw, alike, depth_max)
    if any(run in alike and _is_number_at(raw, alike, run) for run in (_LONG, _HUGE, _HUGE_PLUS)):
        _refuse(value, _out_of_range)
    return value


def _parsed(raw: bytes, alike: bytes, depth_max: int) -> Any:
    """The value of a JSON text, whatever its numbers are. Raises BadJson."""
    try:
        if alike.count(b"[") > depth_max:
            value = _read_counting_depth(raw, depth_max)
        else:
            value = jiter.from_json(raw, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        raise _explained(raw, str(error), depth_max) from None
    if _BACKSLASH in raw and b"\\u0000" in raw and _NUL.search(raw):
        _refuse(value, _nul)
    return value


def _read_counting_depth(raw: bytes, depth_max: int) -> Any:
    # Brackets around the text use up the slack of jiter's own limit, so jiter counts the depth, at its own speed. One
    # bracket more than that, because jiter lets an innermost list go one deeper than an object.
    spare = _parser_depth() - depth_max + 1
    try:
        value = jiter.from_json(b"[" * spare + raw + b"]" * spare, allow_inf_nan=False, catch_duplicate_keys=True)
        for _ in range(spare):
            (value,) = value
        return value
    except (TypeError, ValueError):
        if _too_deep_at(raw, depth_max) is not None:
            raise ValueError("recursion limit exceeded") from None
        return jiter.from_json(raw, allow_inf_nan=False, catch_duplicate_keys=True)


@lru_cache(maxsize=1)
def _parser_depth() -> int:
    depth = DEPTH_MAX
    while True:
        try:
            jiter.from_json(b'{"":' * depth + b"{}" + b"}" * depth)
        except ValueError:
            return depth
        depth += 1


def _is_number_at(raw: bytes, alike: bytes, found: bytes) -> bool:
    """Whether any such run is where a number may be; digits inside strings look alike, but what precedes them differs.

    A number begins the text, or follows `:`, `,` or `[` and white space, of which only _GAP_BYTES are read.
    """
    floor = 0
    at = alike.find(found)
    while at >= 0:
        start = at
        while start > floor and raw[start - 1] in b"0123456789.eE+-":
            start -= 1
        before = raw[max(0, start - _GAP_BYTES) : start].rstrip(b" \t\r\n")
        if not before or before[-1] in b":,[":
            return True
        run = _RUN.match(raw, at)
        floor = run.end() if run else at + 1
        at = alike.find(found, floor)
    return False


# --- the exact walk over what was parsed ------------------------------------------------------------------------------

Refusal = tuple[Code, str]
Steps = tuple[Any, str | int] | None
"""The last step to a place, and the steps before it."""


def _nul(value: Any) -> Refusal | None:
    if type(value) is str and "\0" in value:
        return "nul_character", "contains the character NUL."
    return None


def _out_of_range(value: Any) -> Refusal | None:
    if type(value) is int and not INTEGER_MIN <= value <= INTEGER_MAX:
        return "number_out_of_range", "does not fit into 64 bits; send it as a string."
    if type(value) is float and not math.isfinite(value):
        return "number_out_of_range", "is too large for a double; send it as a string."
    return None


def _is_whole_kept(value: int) -> bool:
    """Whether an integer of more than 64 bits can become a double."""
    return value.bit_length() <= _DOUBLE_BITS and exact.is_kept(str(value))


def _checked_exact(raw: bytes, value: Any) -> Any:
    """The value; integers of more than 64 bits become doubles. Raises NotExact for what a double cannot represent.

    Invalid JSON is reported elsewhere.
    """
    numbers = [each.decode() for each in filter(None, _WITH_MANY.findall(raw))]
    wholes = [int(each) for each in numbers if each.removeprefix("-").isdigit() and len(each) < _WHOLE_CHARS]
    large = [whole for whole in wholes if not INTEGER_MIN <= whole <= INTEGER_MAX]
    others = [each for each in numbers if len(each) >= _WHOLE_CHARS or not each.removeprefix("-").isdigit()]
    # Most are written the way a double is; then nothing has to be checked one by one.
    wrong = set[str]()
    if list(map(repr, map(float, others))) != others:
        # In their order, so that those that are reported are among the first.
        wrong = set(islice((each for each in others if not exact.is_kept(each)), PLACES_MAX))
    wrong |= {str(whole) for whole in large if not _is_whole_kept(whole)}
    if not wrong:
        return _with_doubles(value) if large else value
    try:
        document = jiter.from_json(raw, allow_inf_nan=False, float_mode="lossless-float")
    except ValueError:
        return value
    found: list[tuple[Steps, str]] = []
    _find([document], wrong, None, found)
    raise NotExact([_not_exact(steps, text) for steps, text in found], value)


def _find(value: Any, wrong: set[str], above: Steps, found: list[tuple[Steps, str]]) -> None:
    """Where numbers with these texts are in an object or array, PLACES_MAX of them at most."""
    for step, member in value.items() if type(value) is dict else enumerate(value):
        kind = type(member)
        if kind is dict or kind is list:
            _find(member, wrong, (above, step), found)
        elif (kind is jiter.LosslessFloat or kind is int) and (text := str(member)) in wrong:
            found.append(((above, step), text))
        if len(found) >= PLACES_MAX:
            return


def _not_exact(steps: Steps, text: str) -> Place:
    pointer = ""
    # The first step leads into the list around the document.
    while steps is not None and steps[0] is not None:
        steps, pointer = steps[0], f"/{escaped(str(steps[1]))}{pointer}"
    code: Code = "not_exact"
    detail = f"{exact.lost(text)}."
    if text.removeprefix("-").isdigit():
        code = "number_out_of_range"
        detail = "fits neither into 64 bits nor exactly into a double; use the type decimal, or a string."
    return Place(pointer=pointer, code=code, detail=f"The value at {_named(pointer)} {detail}")


def _with_doubles(value: Any) -> Any:
    if type(value) is dict:
        return {name: _with_doubles(member) for name, member in value.items()}
    if type(value) is list:
        return [_with_doubles(member) for member in value]
    return float(value) if type(value) is int and not INTEGER_MIN <= value <= INTEGER_MAX else value


def _refuse(document: Any, judge: Callable[[Any], Refusal | None]) -> None:
    found = _first(document, judge)
    if found:
        steps, (code, detail) = found
        pointer = "".join(f"/{escaped(str(step))}" for step in reversed(steps))
        raise BadJson(pointer, code, f"The value at {_named(pointer)} {detail}")


def _first(value: Any, judge: Callable[[Any], Refusal | None]) -> tuple[list[str | int], Refusal] | None:
    """The first value that is judged wrong, with the steps to it, the last one first."""
    members: Iterable[tuple[str | int, Any]]
    if type(value) is dict:
        members = value.items()
    elif type(value) is list:
        members = enumerate(value)
    else:
        refusal = judge(value)
        return ([], refusal) if refusal else None
    for step, member in members:
        if type(step) is str and (refusal := judge(step)):
            return [], refusal
        if type(member) is dict or type(member) is list:
            deeper = _first(member, judge)
            if deeper:
                deeper[0].append(step)
                return deeper
        elif refusal := judge(member):
            return [step], refusal
    return None


# --- saying what the parser stumbled over -----------------------------------------------------------------------------


def _explained(raw: bytes, message: str, depth_max: int) -> BadJson:
    """A refusal by the parser, as code, place and sentence."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return BadJson(_pointer_at(raw, error.start), "not_utf8", f"Byte {error.start + 1} is not valid UTF-8.")
    if raw.startswith(b"\xef\xbb\xbf"):
        return BadJson("", "byte_order_mark", "The text begins with a byte order mark; leave it out.")
    if not raw.strip(b" \t\r\n"):
        return BadJson("", "syntax", "The body is empty, but must be JSON.")
    if message.startswith("recursion limit") and (deep := _too_deep_at(raw, depth_max)) is not None:
        return BadJson(_pointer_at(raw, deep), "too_deep", f"The text is nested deeper than {depth_max} levels.")
    parts = _WHERE.match(message)
    what, line, column = (parts[1], int(parts[2]), int(parts[3])) if parts else (message, 1, 1)
    return _stumbled(raw, what, _offset(raw, line, column), line, column)


def explained_at(raw: bytes, what: str, offset: int) -> BadJson:
    """The refusal of a text where another JSON parser gave up at byte `offset`, saying `what`."""
    if raw.startswith(b"\xef\xbb\xbf"):
        return BadJson("", "byte_order_mark", "The text begins with a byte order mark; leave it out.")
    line, column = raw.count(b"\n", 0, offset) + 1, offset - raw.rfind(b"\n", 0, offset)
    return _stumbled(raw, what[:1].lower() + what[1:], offset, line, column)


def _stumbled(raw: bytes, what: str, offset: int, line: int, column: int) -> BadJson:
    pointer = _pointer_at(raw, offset)
    at = f"line {line}, column {column}"
    if what.startswith("Detected duplicate key"):
        return BadJson(pointer, "duplicate_key", f"The name {what[23:]} appears twice in the same object ({at}).")
    if "surrogate" in what or "unexpected end of hex escape" in what:
        return BadJson(pointer, "lone_surrogate", f"There is an unpaired surrogate at {_named(pointer)} ({at}).")
    if what == "number out of range":
        return BadJson(pointer, "number_out_of_range", f"The number at {_named(pointer)} has too many digits ({at}).")
    # The parser's column is that of the last character it read, one or two into the word.
    if any(_NO_NUMBER.match(raw, max(0, offset - back)) for back in range(3)):
        return BadJson(pointer, "not_a_number", f"NaN and Infinity are not valid JSON ({at}).")
    if what.startswith(_ENDS):
        pointer = _pointer_at(raw, len(raw))
        what = f"it ends within {what.removeprefix(_ENDS)}, at {_named(pointer)}"
    # The parser's word for something that begins like true, false or null but is not.
    what = "a word that is not true, false or null" if what == "expected ident" else what
    return BadJson(pointer, "syntax", f"Not JSON: {what} ({at}).")


def _too_deep_at(raw: bytes, depth_max: int) -> int | None:
    """The offset of the bracket that nests too deep, in texts of any size; only brackets outside strings count."""
    depth = 0
    for token in re.finditer(rb'"(?:[^"\\]|\\.)*"?|[{}\[\]]', raw, re.DOTALL):
        char = raw[token.start()]
        if char in b"{[":
            depth += 1
            if depth > depth_max:
                return token.start()
        elif char in b"}]":
            depth -= 1
    return None


def _offset(raw: bytes, line: int, column: int) -> int:
    start = 0
    for _ in range(line - 1):
        start = raw.find(b"\n", start) + 1
    return max(0, start + column - 1)


def _pointer_at(raw: bytes, offset: int) -> str:
    """A JSON pointer to the value around an offset, as far as the preceding text shows it."""
    if offset > POINTER_SCAN_BYTES_MAX:
        return ""
    steps: list[str | int | None] = []
    expects_name = False
    for token in _TOKEN.finditer(raw, 0, offset):
        text = token[0]
        if text == b"{":
            steps.append(None)
            expects_name = True
        elif text == b"[":
            steps.append(0)
            expects_name = False
        elif text in (b"}", b"]"):
            if steps:
                steps.pop()
            expects_name = False
        elif text == b"," and steps:
            last = steps[-1]
            expects_name = not isinstance(last, int)
            steps[-1] = last + 1 if isinstance(last, int) else None
        elif text == b":":
            expects_name = False
        elif expects_name and steps:
            steps[-1] = _name(raw, token.start())
    return "".join(f"/{escaped(step) if isinstance(step, str) else step}" for step in steps if step is not None)


def _name(raw: bytes, start: int) -> str | None:
    whole = _TOKEN.match(raw, start)
    try:
        name = jiter.from_json(whole[0]) if whole else None
    except ValueError:
        return None
    return name if isinstance(name, str) else None


def _named(pointer: str) -> str:
    return pointer or "the top"
