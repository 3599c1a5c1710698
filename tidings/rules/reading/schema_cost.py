"""What a JSON Schema may cost: how much work one value can cause, given how often the schema's parts apply to it.

A schema is a graph: some keywords are about the same value (allOf, anyOf, $ref ...), others about its members. The
number of ways from the top to the values of one level, each way weighted by the keywords at its end, is the most
that one value of that level can cost. Levels are counted one by one, since a schema may refer to itself. Members of
different names are different values, so their ways do not add up.

A unit is one keyword on one value, some 8 ns. The costs of single keywords are in rules/reading/schema_words.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

import msgspec

from tidings.model.digits import index_of
from tidings.rules.reading.jsontext import DEPTH_MAX
from tidings.rules.reading.refused import Refused, escaped
from tidings.rules.reading.schema_words import ENDLESS, char_units, number_units, quoted, units, whole

WEIGHT_MAX = 5_000
"""The maximum number of units that a schema may cost for one value."""
STATES_MAX = 5_000
"""The maximum number of states of all regular expressions that a text is matched against."""
UNIQUE_UNITS = 150
"""The cost of each element of a list whose elements must be unique, in units."""
NAME_UNITS = 4
"""The cost of each member for each pattern that its name is matched against, in units."""
WORK_MAX = 300_000
"""The maximum number of members to follow, which bounds the work of this module itself."""
REACH_MAX = 300_000
"""The maximum number of pairs of parts about the same value to count, which bounds the work of this module itself."""

_LISTS = ("allOf", "anyOf", "oneOf")
_SINGLE = ("not", "if", "then", "else")
_MAPS = ("dependentSchemas", "dependencies")
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_OTHER_ITEMS = ("items", "additionalItems", "unevaluatedItems")
_OTHER_MEMBERS = ("additionalProperties", "unevaluatedProperties")

Schema = dict[str, Any]
Name = str | int | None
"""The name of a member, or the index of an element; None stands for every other one."""


class Cost(msgspec.Struct, frozen=True):
    """The most units for the value itself, for each value below it, and for each character of a text."""

    top: int
    below: int
    per_char: int
    at: str = ""
    """A pointer to the part that weighs most."""
    patterns_at: str = ""
    """A pointer to the pattern that weighs most."""
    branches: bool = False
    """Whether the schema has anyOf or oneOf, each choice of which has its own reasons."""
    per_number: int = 0
    """The additional units for each number, times its weight (rules/reading/schema_words.py)."""
    whole: bool = True
    """Whether the schema compares only with integers of 64 bits: comparing such integers is cheap."""
    quoted: int = 0
    """How many bytes of the schema the reasons of one value may quote."""
    copies: bool = False
    """Whether the schema has propertyNames: the reason for each name holds the whole object."""
    unique: int = 0
    """How many times the elements of one list may be checked for uniqueness."""

    def units(self, values: int, chars: int, numbers: int = 0) -> int:
        """The maximum cost of a value with this many values, characters, and numbers by their weight."""
        return self.top + self.below * values + self.per_char * chars + self.per_number * numbers


def cost_of(schema: Schema) -> Cost:
    """What a schema may cost. Raises Refused, with the pointer, for a reference to something outside the schema."""
    return _Graph(schema).cost()


def check(schema: Schema) -> None:
    """Raise Refused, with the pointer, for a schema that may cost too much."""
    cost = cost_of(schema)
    weight = max(cost.top, cost.below)
    if weight > WEIGHT_MAX:
        detail = (
            f"This schema can require {_number(weight)} checks of one value; the maximum is {WEIGHT_MAX:,}. This part "
            "of the schema is reached in too many ways: use fewer references, `allOf`, `anyOf` and `oneOf` that lead "
            "to it."
        )
        raise Refused(cost.at, "schema", detail)
    if cost.per_char > STATES_MAX:
        detail = (
            "Taken together, the patterns for one text are too large; use fewer patterns, or smaller repetition counts."
        )
        raise Refused(cost.patterns_at, "schema", detail)


def _number(weight: int) -> str:
    return "infinitely many" if weight >= ENDLESS else f"{weight:,}"


class _Node(msgspec.Struct):
    """One part of a schema: what it refers to, and what it costs on its own."""

    pointer: str
    same: list[int]
    """The parts that are about the same value, each as often as it is reached."""
    members: dict[Name, list[int]]
    elements: dict[Name, list[int]]
    units: int
    member_units: int
    per_char: int
    per_number: int
    quoted: int


class _Graph:
    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._found: dict[int, tuple[Schema, str, str]] = {}
        """Each object of the schema, its pointer and its base address, by the object's identity."""
        self._addresses: dict[str, Schema] = {"": schema}
        self._dynamic: dict[str, list[Schema]] = {}
        self._survey(schema, "", "")
        self._nodes: dict[int, _Node] = {}
        self._order: list[int] = []
        self._work = 0
        self._build()

    def _survey(self, value: Any, pointer: str, base: str) -> None:
        """Note every object, and the addresses by which it can be referred to."""
        if type(value) is list:
            for index, each in enumerate(value):
                self._survey(each, f"{pointer}/{index}", base)
        if type(value) is not dict:
            return
        own = value.get("$id", value.get("id"))
        if type(own) is str:
            if not own.startswith("#"):
                base = urldefrag(_joined(base, own)).url
                self._addresses.setdefault(base, value)
            else:
                self._addresses.setdefault(base + own, value)
        for word in ("$anchor", "$dynamicAnchor"):
            if type(value.get(word)) is str:
                self._addresses.setdefault(f"{base}#{value[word]}", value)
        if type(value.get("$dynamicAnchor")) is str:
            self._dynamic.setdefault(value["$dynamicAnchor"], []).append(value)
        if value.get("$recursiveAnchor") is True:
            self._dynamic.setdefault("", []).append(value)
        self._found[id(value)] = (value, pointer, base)
        for name, each in value.items():
            self._survey(each, f"{pointer}/{escaped(name)}", base)

    def _build(self) -> None:
        """Make the nodes that can be reached, and the order in which ways about the same value run."""
        waiting = [self._schema]
        while waiting:
            part = waiting.pop()
            if id(part) in self._nodes:
                continue
            node = self._nodes[id(part)] = self._node(part)
            below = [each for table in (node.members, node.elements) for ids in table.values() for each in ids]
            waiting += [self._found[each][0] for each in (*node.same, *below)]
        state: dict[int, bool] = {}
        for start in self._nodes:
            self._visit(start, state)
        self._reach: dict[int, dict[int, int]] = {}
        """For each part, those that are about the same value, and in how many ways they are reached."""
        entries = 0
        for here in self._order:
            reach = self._reach[here] = {here: 1}
            for step in self._nodes[here].same:
                for end, often in self._reach[step].items():
                    reach[end] = min(ENDLESS, reach.get(end, 0) + often)
            entries += len(reach)
            if entries > REACH_MAX:
                detail = "The chains of references in this schema are too long; shorten them."
                raise Refused(self._nodes[here].pointer, "schema", detail)

    def _visit(self, start: int, state: dict[int, bool]) -> None:
        """After this a node comes after those that it points to. A path back to its origin no longer counts."""
        stack: list[tuple[int, Iterator[int]]] = []
        if start not in state:
            state[start] = False
            stack.append((start, iter(list(self._nodes[start].same))))
        while stack:
            here, rest = stack[-1]
            step = next(rest, None)
            if step is None:
                stack.pop()
                state[here] = True
                self._order.append(here)
            elif step not in state:
                state[step] = False
                stack.append((step, iter(list(self._nodes[step].same))))
            elif not state[step]:
                self._nodes[here].same = [each for each in self._nodes[here].same if each != step]

    def _node(self, part: Schema) -> _Node:
        _, pointer, base = self._found[id(part)]
        same: list[Any] = [each for word in _LISTS for each in _list(part.get(word))]
        same += [part.get(word) for word in _SINGLE]
        same += [each for word in _MAPS for each in _table(part.get(word)).values()]
        same += [each for word in _REFERENCES for each in self._targets(part, word, pointer, base)]
        if any(word in part for word in ("unevaluatedProperties", "unevaluatedItems")):
            # They are asked a second time, to find out what they have evaluated.
            same *= 2
        properties, patterns = _table(part.get("properties")), _table(part.get("patternProperties"))
        every = [*patterns.values(), part.get("propertyNames")]
        members: dict[Name, list[int]] = {name: _ids([each, *every]) for name, each in properties.items()}
        members[None] = _ids([*every, *(part.get(word) for word in _OTHER_MEMBERS)])
        items = part.get("items")
        first = [*_list(part.get("prefixItems")), *_list(items)]
        contains = part.get("contains")
        elements: dict[Name, list[int]] = {index: _ids([each, contains]) for index, each in enumerate(first)}
        elements[None] = _ids([contains, *(part.get(word) for word in _OTHER_ITEMS)])
        return _Node(
            pointer,
            _ids(same),
            members,
            elements,
            units(part),
            UNIQUE_UNITS * (part.get("uniqueItems") is True) + NAME_UNITS * len(patterns),
            char_units(part),
            number_units(part),
            quoted(part),
        )

    def _targets(self, part: Schema, word: str, pointer: str, base: str) -> Iterable[Any]:
        text = part.get(word)
        if type(text) is not str:
            return []
        if word == "$recursiveRef":
            return [self._schema, *self._dynamic.get("", [])]
        target = self._resolved(text, base)
        if target is None:
            detail = f"{text[:100]!r} points to nothing in this schema; only references within it can be followed."
            raise Refused(f"{pointer}/{escaped(word)}", "schema", detail)
        anchored = self._dynamic.get(text.rpartition("#")[2], []) if word == "$dynamicRef" else []
        return [target, *(each for each in anchored if each is not target)]

    def _resolved(self, text: str, base: str) -> Any:
        address, fragment = urldefrag(_joined(base, text))
        if fragment and not fragment.startswith("/"):
            return self._addresses.get(f"{address}#{fragment}")
        found: Any = self._addresses.get(address)
        for step in unquote(fragment).split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            if type(found) is list and (index := index_of(step)) is not None and index < len(found):
                found = found[index]
            elif type(found) is dict:
                found = found.get(step)
            else:
                return None
        return found if type(found) in (dict, bool) else None

    def cost(self) -> Cost:
        """Follow the ways from level to level, until nothing new is found or the deepest value is reached."""
        first = self._spread({id(self._schema): 1})
        most = self._weight(first)
        top, below, per_char = most.top, 0, most.per_char
        per_number, quoted = most.per_number, most.quoted
        at, patterns_at, best = most.at, most.patterns_at, top
        front, seen = [first], {frozenset(first.items())}
        for _ in range(DEPTH_MAX):
            found: list[dict[int, int]] = []
            for ways in front:
                extra = sum(count * self._nodes[here].member_units for here, count in ways.items())
                for child in self._below(ways):
                    weight = self._weight(child)
                    below = max(below, weight.top + extra)
                    per_number, quoted = max(per_number, weight.per_number), max(quoted, weight.quoted)
                    if below > best:
                        best, at = below, weight.at
                    if weight.per_char > per_char:
                        per_char, patterns_at = weight.per_char, weight.patterns_at
                    name = frozenset(child.items())
                    if name not in seen:
                        seen.add(name)
                        found.append(child)
            front = found
            if not front or below >= ENDLESS:
                break
        parts = [self._found[each][0] for each in self._nodes]
        branches = any(word in part for part in parts for word in ("anyOf", "oneOf"))
        copies = any("propertyNames" in part for part in parts)
        top, below, per_char, per_number, quoted = (
            min(each, ENDLESS) for each in (top, below, per_char, per_number, quoted)
        )
        is_whole = all(map(whole, parts))
        unique = max(1, below // UNIQUE_UNITS) if any(part.get("uniqueItems") is True for part in parts) else 0
        return Cost(top, below, per_char, at, patterns_at, branches, per_number, is_whole, quoted, copies, unique)

    def _spread(self, ways: dict[int, int]) -> dict[int, int]:
        """The ways, extended to the parts that are about the same value."""
        found: dict[int, int] = {}
        for here, count in ways.items():
            for step, often in self._reach[here].items():
                found[step] = min(ENDLESS, found.get(step, 0) + count * often)
        return found

    def _below(self, ways: dict[int, int]) -> Iterator[dict[int, int]]:
        """The ways to each member and element: one per name or place with its own parts, one for all others."""
        for which in ("members", "elements"):
            others: dict[int, int] = {}
            special: dict[Name, dict[int, int]] = {}
            for here, count in ways.items():
                table = getattr(self._nodes[here], which)
                self._work += len(table)
                for target in table[None]:
                    others[target] = others.get(target, 0) + count
                for name, targets in table.items():
                    if name is not None:
                        # If it has its own part, that of the others is not applied.
                        changes = special.setdefault(name, {})
                        for target in targets:
                            changes[target] = changes.get(target, 0) + count
                        for target in table[None]:
                            changes[target] = changes.get(target, 0) - count
            if self._work > WORK_MAX:
                raise Refused(
                    "", "schema", "This schema is too complex: its parts combine in too many ways. Simplify it."
                )
            plain = self._spread(others)
            yield plain
            for changes in special.values():
                child = dict(plain)
                for target, count in self._spread(changes).items():
                    child[target] = child.get(target, 0) + count
                yield {target: count for target, count in child.items() if count > 0}

    def _weight(self, ways: dict[int, int]) -> Cost:
        """What one value costs, and the parts that cost most."""
        nodes = [
            (count * self._nodes[here].units, count * self._nodes[here].per_char, here) for here, count in ways.items()
        ]
        if not nodes:
            return Cost(0, 0, 0)
        at, patterns_at = (self._nodes[max(nodes, key=lambda each: each[which])[2]].pointer for which in (0, 1))
        return Cost(
            sum(each[0] for each in nodes),
            0,
            sum(each[1] for each in nodes),
            at,
            patterns_at,
            per_number=sum(count * self._nodes[here].per_number for here, count in ways.items()),
            quoted=sum(count * self._nodes[here].quoted for here, count in ways.items()),
        )


def _ids(parts: Iterable[Any]) -> list[int]:
    return [id(part) for part in parts if type(part) is dict]


def _list(value: Any) -> list[Any]:
    return value if type(value) is list else []


def _table(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else {}


def _joined(base: str, reference: str) -> str:
    # urljoin knows no base such as urn:x.
    return base + reference if reference.startswith("#") else urljoin(base, reference)
