"""Templates: values of an event put into a JSON structure. Operators write them, and events fill them.

A string of the structure is a template if it has `{{ }}` or `{% %}`. One that is nothing but `{{ expression }}` becomes
the expression's value, with its type; a missing value leaves out its name, or its place in a list, and null stays null.
Any other template becomes text, in which missing values and null are empty. Names of members are never templates.

Values are shared with the event, never copied. Numbers keep every digit: those that neither 64 bits nor a double keep
are `msgspec.Raw`, so calculating with one fails; it never rounds. The limits of a rendering are in templates/meter.py.

Templates for other kinds of text are in rules/calls/texts.py. They differ in how each value is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from tidings.model.event import Event
from tidings.model.moment import to_text
from tidings.rules.reading.refused import Refused, escaped
from tidings.rules.templates.lexer import NotATemplate
from tidings.rules.templates.meter import UNITS_MAX, RenderingMeter
from tidings.rules.templates.numbers import encode, read, shown
from tidings.rules.templates.parser import UnknownName
from tidings.rules.templates.program import SOURCE_CHARS_MAX, Program
from tidings.rules.templates.values import MISSING, is_true

STRUCTURE_BYTES_MAX = 64 * 1024
DEPTH_MAX = 64
SCOPE = ("id", "type", "subject", "time", "tenant", "data", "previous", "changed", "old")
"""The names under which a template sees the parts of an event; `old` is short for `previous`."""
__all__ = [
    "MISSING",
    "SCOPE",
    "SOURCE_CHARS_MAX",
    "Condition",
    "JsonTemplate",
    "Scope",
    "TemplateFailed",
    "TextProgram",
]


class TemplateFailed(ValueError):
    """A template cannot be filled with this event. `pointer`: where it is in its structure."""

    def __init__(self, pointer: str, detail: str) -> None:
        self.pointer, self.detail = pointer, detail
        super().__init__(f"The template at {pointer or '/'} failed: {detail}")


class Scope:
    """One event as templates see it, read when the first of them asks. Not thread-safe."""

    __slots__ = ("_event", "_known")

    def __init__(self, event: Event, more: Mapping[str, Any] | None = None) -> None:
        """`more`: values by names that events do not have."""
        self._event = event
        self._known: dict[str, Any] = {} if more is None else dict(more)

    def value(self, name: str) -> Any:
        """A value of the event; MISSING if it has none. Numbers that no type of Python keeps are `msgspec.Raw`."""
        if name not in self._known:
            given: Any = getattr(self._event, "previous" if name == "old" else name, MISSING)
            if name == "time":
                given = to_text(given)
            elif name in ("data", "previous", "old", "changed"):
                given = MISSING if given is None else read(given)
            self._known[name] = given
        return self._known[name]


class JsonTemplate:
    """One structure, compiled. Filled by one thread at a time."""

    def __init__(self, structure: Any, pointer: str = "", names: Sequence[str] = SCOPE) -> None:
        """`pointer`: where the structure is; `names`: what it may name. Raises Refused with the wrong place."""
        self._may_name = names
        self._count = 0
        self.paths: list[tuple[str, tuple[str | int, ...]]] = []
        """The values that its templates use: a pointer to each template, and the name with its steps."""
        self._structure = self._read(structure, pointer, 1)
        if len(msgspec.json.encode(structure)) > STRUCTURE_BYTES_MAX:
            raise Refused(pointer, "too_long", f"It can be at most {STRUCTURE_BYTES_MAX:,} bytes of JSON.")

    def fill(self, scope: Scope) -> Any:
        """The structure with the event's values; MISSING if it is one template without a value.

        Numbers that no type of Python keeps are `msgspec.Raw`, so `encode` writes them as they were sent. Raises
        TemplateFailed.
        """
        meter = RenderingMeter()
        found = _filled(self._structure, scope, meter)
        if self._count > 1 or meter.left < UNITS_MAX:
            # Values are shared: what is small in memory may be large when it is written.
            try:
                meter.weigh(found)
            except ValueError as wrong:
                raise TemplateFailed(self._at(), f"{wrong}.") from None
        return found

    def text(self, scope: Scope) -> str | None:
        """The same for a structure that is one template, as text: an id, a line. None if the value is missing or null.

        Raises TemplateFailed, also if the value is an object, a list or a boolean.
        """
        value = self.fill(scope)
        if value is MISSING or value is None:
            return None
        if type(value) in (dict, list, bool):
            raise TemplateFailed(self._at(), "it must yield a string or a number, not a list, an object or a boolean.")
        return value if type(value) is str else encode(value).decode()

    def _at(self) -> str:
        return self._structure.pointer if isinstance(self._structure, _Leaf) else ""

    def _read(self, value: Any, pointer: str, depth: int) -> Any:
        if depth > DEPTH_MAX:
            raise Refused(pointer, "too_deep", f"Templates may be nested at most {DEPTH_MAX} levels deep.")
        if type(value) is dict:
            for name in value:
                if is_template(name):
                    at = f"{pointer}/{escaped(name)}"
                    raise Refused(at, "template", "A name cannot be a template. Only values can.")
            return {name: self._read(each, f"{pointer}/{escaped(name)}", depth + 1) for name, each in value.items()}
        if type(value) is list:
            return [self._read(each, f"{pointer}/{index}", depth + 1) for index, each in enumerate(value)]
        if type(value) is not str or not is_template(value):
            return value
        leaf = _Leaf(compiled(value, pointer, self._may_name), pointer)
        self._count += 1
        self.paths += [(pointer, path) for path in leaf.program.paths]
        return leaf


class _Leaf(msgspec.Struct, frozen=True):
    """A template in a structure."""

    program: Program
    pointer: str

    def value(self, scope: Scope, meter: RenderingMeter) -> Any:
        try:
            if self.program.alone is not None:
                return self.program.value(scope, meter)
            return self.program.text(scope, meter, _in_text)
        except _FAILURES as wrong:
            raise TemplateFailed(self.pointer, _reason(wrong)) from None


_FAILURES = (ValueError, ArithmeticError, TypeError, LookupError, AttributeError, RecursionError)


def compiled(source: str, pointer: str, may_name: Sequence[str]) -> Program:
    """A template, compiled. Raises Refused if it is malformed, or uses an unknown name."""
    try:
        return Program(source, may_name)
    except UnknownName as wrong:
        raise Refused(pointer, "template", str(wrong)) from None
    except NotATemplate as wrong:
        raise Refused(pointer, "template", f"This template does not compile: {wrong}.") from None


class TextProgram:
    """A template that becomes text. Used by one thread at a time."""

    def __init__(self, source: str, pointer: str, write: Callable[[Any], str], names: Sequence[str]) -> None:
        """`write`: what is written for each value; it may raise ValueError. Raises Refused."""
        self._pointer, self._write = pointer, write
        self._program = compiled(source, pointer, names)
        self.names, self.paths = self._program.names, [(pointer, path) for path in self._program.paths]

    def fill(self, scope: Scope) -> str:
        """The text. Raises TemplateFailed."""
        try:
            return self._program.text(scope, RenderingMeter(), self._written)
        except _FAILURES as wrong:
            raise TemplateFailed(self._pointer, _reason(wrong)) from None

    def _written(self, value: Any) -> str:
        return self._write(None if value is MISSING else value)


class Condition:
    """An expression that is true or false. Used by one thread at a time."""

    def __init__(self, source: str, pointer: str, names: Sequence[str]) -> None:
        """Raises Refused."""
        self._pointer, self._program = pointer, compiled(source, pointer, names)
        self.paths = [(pointer, path) for path in self._program.paths]
        if self._program.alone is None:
            detail = "This must be one expression, such as {{ status == 201 }}."
            raise Refused(pointer, "template", detail)

    def holds(self, scope: Scope) -> bool:
        """Whether it is true. Raises TemplateFailed."""
        try:
            return is_true(self._program.value(scope, RenderingMeter()))
        except _FAILURES as wrong:
            raise TemplateFailed(self._pointer, _reason(wrong)) from None


def is_template(text: str) -> bool:
    """Whether a string of a structure is a template."""
    return "{{" in text or "{%" in text or "{#" in text


def _in_text(value: Any) -> str:
    return "" if value is MISSING else str(shown(value))


def _reason(wrong: Exception) -> str:
    if isinstance(wrong, RecursionError):
        return "it has too many operations in a row."
    return f"{wrong}." if isinstance(wrong, ValueError) else f"a value does not fit: {wrong}."


def _filled(structure: Any, scope: Scope, meter: RenderingMeter) -> Any:
    if type(structure) is _Leaf:
        return structure.value(scope, meter)
    if type(structure) is dict:
        members = ((name, _filled(each, scope, meter)) for name, each in structure.items())
        return {name: value for name, value in members if value is not MISSING}
    if type(structure) is list:
        return [value for each in structure if (value := _filled(each, scope, meter)) is not MISSING]
    return structure
