"""Every code that an answer may have is in the tables that docs/reference/errors.md is made from."""

from __future__ import annotations

import ast
import importlib
import re
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repository import nodes, under
from tidings.model import errors
from tidings.model.codes import OF_PLACES, PRECISE
from tidings.model.errors import TidingsError
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


PAGES = ("console", "pages")
"""Folders whose codes are on pages for people alone, and in no answer of the API."""


def raised() -> Iterator[tuple[Path, ast.expr]]:
    """Every code that is handed to an error of ours."""
    classes = {kind.__name__ for kind in kinds() if kind.__module__ == errors.__name__}
    for path in under("tidings", suffix=".py"):
        for node in nodes(path) if not set(path.parts) & set(PAGES) else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in classes:
                yield from ((path, word.value) for word in node.keywords if word.arg == "code")


def of_plans() -> set[str]:
    found = {f"items_{what}" for what in typing.get_args(typing.get_type_hints(Requirement)["what"])}
    for path in under("tidings", suffix=".py"):
        if str(path).endswith(PLANNERS):
            for node in nodes(path):
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
    if isinstance(code, ast.IfExp):
        return codes_of(path, code.body) | codes_of(path, code.orelse)
    if path.name == "once.py" and text == "code":
        calls = [node for node in nodes(path) if isinstance(node, ast.Call)]
        return {
            str(typing.cast(ast.Constant, call.args[0]).value) for call in calls if ast.unparse(call.func) == "_wrong"
        }
    assert isinstance(code, ast.Name), f"{path}: say the code {text} as a text, so that it can be found"
    module = importlib.import_module(".".join(path.parts[path.parts.index("tidings") :])[: -len(".py")])
    return {str(getattr(module, code.id))}


@pytest.mark.slow
def test_every_code_of_an_answer_is_in_the_reference() -> None:
    found = {each for path, code in raised() for each in codes_of(path, code)}
    assert {"would_lose", "unique_taken", "items_fits", "idempotency_key_reused"} <= found
    assert found == {each.code for each in PRECISE}
    statuses = {kind.status for kind in kinds()}
    assert all(status in statuses for each in PRECISE for status in each.statuses)


PAIRS = ("rules/reading/jsontext.py", "rules/items/field.py", "rules/items/item.py", "control/endpoints/body.py")
"""Where a code and its sentence are handed on as a pair."""
ELSEWHERE = ("cli", "client", "testing", "standard_verify.py", *PAGES)
"""What makes no answers of the API."""


def code_parameters(paths: list[Path]) -> dict[str, int]:
    """Where functions and classes of ours take a code, by their names."""
    found = {}
    functions: list[tuple[str, ast.AST]]
    for path in paths:
        for node in nodes(path):
            if isinstance(node, ast.ClassDef):
                made = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
                functions = [(node.name, each) for each in made]
            else:
                functions = [(node.name, node)] if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else []
            for name, function in functions:
                assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
                arguments = [each.arg for each in function.args.args if each.arg not in ("self", "cls")]
                if name != "__init__" and "code" in arguments:
                    found[name] = arguments.index("code")
    return found


def codes_of_places() -> set[str]:
    """Every code that is handed, as a text, to something that makes a wrong place."""
    paths = [path for path in under("tidings", suffix=".py") if not set(path.parts) & set(ELSEWHERE)]
    takes = code_parameters(paths)
    given: list[ast.expr] = []
    for path in paths:
        for node in nodes(path):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
                given += [word.value for word in node.keywords if word.arg == "code"]
                given += node.args[takes[name] : takes[name] + 1] if name in takes else []
            elif isinstance(node, ast.Return | ast.Yield) and str(path).endswith(PAIRS):
                leaf = node.value.orelse if isinstance(node.value, ast.IfExp) else node.value
                given += leaf.elts[:1] if isinstance(leaf, ast.Tuple) and len(leaf.elts) == 2 else []
    branches = [
        leaf for each in given for leaf in ([each.body, each.orelse] if isinstance(each, ast.IfExp) else [each])
    ]
    words = {leaf.value for leaf in branches if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str)}
    return {word for word in words if re.fullmatch("[a-z]+(_[a-z0-9]+)*", word)}


@pytest.mark.slow
def test_every_code_of_a_wrong_place_is_in_the_reference() -> None:
    found = codes_of_places()
    assert {"unknown_field", "not_exact", "reserved_name", "nul_character", "refused_address"} <= found
    known = OF_PLACES.keys() | {each.code for each in PRECISE} | {kind.code for kind in kinds()}
    assert found - known == set()


def test_the_reference_has_no_code_that_nothing_says() -> None:
    source = "\n".join(path.read_text() for path in under("tidings", suffix=".py") if path.name != "codes.py")
    assert [code for code in OF_PLACES if f'"{code}"' not in source] == []
