"""Templates: values of an event put into a JSON structure. Operators write them, and events fill them.

A string of the structure is a template if it has `{{ }}` or `{% %}`. One that is nothing but `{{ expression }}` becomes
the expression's value, with its type; a missing value leaves out its name, or its place in a list, and null stays null.
Any other template becomes text, in which missing values and null are empty. Names are never templates.

MiniJinja evaluates expressions on copies of JSON values, within a number of steps (`FUEL`). What only names a value is
copied without it. Numbers keep every digit: those that neither 64 bits nor a double keep reach MiniJinja as objects
whose only name is a NUL, which no event contains, and become numbers again. So calculating with one fails; it never
rounds.

Templates for other kinds of text are in rules/calls/texts.py. They differ in what is made of each value (`finalizer`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from minijinja import Environment, TemplateError

from tidings.model.event import Event
from tidings.model.moment import to_text
from tidings.rules.reading.refused import Refused, escaped
from tidings.rules.templates.filters import FILTERS
from tidings.rules.templates.numbers import MARK, encode, has_mark, marked, may_be_long, read, shown, unmarked

SOURCE_CHARS_MAX = 8 * 1024
STRUCTURE_BYTES_MAX = 64 * 1024
DEPTH_MAX = 64
INDENT_MAX = 8
FUEL = 200_000
"""Steps of one rendering: ten milliseconds at most, and about as many characters that are made."""
SCOPE = ("id", "type", "subject", "time", "tenant", "data", "previous", "changed", "old")
"""What a template sees of an event, by the names that events have for it; `old` is short for `previous`."""

MISSING = object()
_STATEMENTS = ("if", "elif", "else", "endif", "for", "endfor", "set", "endset")
_FUNCTIONS = ("range", "dict", "namespace", "cycler", "joiner", "loop")
_STRING = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""", re.DOTALL)
_CODE = re.compile(r"\{\{(.*?)\}\}|\{%(.*?)%\}", re.DOTALL)
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_PATH = re.compile(rf"({_NAME})((?:\.{_NAME}|\['[^'\\]*'\]|\[\"[^\"\\]*\"\]|\[[0-9]+\])*)")
_STEP = re.compile(rf"\.({_NAME})|\['([^']*)'\]|\[\"([^\"]*)\"\]|\[([0-9]+)\]")
_FILTER = re.compile(rf"\|\s*({_NAME})")
_TEST = re.compile(rf"\bis\s+(?:not\s+)?({_NAME})")
_CALL = re.compile(rf"(?<![.|A-Za-z0-9_])({_NAME})\s*\(")
_TOJSON = re.compile(r"\|\s*tojson\s*\(([^)]*)\)?")
_INDENT = re.compile(r"\s*(?:(?:indent\s*=\s*)?(?:[0-8]|[Tt]rue|[Ff]alse)\s*)?")
_MAP = re.compile(r"\|\s*map\s*\(\s*")
_MAPPED = re.compile(r"""(?:'tojson'|"tojson")\s*\)|(?!.tojson)(?:'[a-z0-9_]+'|"[a-z0-9_]+")\s*[,)]|attribute\s*=""")
_NO_CALLS = ("and", "or", "not", "in", "is", "if", "else")
# A list that is repeated holds one value many times: walking it uses fuel before writing it takes time.
_WALK = (
    "{% macro walk(v) %}{% if v is string %}{% elif v is mapping %}{% for k in v %}{{ walk(v[k]) }}{% endfor %}"
    "{% elif v is iterable %}{% for x in v %}{{ walk(x) }}{% endfor %}{% endif %}{% endmacro %}"
)
_MAY_REPEAT = re.compile(r"[*\[]")


class TemplateFailed(ValueError):
    """A template cannot be filled with this event. `pointer`: where it is in its structure."""

    def __init__(self, pointer: str, detail: str) -> None:
        self.pointer, self.detail = pointer, detail
        super().__init__(f"The template at {pointer or '/'} failed: {detail}")


class Scope:
    """One event as templates see it, read when the first of them asks. Not thread-safe."""

    __slots__ = ("_event", "_known", "has_marks")

    def __init__(self, event: Event, more: Mapping[str, Any] | None = None) -> None:
        """`more`: values by names that events do not have."""
        self._event = event
        self._known: dict[str, Any] = {} if more is None else dict(more)
        self.has_marks = False
        """Whether there may be numbers that MiniJinja gets marked."""

    def value(self, name: str) -> Any:
        """A value of the event; MISSING if it has none. Numbers that no type of Python keeps are `msgspec.Raw`."""
        if name not in self._known:
            given: Any = getattr(self._event, "previous" if name == "old" else name, MISSING)
            if name == "time":
                given = to_text(given)
            elif name in ("data", "previous", "old", "changed"):
                self.has_marks |= given is not None and may_be_long(given)
                given = MISSING if given is None else read(given)
            self._known[name] = given
        return self._known[name]

    def context(self, names: frozenset[str]) -> dict[str, Any]:
        """The values with these names for MiniJinja; what is missing is not among them."""
        found = {name: self.value(name) for name in names}
        return {name: marked(value) for name, value in found.items() if value is not MISSING}


class JsonTemplate:
    """One structure, compiled. Filled by one thread at a time."""

    def __init__(self, structure: Any, pointer: str = "", names: Sequence[str] = SCOPE) -> None:
        """`pointer`: where the structure is; `names`: what it may name. Raises Refused with the wrong place."""
        self._may_name = names
        self._expressions: list[_Expression] = []
        self._structure = self._read(structure, pointer, 1)
        if len(msgspec.json.encode(structure)) > STRUCTURE_BYTES_MAX:
            raise Refused(pointer, "too_long", f"It may have at most {STRUCTURE_BYTES_MAX:,} bytes of JSON.")
        self._names = frozenset(name for each in self._expressions for name in each.names)
        self._environment: Environment | None = None

    def fill(self, scope: Scope) -> Any:
        """The structure with the event's values; MISSING if it is one template without a value.

        Numbers that no type of Python keeps are `msgspec.Raw`, so `encode` writes them as they were sent. Raises
        TemplateFailed.
        """
        values = self._evaluated(scope) if self._expressions else []
        return _filled(self._structure, scope, values)

    def text(self, scope: Scope) -> str | None:
        """The same for a structure that is one template, as text: an id, a line. None if the value is missing or null.

        Raises TemplateFailed, also if the value is an object, a list or a boolean.
        """
        value = self.fill(scope)
        if value is MISSING or value is None:
            return None
        if type(value) in (dict, list, bool):
            raise TemplateFailed(self._at(), "it must become a string or a number, not a list, an object or a boolean.")
        return value if type(value) is str else encode(value).decode()

    def _at(self) -> str:
        return self._structure.pointer if isinstance(self._structure, ValuePath | _Expression) else ""

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
        found = _compiled(value, pointer, len(self._expressions), self._may_name)
        if isinstance(found, _Expression):
            self._expressions.append(found)
        return found

    def _evaluated(self, scope: Scope) -> list[Any]:
        if self._environment is None:
            self._environment = _environment(shown)
            self._environment.add_template("all", _WALK + "\n".join(each.enclosed for each in self._expressions))
        context = scope.context(self._names)
        try:
            written = self._environment.render_template("all", **context)
        except TemplateError as wrong:
            raise TemplateFailed(self._place_of(wrong.line), _reason(wrong)) from None
        except (ValueError, TypeError) as wrong:
            raise TemplateFailed(self._culprit(context), f"{wrong}.") from None
        lines = zip(self._expressions, written.split("\n"), strict=True)
        marks = scope.has_marks
        return [_value(line, each.pointer, marks) if line else MISSING for each, line in lines]

    def _culprit(self, context: dict[str, Any]) -> str:
        """Which of the expressions a filter refused."""
        for each in self._expressions:
            try:
                _environment(shown).render_str(_WALK + each.enclosed, **context)
            except (TemplateError, ValueError, TypeError):
                return each.pointer
        return self._expressions[-1].pointer

    def _place_of(self, line: int | None) -> str:
        """Which of the expressions a line of all of them together belongs to."""
        left = line or 1
        for each in self._expressions:
            left -= each.enclosed.count("\n") + 1
            if left <= 0:
                return each.pointer
        return self._expressions[-1].pointer


class ValuePath(msgspec.Struct, frozen=True):
    """A template that only names a value."""

    name: str
    steps: tuple[str | int, ...]
    pointer: str

    def value(self, scope: Scope) -> Any:
        found = scope.value(self.name)
        for step in self.steps:
            if type(found) is dict and type(step) is str:
                found = found.get(step, MISSING)
            elif type(found) is list and type(step) is int and step < len(found):
                found = found[step]
            else:
                return MISSING
        return found


class _Expression(msgspec.Struct, frozen=True):
    """A template that MiniJinja evaluates. `enclosed` writes its value as one line of JSON, empty if it is missing."""

    number: int
    names: frozenset[str]
    enclosed: str
    pointer: str


def _compiled(source: str, pointer: str, number: int, may_name: Sequence[str]) -> ValuePath | _Expression:
    """Raises Refused."""
    names = checked_names(source, pointer, may_name)
    alone = _alone(source)
    if alone is None:
        enclosed = f"{{% set v %}}{source}{{% endset %}}{{{{ v|string|tojson }}}}"
        return _Expression(number, frozenset(names), enclosed, pointer)
    path = value_path(alone, pointer)
    if path is not None and path.name in may_name:
        return path
    walk = "{{ walk(v) }}" if _MAY_REPEAT.search(alone) else ""
    enclosed = f"{{% set v = {alone} %}}{walk}{{% if v is defined %}}{{{{ v|tojson }}}}{{% endif %}}"
    return _Expression(number, frozenset(names), enclosed, pointer)


def checked_names(source: str, pointer: str, may_name: Sequence[str]) -> frozenset[str]:
    """What a template names. Raises Refused if it does not compile, or names something else than it may."""
    if len(source) > SOURCE_CHARS_MAX:
        raise Refused(pointer, "too_long", f"A template may have at most {SOURCE_CHARS_MAX:,} characters.")
    if MARK in source:
        raise Refused(pointer, "template", "A template may not contain the character NUL.")
    try:
        environment = _environment(shown)
        environment.add_template("one", source)
        names = environment.undeclared_variables_in_str(source) - set(_FUNCTIONS)
    except TemplateError as wrong:
        raise Refused(pointer, "template", f"This template does not compile: {_reason(wrong)}") from None
    _check_words(source, pointer)
    _check_json(source, pointer)
    for name in sorted(names):
        if name not in may_name:
            detail = f"There is no {name} here. A template sees {', '.join(may_name)}."
            raise Refused(pointer, "template", detail)
    return frozenset(names)


def value_path(expression: str, pointer: str) -> ValuePath | None:
    """An expression that only names a value; None if it does more."""
    path = _PATH.fullmatch(expression)
    if path is None:
        return None
    steps = [int(index) if index else a or b or c for a, b, c, index in _STEP.findall(path[2])]
    return ValuePath(path[1], tuple(steps), pointer)


class Rendered:
    """A template that MiniJinja renders as text. Used by one thread at a time."""

    def __init__(self, source: str, pointer: str, names: frozenset[str], finalizer: Callable[[Any], str]) -> None:
        """`finalizer`: what is written for each value; it may raise ValueError. The source was checked."""
        self._pointer, self._names = pointer, names
        self._environment = _environment(finalizer)
        self._environment.add_template("text", source)

    def fill(self, scope: Scope) -> str:
        """The text. Raises TemplateFailed."""
        try:
            return self._environment.render_template("text", **scope.context(self._names))
        except TemplateError as wrong:
            raise TemplateFailed(self._pointer, _reason(wrong)) from None
        except (ValueError, TypeError) as wrong:
            raise TemplateFailed(self._pointer, f"{wrong}.") from None


class Condition:
    """An expression that is true or false. Used by one thread at a time."""

    def __init__(self, source: str, pointer: str, names: Sequence[str]) -> None:
        """Raises Refused."""
        named = checked_names(source, pointer, names)
        alone = _alone(source)
        if alone is None:
            detail = "This must be one expression, such as {{ status == 201 }}."
            raise Refused(pointer, "template", detail)
        self._rendered = Rendered(f"{{% if {alone} %}}1{{% endif %}}", pointer, named, shown)

    def holds(self, scope: Scope) -> bool:
        """Whether it is true. Raises TemplateFailed."""
        return self._rendered.fill(scope) == "1"


def _check_words(source: str, pointer: str) -> None:
    """Raise Refused for statements, filters, tests and functions that there are not: MiniJinja finds them when run."""
    for code in _CODE.finditer(_STRING.sub("''", source)):
        words = code[1] if code[1] is not None else code[2].strip("+- \n\t")
        if code[2] is not None:
            statement = words.split(None, 1)[0] if words else ""
            if statement not in _STATEMENTS:
                known = ", ".join(name for name in _STATEMENTS if not name.startswith("end"))
                raise Refused(pointer, "template", f"A template cannot have {statement} statements, only {known}.")
        for what, found, probe in (("filter", _FILTER, "''|{}"), ("test", _TEST, "'' is {}")):
            for name in found.findall(words):
                if not _is_known(probe.format(name)):
                    raise Refused(pointer, "template", f"There is no {what} {name}.")
        for name in _CALL.findall(_FILTER.sub("|", _TEST.sub(" is ", words))):
            if name not in _FUNCTIONS and name not in _NO_CALLS and name not in _STATEMENTS:
                raise Refused(pointer, "template", f"There is no function {name}.")


def _check_json(source: str, pointer: str) -> None:
    """Raise Refused for an indentation of JSON that may be large: it is made before its size is counted.

    Only a constant shows that it is small, and `map` could give the filter others.
    """
    for given in _TOJSON.finditer(source):
        if not _INDENT.fullmatch(given[1]):
            detail = f"`indent` of tojson must be a number from 0 to {INDENT_MAX}, written in the template."
            raise Refused(pointer, "template", detail)
    for given in _MAP.finditer(source):
        if not _MAPPED.match(source, given.end()):
            detail = "map must name a filter, as in map('upper'), or an attribute=. With it, tojson takes no arguments."
            raise Refused(pointer, "template", detail)


def _is_known(probe: str) -> bool:
    try:
        _environment(shown).eval_expr(probe)
    except TemplateError as wrong:
        return wrong.kind not in ("UnknownFilter", "UnknownTest")
    except (ValueError, TypeError):
        # One of ours, which wants something else.
        return True
    return True


def _alone(source: str) -> str | None:
    """The expression, if the template is nothing but one; None if it is text."""
    inner = source.strip()
    if not (inner.startswith("{{") and inner.endswith("}}")):
        return None
    plain = _STRING.sub(lambda found: "x" * len(found[0]), inner[2:-2])
    depth, place = 0, 0
    while place < len(plain):
        if depth == 0 and plain.startswith("}}", place):
            return None
        depth += (plain[place] in "{[(") - (plain[place] in "}])")
        place += 1
    return inner[2:-2].strip("+-").strip()


def is_template(text: str) -> bool:
    """Whether a string of a structure is a template."""
    return "{{" in text or "{%" in text or "{#" in text


def _environment(finalizer: Callable[[Any], Any]) -> Environment:
    filters = dict(FILTERS)
    return Environment(
        fuel=FUEL, debug=False, undefined_behavior="chainable", finalizer=finalizer, filters=filters, pycompat=False
    )


def _reason(wrong: TemplateError) -> str:
    if wrong.kind == "OutOfFuel":
        return f"it takes more than {FUEL:,} steps."
    return f"{wrong.detail or wrong.message}."


def _filled(structure: Any, scope: Scope, values: list[Any]) -> Any:
    if isinstance(structure, ValuePath):
        return structure.value(scope)
    if isinstance(structure, _Expression):
        return values[structure.number]
    if type(structure) is dict:
        members = ((name, _filled(each, scope, values)) for name, each in structure.items())
        return {name: value for name, value in members if value is not MISSING}
    if type(structure) is list:
        return [value for each in structure if (value := _filled(each, scope, values)) is not MISSING]
    return structure


def _value(line: str, pointer: str, has_marks: bool) -> Any:
    """What MiniJinja wrote. Raises TemplateFailed."""
    value = msgspec.json.decode(line)
    if not has_marks or not has_mark(line):
        return value
    try:
        return unmarked(value)
    except ValueError:
        detail = "a number has too many digits for calculations. Use it alone, or as text: | string."
        raise TemplateFailed(pointer, detail) from None
