"""A whole template, compiled: its text, its expressions, and its statements (`if`, `for`, `set`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tidings.rules.templates.lexer import NotATemplate, Piece, pieces
from tidings.rules.templates.meter import SLOT, STEP, RenderingMeter
from tidings.rules.templates.operations import Evaluate, Rendering, Values
from tidings.rules.templates.parser import KnownNames, Node, Parser, UnknownName
from tidings.rules.templates.values import elements, is_true

SOURCE_CHARS_MAX = 8 * 1024
BLOCKS_MAX = 24
STATEMENTS = ("if", "for", "set")
_INNER = ("elif", "else", "endif", "endfor", "endset")
_LOOP = "loop"

Write = Callable[[Any], str]
"""Converts a value to text for a place. Raises ValueError if the value cannot be put there."""
Part = str | Callable[[Rendering, Write], None]


class Program:
    """A template, compiled. Raises NotATemplate."""

    def __init__(self, source: str, may_name: Sequence[str]) -> None:
        """`may_name`: the names of its scope."""
        if len(source) > SOURCE_CHARS_MAX:
            raise UnknownName(f"A template can be at most {SOURCE_CHARS_MAX:,} characters long.")
        if "\0" in source:
            raise UnknownName("A template may not contain the character NUL.")
        self._names = KnownNames(may_name)
        found = pieces(source)
        bare = [piece for piece in found if piece.kind != "text" or piece.text.strip()]
        self.alone: Node | None = None
        """The expression, if the template is nothing but one expression."""
        self._parts: list[Part] = []
        if len(bare) == 1 and bare[0].kind == "value":
            self.alone, _ = _expression(bare[0].text, self._names)
        else:
            self._parts = _Reader(found, self._names).parts(())[0]
        self.paths = tuple(self._names.paths)
        """The names that the template uses, each with the constant steps that follow it."""
        self.names = frozenset(self._names.used)

    def value(self, scope: Values, meter: RenderingMeter) -> Any:
        """The value of the only expression. Raises ValueError."""
        assert self.alone is not None
        return self.alone.run(Rendering(scope, meter))

    def text(self, scope: Values, meter: RenderingMeter, write: Write) -> str:
        """The text that it writes. Raises ValueError."""
        run = Rendering(scope, meter)
        if self.alone is not None:
            return write_value(run, self.alone.run, write)
        _write(self._parts, run, write)
        return "".join(run.out)


def write_value(run: Rendering, value: Evaluate, write: Write) -> str:
    """The value of an expression as text, paid for before it is made, as far as its size is known."""
    found = value(run)
    if type(found) in (list, dict):
        run.meter.weigh(found)
    text = write(found)
    run.meter.spend(len(text))
    return text


def _write(parts: Sequence[Part], run: Rendering, write: Write) -> None:
    for part in parts:
        if type(part) is str:
            run.write(part)
        else:
            part(run, write)  # type: ignore[operator]


def _expression(code: str, names: KnownNames) -> tuple[Node, int]:
    parser = Parser(code, names)
    found = parser.expression()
    parser.end()
    return found, parser.nodes + 1


class _Reader:
    """Reads the pieces of a template."""

    def __init__(self, found: Sequence[Piece], names: KnownNames) -> None:
        self._pieces, self._place, self._names = found, 0, names
        self._blocks = 0

    def parts(self, ends: Sequence[str]) -> tuple[list[Part], str, Parser | None, int]:
        """The parts up to one of the given statements, that statement and its parser, and the number of steps."""
        self._blocks += 1
        if self._blocks > BLOCKS_MAX:
            raise NotATemplate(f"statements are nested more than {BLOCKS_MAX} levels deep")
        found: list[Part] = []
        steps = 1
        while self._place < len(self._pieces):
            kind, text = self._pieces[self._place]
            self._place += 1
            if kind == "text":
                found.append(text)
                continue
            if kind == "value":
                node, cost = _expression(text, self._names)
                found.append(_written(node.run))
                steps += cost
                continue
            parser = Parser(text, self._names)
            word = parser.take(*STATEMENTS, *_INNER)
            if word is None:
                name = text.split(None, 1)[0] if text else ""
                raise UnknownName(
                    f"A template cannot have `{name}` statements, only `if`, `elif`, `else`, `for` and `set`."
                )
            if word in ends:
                self._blocks -= 1
                return found, word, parser, steps
            if word in _INNER:
                raise NotATemplate(f"{word} has nothing to end")
            part, cost = {"if": self._if, "for": self._for, "set": self._set}[word](parser)
            found.append(part)
            steps += cost
        if ends:
            raise NotATemplate(f"{ends[-1]} is missing")
        self._blocks -= 1
        return found, "", None, steps

    def _if(self, parser: Parser | None) -> tuple[Part, int]:
        branches: list[tuple[Evaluate, list[Part]]] = []
        other: list[Part] = []
        steps, word = 0, "if"
        while word in ("if", "elif"):
            assert parser is not None
            condition = parser.expression().run
            parser.end()
            steps += parser.nodes + 1
            body, word, parser, cost = self.parts(("elif", "else", "endif"))
            branches.append((condition, body))
            steps += cost
        if word == "else":
            other, _, _, cost = self.parts(("endif",))
            steps += cost
        return _either(branches, other), steps

    def _for(self, parser: Parser) -> tuple[Part, int]:
        targets = _targets(parser)
        parser.need("in")
        several = parser.expression(may_choose=False).run
        kept = set(self._names.variables)
        self._names.variables.update((*targets, _LOOP))
        outer = _LOOP in self._names.read
        self._names.read.discard(_LOOP)
        chosen = parser.expression().run if parser.take("if") else None
        parser.end()
        body, word, _, steps = self.parts(("else", "endfor"))
        self._names.variables = kept
        has_loop = _LOOP in self._names.read
        if outer:
            self._names.read.add(_LOOP)
        other: list[Part] = []
        cost = 0
        if word == "else":
            other, _, _, cost = self.parts(("endfor",))
        loop = _Loop(targets, several, chosen, body, other, has_loop, parser.nodes + steps + 1)
        return loop.run, cost + parser.nodes + 1

    def _set(self, parser: Parser) -> tuple[Part, int]:
        targets = _targets(parser)
        if parser.take("="):
            value = parser.expression().run
            parser.end()
            self._names.variables.update(targets)
            return _assigned(targets, value), parser.nodes + 2
        body, _, _, steps = self._captured(parser)
        filters = parser.filters(lambda run: run.variables[targets[0]])
        parser.end()
        self._names.variables.update(targets)
        return _captured(targets[0], body, filters), steps + parser.nodes + 2

    def _captured(self, parser: Parser) -> tuple[list[Part], str, Parser | None, int]:
        kept = set(self._names.variables)
        found = self.parts(("endset",))
        self._names.variables = kept
        return found


def _targets(parser: Parser) -> list[str]:
    is_in_parentheses = parser.take("(") is not None
    found = [parser.name()]
    while parser.take(","):
        found.append(parser.name())
    if is_in_parentheses:
        parser.need(")")
    if _LOOP in found:
        raise NotATemplate("loop cannot be set")
    return found


def _written(value: Evaluate) -> Part:
    def part(run: Rendering, write: Write) -> None:
        run.out.append(write_value(run, value, write))

    return part


def _either(branches: Sequence[tuple[Evaluate, list[Part]]], other: Sequence[Part]) -> Part:
    def part(run: Rendering, write: Write) -> None:
        for condition, body in branches:
            if is_true(condition(run)):
                return _write(body, run, write)
        return _write(other, run, write)

    return part


class _Loop(NamedTuple):
    """One `for`."""

    targets: Sequence[str]
    several: Evaluate
    chosen: Evaluate | None
    body: Sequence[Part]
    other: Sequence[Part]
    has_loop: bool
    """Whether the body or the condition uses `loop`."""
    steps: int
    """The number of steps of one pass through the body."""

    def run(self, run: Rendering, write: Write) -> None:
        outside = run.variables
        found = elements(self.several(run), run.meter)
        run.meter.spend(SLOT * len(found))
        if self.chosen is not None:
            found = [each for each in found if self._chooses(run, outside, each)]
        for index, each in enumerate(found):
            run.meter.spend(STEP * self.steps)
            run.variables = {**outside, **_assignment(self.targets, each)}
            if self.has_loop:
                run.variables[_LOOP] = _loop(index, found)
            _write(self.body, run, write)
        run.variables = outside
        if not found:
            _write(self.other, run, write)

    def _chooses(self, run: Rendering, outside: dict[str, Any], each: Any) -> bool:
        assert self.chosen is not None
        run.meter.spend(STEP * self.steps)
        run.variables = {**outside, **_assignment(self.targets, each)}
        return is_true(self.chosen(run))


def _loop(index: int, found: Sequence[Any]) -> dict[str, Any]:
    count = len(found)
    return {
        "index": index + 1,
        "index0": index,
        "revindex": count - index,
        "revindex0": count - index - 1,
        "first": index == 0,
        "last": index == count - 1,
        "length": count,
        "previtem": found[index - 1] if index else None,
        "nextitem": found[index + 1] if index + 1 < count else None,
    }


def _assignment(targets: Sequence[str], value: Any) -> dict[str, Any]:
    if len(targets) == 1:
        return {targets[0]: value}
    if type(value) is not list or len(value) != len(targets):
        raise ValueError(f"{len(targets)} names can be set only from a list of {len(targets)} values")
    return dict(zip(targets, value, strict=True))


def _assigned(targets: Sequence[str], value: Evaluate) -> Part:
    def part(run: Rendering, write: Write) -> None:
        run.variables.update(_assignment(targets, value(run)))

    return part


def _captured(target: str, body: Sequence[Part], filters: Evaluate) -> Part:
    def part(run: Rendering, write: Write) -> None:
        outside, variables, run.out = run.out, run.variables, []
        run.variables = dict(variables)
        _write(body, run, write)
        text = "".join(run.out)
        run.out, run.variables = outside, variables
        run.variables[target] = text
        run.variables[target] = filters(run)

    return part
