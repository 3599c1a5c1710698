"""Every code that an answer may have as its own is in the table that docs/reference/errors.md is made from."""

from __future__ import annotations

import ast
import importlib
import typing
from collections.abc import Iterator
from pathlib import Path

from tests.repository import under
from tidings.model import errors
from tidings.model.errors import PRECISE, TidingsError
from tidings.rules.declare.plan import Requirement

RAISED_AGAIN = {"first.code"}
"""Codes of errors that were raised before."""
OF_A_PLAN = "codes.pop() if len(codes) == 1 else None"
PLANNERS = ("tidings/rules/declare/plan.py", "tidings/store/items/inspect.py", "tidings/control/collections.py")
"""Where refusals of plans are made, whose code is the answer's where all have the same."""


def kinds(kind: type[TidingsError] = TidingsError) -> Iterator[type[TidingsError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from kinds(each)


def raised() -> Iterator[tuple[Path, ast.expr]]:
    """Every code that is handed to an error of ours."""
    classes = {kind.__name__ for kind in kinds() if kind.__module__ == errors.__name__}
    for path in under("tidings", suffix=".py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in classes:
                yield from ((path, word.value) for word in node.keywords if word.arg == "code")


def of_plans() -> set[str]:
    found = {f"items_{what}" for what in typing.get_args(typing.get_type_hints(Requirement)["what"])}
    for path in under("tidings", suffix=".py"):
        if str(path).endswith(PLANNERS):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call):
                    continue
                if isinstance(node.func, ast.Name) and node.func.id == "Place":
                    said = [word.value for word in node.keywords if word.arg == "code"]
                elif isinstance(node.func, ast.Attribute) and node.func.attr == "_refuse":
                    said = node.args[1:2]
                else:
                    continue
                found |= {str(each.value) for each in said if isinstance(each, ast.Constant)}
    return found


def codes_of(path: Path, code: ast.expr) -> set[str]:
    if isinstance(code, ast.Constant):
        return {str(code.value)}
    text = ast.unparse(code)
    if text in RAISED_AGAIN:
        return set()
    if text == OF_A_PLAN:
        return of_plans()
    if path.name == "once.py" and text == "code":
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        return {
            str(typing.cast(ast.Constant, call.args[0]).value) for call in calls if ast.unparse(call.func) == "_wrong"
        }
    assert isinstance(code, ast.Name), f"{path}: say the code {text} as a text, so that it can be found"
    module = importlib.import_module(".".join(path.parts[path.parts.index("tidings") :])[: -len(".py")])
    return {str(getattr(module, code.id))}


def test_every_code_of_an_answer_is_in_the_reference() -> None:
    found = {each for path, code in raised() for each in codes_of(path, code)}
    assert {"would_lose", "unique_taken", "items_fits", "idempotency_key_reused"} <= found
    assert found == {each.code for each in PRECISE}
    statuses = {kind.status for kind in kinds()}
    assert all(status in statuses for each in PRECISE for status in each.statuses)
