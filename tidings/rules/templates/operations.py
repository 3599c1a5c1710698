"""The parts of an expression as functions of a Rendering; the parser puts them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from tidings.model.digits import index_of
from tidings.rules.templates import values
from tidings.rules.templates.meter import SLOT, STEP, RenderingMeter
from tidings.rules.templates.values import MISSING, is_true, member

NOT_CONSTANT = object()


class Values(Protocol):
    """The values that a template sees, by name."""

    def value(self, name: str) -> Any:
        """One of them; MISSING if there is none."""


class Rendering:
    """One rendering: its scope, the variables it has set, its meter, and the text it has made."""

    __slots__ = ("meter", "out", "scope", "variables")

    def __init__(self, scope: Values, meter: RenderingMeter) -> None:
        self.scope, self.meter = scope, meter
        self.variables: dict[str, Any] = {}
        self.out: list[str] = []

    def write(self, text: str) -> None:
        """Add to its text."""
        self.meter.spend(len(text))
        self.out.append(text)


Evaluate = Callable[[Rendering], Any]


def missing(run: Rendering) -> Any:
    """No value."""
    return MISSING


def truth(meter: RenderingMeter, value: Any) -> bool:
    """The test that `select` uses if none is given."""
    return is_true(value)


def constant(value: Any) -> Evaluate:
    """A value that is written in the template."""
    return lambda run: value


def of_scope(name: str) -> Evaluate:
    """A value of the scope."""
    return lambda run: run.scope.value(name)


def variable(name: str, is_known: bool) -> Evaluate:
    """A variable; until it is set, the scope's value of this name, or nothing."""
    if is_known:
        return lambda run: run.variables[name] if name in run.variables else run.scope.value(name)
    return lambda run: run.variables.get(name, MISSING)


def choice(condition: Evaluate, value: Evaluate, other: Evaluate) -> Evaluate:
    """`value if condition else other`."""
    return lambda run: value(run) if is_true(condition(run)) else other(run)


def either(left: Evaluate, right: Evaluate) -> Evaluate:
    """`left or right`: the first that is true, or the last."""

    def found(run: Rendering) -> Any:
        value = left(run)
        return value if is_true(value) else right(run)

    return found


def both(left: Evaluate, right: Evaluate) -> Evaluate:
    """`left and right`: the first that is false, or the last."""

    def found(run: Rendering) -> Any:
        value = left(run)
        return right(run) if is_true(value) else value

    return found


def negation(value: Evaluate, is_negated: bool) -> Evaluate:
    """`not value`."""
    return lambda run: is_true(value(run)) != is_negated


def negative(value: Evaluate, is_negative: bool) -> Evaluate:
    """`-value`, or a number that two of them leave unchanged."""

    def found(run: Rendering) -> Any:
        number = values.negative(value(run))
        return number if is_negative else -number

    return found


def calculation(sign: str, left: Evaluate, right: Evaluate) -> Evaluate:
    """`left + right` and the like."""
    return lambda run: values.calculate(sign, left(run), right(run), run.meter)


def joined(left: Evaluate, right: Evaluate) -> Evaluate:
    """`left ~ right`."""
    return lambda run: values.join(left(run), right(run), run.meter)


def comparison(first: Evaluate, steps: Sequence[tuple[str, Evaluate]]) -> Evaluate:
    """`a < b < c`, `a in b`: whether all are true."""

    def found(run: Rendering) -> bool:
        left = first(run)
        for sign, each in steps:
            right = each(run)
            if not _compared(sign, left, right, run.meter):
                return False
            left = right
        return True

    return found


def _compared(sign: str, left: Any, right: Any, meter: RenderingMeter) -> bool:
    if sign in ("==", "!="):
        return values.is_equal(left, right, meter) == (sign == "==")
    if sign in ("in", "not in"):
        return values.contains(right, left, meter) == (sign == "in")
    return values.ordered(sign, left, right, meter)


def list_of(elements: Sequence[Evaluate]) -> Evaluate:
    """`[a, b]`."""

    def found(run: Rendering) -> list[Any]:
        run.meter.spend(SLOT * (len(elements) + 1))
        return [_listed(each(run)) for each in elements]

    return found


def object_of(members: Sequence[tuple[Evaluate, Evaluate]]) -> Evaluate:
    """`{'a': b}`. A missing value leaves its name out."""

    def found(run: Rendering) -> dict[str, Any]:
        run.meter.spend(2 * SLOT * (len(members) + 1))
        made = [(values.text(key(run), run.meter), value(run)) for key, value in members]
        return {key: value for key, value in made if value is not MISSING}

    return found


def member_of(value: Evaluate, step: str | int) -> Evaluate:
    """`value.step`, `value['step']`, `value[0]`."""

    def found(run: Rendering) -> Any:
        inner = value(run)
        if type(inner) is dict:
            return inner.get(step, MISSING)
        return member(inner, step)

    return found


def element_of(value: Evaluate, key: Evaluate) -> Evaluate:
    """`value[key]`."""
    return lambda run: member(value(run), key(run))


def slice_of(value: Evaluate, bounds: Sequence[Evaluate]) -> Evaluate:
    """`value[begin:end:step]`."""
    return lambda run: values.part(value(run), [each(run) for each in bounds], run.meter)


def call(function: Callable[..., Any], arguments: Sequence[Evaluate], named: Mapping[str, Evaluate]) -> Evaluate:
    """`function(arguments)`."""

    def found(run: Rendering) -> Any:
        run.meter.spend(STEP)
        return function(
            run.meter, *[each(run) for each in arguments], **{name: each(run) for name, each in named.items()}
        )

    return found


def filtered(
    function: Callable[..., Any], value: Evaluate, arguments: Sequence[Evaluate], named: Mapping[str, Evaluate]
) -> Evaluate:
    """`value | filter(arguments)`."""
    if not arguments and not named:

        def alone(run: Rendering) -> Any:
            given = value(run)
            run.meter.call(given)
            return _paid(function(run.meter, given), run.meter)

        return alone

    def found(run: Rendering) -> Any:
        given = value(run)
        run.meter.call(given)
        positional = [each(run) for each in arguments]
        made = function(run.meter, given, *positional, **{name: each(run) for name, each in named.items()})
        return _paid(made, run.meter)

    return found


def _listed(value: Any) -> Any:
    """A value as an element of a list: a missing one is null there."""
    return None if value is MISSING else value


def _paid(value: Any, meter: RenderingMeter) -> Any:
    kind = type(value)
    if kind is str:
        meter.spend(len(value))
    elif kind is list:
        meter.spend(SLOT * len(value))
    return value


def tested(function: Callable[..., bool], value: Evaluate, arguments: Sequence[Evaluate], is_negated: bool) -> Evaluate:
    """`value is test(arguments)`, `value is not test`."""

    def found(run: Rendering) -> bool:
        given = value(run)
        run.meter.call(given if type(given) is str else None)
        return function(run.meter, given, *[each(run) for each in arguments]) != is_negated

    return found


def mapped(
    function: Callable[..., Any], value: Evaluate, arguments: Sequence[Evaluate], named: Mapping[str, Evaluate]
) -> Evaluate:
    """`value | map('filter', arguments)`."""

    def found(run: Rendering) -> list[Any]:
        positional = [each(run) for each in arguments]
        keywords = {name: each(run) for name, each in named.items()}
        made = []
        for each in values.elements(value(run), run.meter):
            run.meter.call(each)
            made.append(_listed(_paid(function(run.meter, each, *positional, **keywords), run.meter)))
        return made

    return found


def mapped_to(value: Evaluate, path: Evaluate, default: Evaluate) -> Evaluate:
    """`value | map(attribute='path')`."""

    def found(run: Rendering) -> list[Any]:
        where, other = path(run), default(run)
        made = []
        for each in values.elements(value(run), run.meter):
            run.meter.spend(STEP)
            inner = at(each, where, run.meter)
            made.append(_listed(other if inner is MISSING else inner))
        return made

    return found


def chosen(
    value: Evaluate, path: Evaluate | None, test: Callable[..., bool], arguments: Sequence[Evaluate], wanted: bool
) -> Evaluate:
    """`value | select('test', arguments)`, `value | rejectattr('path', 'test')`."""

    def found(run: Rendering) -> list[Any]:
        where = None if path is None else path(run)
        positional = [each(run) for each in arguments]
        made = []
        for each in values.elements(value(run), run.meter):
            given = each if path is None else at(each, where, run.meter)
            run.meter.call(given if type(given) is str else None)
            if test(run.meter, given, *positional) == wanted:
                made.append(each)
        return made

    return found


def at(value: Any, path: Any, meter: RenderingMeter) -> Any:
    """The value at a path of names and numbers with dots between them."""
    if type(path) is str:
        meter.spend(len(path) + STEP * path.count("."))
    for step in path.split(".") if type(path) is str else [path]:
        value = member(value, index_of(step) if type(step) is str and type(value) is list else step)
    return value
