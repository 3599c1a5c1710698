"""From the code of a template to functions that evaluate it. The syntax is Jinja's, reduced to what templates may do.

Each expression becomes a function of a Rendering. Names are resolved here, so names that a template may not
use, and unknown filters, tests, functions and arguments, are refused before it runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec

from tidings.model.digits import is_digits
from tidings.rules.reading import exact
from tidings.rules.reading.jsontext import INTEGER_MAX
from tidings.rules.templates import operations as op
from tidings.rules.templates.lexer import CodeToken, NotATemplate, tokens
from tidings.rules.templates.lists import FILTERS, FUNCTIONS
from tidings.rules.templates.operations import Evaluate
from tidings.rules.templates.tests import TESTS

NESTED_MAX = 64
CONSTANTS = {"true": True, "True": True, "false": False, "False": False, "none": None, "None": None}
WORDS = frozenset(("and", "or", "not", "in", "is", "if", "else", "for", "recursive", *CONSTANTS))
_ESCAPES = ("escape", "e", "safe", "forceescape")
_OF_EACH = {"map": None, "select": (False, True), "reject": (False, False)}
_OF_EACH_AT = {"selectattr": (True, True), "rejectattr": (True, False)}
_COMPARED = ("==", "!=", "<", "<=", ">", ">=")


class Node(NamedTuple):
    """An expression. `path`: the name and the steps, if it only names a value."""

    run: Evaluate
    path: tuple[str | int, ...] | None = None
    constant: Any = op.NOT_CONSTANT


class KnownNames:
    """What a template may name, what it has named so far, and the variables it has set."""

    def __init__(self, known: Sequence[str]) -> None:
        self.known = known
        self.used: set[str] = set()
        self.paths: list[tuple[str | int, ...]] = []
        """The names of the scope that the template uses, each with the constant steps that follow it."""
        self.variables: set[str] = set()
        self.read: set[str] = set()
        """The variables that the template has read."""

    def node(self, name: str) -> Node:
        """The value of a name. Raises NotATemplate if there is none."""
        if name in self.variables:
            self.read.add(name)
            return Node(op.variable(name, name in self.known))
        if name not in self.known:
            raise UnknownName(f"There is no {name} here. A template can use {', '.join(self.known)}.")
        self.used.add(name)
        return Node(op.of_scope(name), (name,))


class UnknownName(NotATemplate):
    """A template uses an unknown name; the text is a sentence that says so."""


class Parser:
    """Reads the code of one piece. Each method raises NotATemplate."""

    def __init__(self, code: str, names: KnownNames) -> None:
        self._code, self._names = code, names
        self._tokens, self._place, self._depth = tokens(code), 0, 0
        self.nodes = 0
        """How many steps it takes to evaluate the whole code once."""

    @property
    def _next(self) -> CodeToken:
        return self._tokens[self._place]

    def take(self, *texts: str) -> str | None:
        """The next token if it is one of these signs or words."""
        token = self._next
        if token.kind in ("sign", "name") and token.text in texts:
            self._place += 1
            return token.text
        return None

    def need(self, text: str) -> None:
        """Take this sign or word; it is required."""
        if self.take(text) is None:
            raise self._unexpected(f"{text} was expected")

    def name(self) -> str:
        """Take a name."""
        token = self._next
        if token.kind != "name" or token.text in WORDS:
            raise self._unexpected("a name was expected")
        self._place += 1
        return token.text

    def end(self) -> None:
        """Check that nothing follows."""
        if self._next.kind != "end":
            raise self._unexpected("something else was expected")

    def _unexpected(self, what: str) -> NotATemplate:
        found = self._next.text if self._next.kind != "end" else "the end"
        return NotATemplate(f"{what}, not {found}: {self._code[:80]}")

    def expression(self, *, may_choose: bool = True) -> Node:
        """One expression. `may_choose`: `a if b else c` is one."""
        self._depth += 1
        if self._depth > NESTED_MAX:
            raise NotATemplate(f"it is nested more than {NESTED_MAX} levels deep")
        found = self._or()
        while may_choose and self.take("if"):
            condition = self._or()
            other = self.expression().run if self.take("else") else op.missing
            found = self._made(op.choice(condition.run, found.run, other))
        self._depth -= 1
        return found

    def _made(self, run: Evaluate) -> Node:
        self.nodes += 1
        return Node(run)

    def _or(self) -> Node:
        found = self._and()
        while self.take("or"):
            found = self._made(op.either(found.run, self._and().run))
        return found

    def _and(self) -> Node:
        found = self._not()
        while self.take("and"):
            found = self._made(op.both(found.run, self._not().run))
        return found

    def _not(self) -> Node:
        count = 0
        while self.take("not"):
            count += 1
        found = self._comparison()
        if count:
            found = self._made(op.negation(found.run, is_negated=bool(count % 2)))
        return found

    def _comparison(self) -> Node:
        first, steps = self._sum(), []
        while True:
            sign = self.take(*_COMPARED, "in")
            if sign is None and self._next.text == "not" and self._tokens[self._place + 1].text == "in":
                self._place += 2
                sign = "not in"
            if sign is None:
                break
            steps.append((sign, self._sum().run))
        return self._made(op.comparison(first.run, tuple(steps))) if steps else first

    def _sum(self) -> Node:
        found = self._joined()
        while (sign := self.take("+", "-")) is not None:
            found = self._made(op.calculation(sign, found.run, self._joined().run))
        return found

    def _joined(self) -> Node:
        found = self._product()
        while self.take("~"):
            found = self._made(op.joined(found.run, self._product().run))
        return found

    def _product(self) -> Node:
        found = self._power()
        while (sign := self.take("*", "/", "//", "%")) is not None:
            found = self._made(op.calculation(sign, found.run, self._power().run))
        return found

    def _power(self) -> Node:
        found = self._unary(has_filters=True)
        while self.take("**"):
            found = self._made(op.calculation("**", found.run, self._unary(has_filters=True).run))
        return found

    def _unary(self, *, has_filters: bool) -> Node:
        count = 0
        while (sign := self.take("-", "+")) is not None:
            count += sign == "-"
        found = self._postfix(self._primary())
        if count:
            if type(found.constant) in (int, float):
                value = found.constant * (-1) ** count
                found = Node(op.constant(value), constant=value)
            else:
                found = self._made(op.negative(found.run, is_negative=bool(count % 2)))
        return self._filtered(found) if has_filters else found

    def _primary(self) -> Node:
        token = self._next
        self._place += token.kind != "end"
        if token.kind == "name" and token.text not in WORDS:
            return self._function(token.text) if self.take("(") else self._names.node(token.text)
        if token.kind == "text":
            return _constant(token.text)
        if token.kind == "number":
            return _constant(_number(token.text))
        if token.kind == "name" and token.text in CONSTANTS:
            return _constant(CONSTANTS[token.text])
        if token.text == "(":
            return self._in_parentheses()
        if token.text == "[":
            return self._made(op.list_of([each.run for each in self._several("]")]))
        if token.text == "{":
            return self._object()
        self._place -= token.kind != "end"
        raise self._unexpected("a value was expected")

    def _in_parentheses(self) -> Node:
        if self.take(")"):
            return self._made(op.list_of([]))
        found = self.expression()
        if self.take(")"):
            return found
        self.need(",")
        return self._made(op.list_of([found.run, *(each.run for each in self._several(")"))]))

    def _several(self, closing: str) -> list[Node]:
        found = []
        while self.take(closing) is None:
            found.append(self.expression())
            if self.take(",") is None:
                self.need(closing)
                break
        return found

    def _object(self) -> Node:
        found = []
        while self.take("}") is None:
            key = self.expression()
            self.need(":")
            found.append((key.run, self.expression().run))
            if self.take(",") is None:
                self.need("}")
                break
        return self._made(op.object_of(found))

    def _postfix(self, found: Node) -> Node:
        while (sign := self.take(".", "[", "(")) is not None:
            if sign == "(":
                raise UnknownName("Values have no methods. Use a filter, such as data | items.")
            found = self._step(found, self._member()) if sign == "." else self._index(found)
        if found.path is not None:
            self._names.paths.append(found.path)
        return found

    def _member(self) -> str | int:
        token = self._next
        if token.kind not in ("name", "number") or (token.kind == "number" and not is_digits(token.text)):
            raise self._unexpected("a name was expected")
        self._place += 1
        return token.text if token.kind == "name" else int(token.text)

    def _step(self, found: Node, step: str | int) -> Node:
        self.nodes += 1
        path = None if found.path is None else (*found.path, step)
        return Node(op.member_of(found.run, step), path)

    def _index(self, found: Node) -> Node:
        bounds: list[Evaluate] = []
        is_slice, key = False, Node(op.missing)
        while len(bounds) < 3:
            if self._next.text in (":", "]") and self._next.kind == "sign":
                bounds.append(op.missing)
            else:
                key = self.expression()
                bounds.append(key.run)
            if not self.take(":"):
                break
            is_slice = True
        self.need("]")
        if is_slice:
            return self._made(op.slice_of(found.run, [*bounds, op.missing, op.missing][:3]))
        if type(key.constant) in (str, int):
            return self._step(found, key.constant)
        if key.run is op.missing:
            raise NotATemplate("[] needs a name or a number")
        return self._made(op.element_of(found.run, key.run))

    def _function(self, name: str) -> Node:
        if name not in FUNCTIONS:
            raise UnknownName(f"There is no function {name}.")
        positional, named = self._arguments()
        _check_call(name, FUNCTIONS[name], len(positional), named, has_value=False)
        arguments = [each.run for each in positional]
        return self._made(op.call(FUNCTIONS[name], arguments, {key: each.run for key, each in named.items()}))

    def _arguments(self) -> tuple[list[Node], dict[str, Node]]:
        positional: list[Node] = []
        named: dict[str, Node] = {}
        while self.take(")") is None:
            if self._next.kind == "name" and self._tokens[self._place + 1].text == "=":
                key = self.name()
                self.need("=")
                named[key] = self.expression()
            elif named:
                raise self._unexpected("a named argument was expected")
            else:
                positional.append(self.expression())
            if self.take(",") is None:
                self.need(")")
                break
        return positional, named

    def _filtered(self, found: Node) -> Node:
        while (sign := self.take("|", "is")) is not None:
            found = self._filter(found) if sign == "|" else self._test(found)
        return found

    def filters(self, found: Evaluate) -> Evaluate:
        """The filters that follow."""
        return self._filtered(Node(found)).run

    def _filter(self, found: Node) -> Node:
        name = self.name()
        positional, named = self._arguments() if self.take("(") else ([], {})
        arguments, keywords = [each.run for each in positional], {key: each.run for key, each in named.items()}
        if name in _OF_EACH or name in _OF_EACH_AT:
            return self._made(self._each(name, found.run, positional, named))
        if name in _ESCAPES:
            raise UnknownName(f"There is no filter {name}: values are escaped automatically, as their place requires.")
        if name not in FILTERS:
            raise UnknownName(f"There is no filter {name}.")
        _check_call(name, FILTERS[name], len(arguments), keywords)
        return self._made(op.filtered(FILTERS[name], found.run, arguments, keywords))

    def _test(self, found: Node) -> Node:
        is_negated = self.take("not") is not None
        token = self._next
        self._place += token.kind == "name"
        name = token.text
        if token.kind != "name" or name not in TESTS:
            raise UnknownName(f"There is no test {name}.")
        arguments: list[Node] = []
        if self.take("("):
            arguments, _ = self._arguments()
        elif self._next.kind in ("number", "text"):
            arguments = [self._primary()]
        _check_call(name, TESTS[name], len(arguments), {})
        return self._made(op.tested(TESTS[name], found.run, [each.run for each in arguments], is_negated))

    def _each(self, name: str, found: Evaluate, positional: list[Node], named: Mapping[str, Node]) -> Evaluate:
        """`map`, `select` and the like, whose filter or test is named by a string."""
        given = [each.constant for each in positional]
        rest = [each.run for each in positional]
        keywords = {key: each.run for key, each in named.items()}
        if name == "map":
            if not given and set(keywords) <= {"attribute", "default"} and "attribute" in keywords:
                return op.mapped_to(found, keywords["attribute"], keywords.get("default", op.missing))
            if not given or given[0] not in FILTERS:
                raise UnknownName("map needs the name of a filter, as in map('upper'), or attribute=.")
            _check_call(given[0], FILTERS[given[0]], len(rest) - 1, keywords)
            return op.mapped(FILTERS[given[0]], found, rest[1:], keywords)
        at, wanted = {**_OF_EACH, **_OF_EACH_AT}[name] or (False, True)
        path = rest.pop(0) if at and rest else None
        if (at and path is None) or keywords:
            raise UnknownName(f"{name} needs the name of an attribute, which may be followed by the name of a test.")
        test = given[len(given) - len(rest)] if rest else "true_"
        if rest and test not in TESTS:
            raise UnknownName(f"There is no test {test}.")
        if rest:
            _check_call(str(test), TESTS[test], len(rest) - 1, {})
        return op.chosen(found, path, TESTS[test] if rest else op.truth, rest[1:], wanted)


def _constant(value: Any) -> Node:
    return Node(op.constant(value), constant=value)


def _number(text: str) -> Any:
    value = int(text) if is_digits(text) and len(text) < 25 else float(text)
    if (type(value) is int and value > INTEGER_MAX + 1) or value == float("inf"):
        raise NotATemplate(f"the number {text} has too many digits")
    return value if type(value) is int or exact.is_kept(text) else msgspec.Raw(text.encode())


@cache
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


def _check_call(
    name: str, function: Callable[..., Any], positional: int, named: Mapping[str, Any], *, has_value: bool = True
) -> None:
    try:
        _signature(function).bind(*[None] * (positional + 1 + has_value), **dict.fromkeys(named))
    except TypeError as wrong:
        reason = str(wrong).replace("'", "")
        raise UnknownName(f"{name} does not accept these arguments: {reason}.") from None
