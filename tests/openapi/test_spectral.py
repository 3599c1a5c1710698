"""Spectral, with its rules for OpenAPI and those of OWASP, finds no errors in anybody's document.

What it says about a document is kept between runs, and it is asked again about others only.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.examples import are_all
from tests.installing import kept
from tests.openapi.conftest import CALLERS, LOCKS, without_ids
from tidings.testing import Api

LINT_SECONDS = 300
PLAIN_CHECKS = Path(__file__).parent / "plain_checks.cjs"
NOT_MEANT = (
    ("owasp:api4:2023-string-restricted", "", "texts in other people's event types are as free as they made them"),
    ("owasp:api4:2023-string-limit", r":import\.post\.requestBody\.", "a file has no length that a client could know"),
    ("owasp:.*", r"\.callbacks\.", "what the endpoint answers is not ours"),
    ("owasp:api8:2023-define-cors-origin", r"\.(properties|example)\b.*\.headers$", "a property with this name"),
)
"""What OWASP's rules take for another thing than it is: rule, where, and why it is none."""


@pytest.fixture(scope="session")
def spectral(npm_programs: Path) -> Path:
    """Spectral's program."""
    return npm_programs / "spectral"


Findings = dict[str, list[dict[str, Any]]]


def findings(spectral: Path, documents: dict[str, Any], ruleset: Path | None = None) -> Findings:
    """What Spectral says about each document: rule, severity (0 is an error), place and message of each finding.

    One process checks them all: it takes longer to load and compile itself than to check a small document.
    """
    rules = ruleset or spectral.parents[2] / "ruleset.yaml"

    def ask(folder: Path) -> None:
        for name, document in documents.items():
            (folder / f"{name}.json").write_text(json.dumps(document))
        files = [folder / f"{name}.json" for name in documents]
        command: list[str | Path] = [spectral, "lint", "--ruleset", rules, "--format", "json", "--quiet", *files]
        briefly = {**os.environ, "NODE_OPTIONS": f"--require {PLAIN_CHECKS}"}
        ran = subprocess.run(command, env=briefly, capture_output=True, text=True, timeout=LINT_SECONDS)
        assert ran.returncode in (0, 1) and ran.stdout, ran.stderr[-2_000:]
        (folder / "said").write_text(ran.stdout)

    asked = [f"{name} {without_ids(document)}" for name, document in documents.items()]
    said = (kept("spectral", [*asked, rules, PLAIN_CHECKS, *LOCKS], ask) / "said").read_text()
    found: Findings = {name: [] for name in documents}
    # Beside an empty list it says in words that there is nothing.
    for each in json.JSONDecoder().raw_decode(said)[0]:
        found[Path(each["source"]).stem].append(each)
    return found


def is_not_meant(finding: dict[str, Any]) -> bool:
    """Whether a rule of OWASP's is mistaken."""
    place = ".".join(map(str, finding["path"]))
    return any(re.fullmatch(rule, finding["code"]) and re.search(where, place) for rule, where, _ in NOT_MEANT)


def part(document: dict[str, Any], is_chosen: Callable[[str, str, Any], bool]) -> dict[str, Any]:
    """The operations that are chosen by path, method and content, with the components that they name.

    A webhook is chosen by its name, without a method.
    """
    webhooks = {name: item for name, item in document.get("webhooks", {}).items() if is_chosen(name, "", item)}
    part: dict[str, Any] = {**document, "webhooks": webhooks, "paths": {}}
    for path, item in document["paths"].items():
        chosen = {method: operation for method, operation in item.items() if is_chosen(path, method, operation)}
        if chosen:
            part["paths"][path] = chosen
    part["components"] = {"securitySchemes": document["components"]["securitySchemes"]}
    while missing := [
        (kind, name)
        for kind, name in re.findall(r'"#/components/(\w+)/([^"/]+)"', json.dumps(part))
        if name not in part["components"].get(kind, {})
    ]:
        for kind, name in missing:
            part["components"].setdefault(kind, {})[name] = document["components"][kind][name]
    return part


def new_in(document: dict[str, Any], seen: dict[str, Any]) -> dict[str, Any]:
    """What is to be checked of a document next to one that is checked whole: the operations that differ, and theirs.

    Components that nothing names are Redocly's to find, in the whole documents.
    """
    same = seen["components"]

    def differs(path: str, method: str, operation: Any) -> bool:
        there = seen["paths"].get(path, {}).get(method) if method else seen.get("webhooks", {}).get(path)
        if there != operation:
            return True
        named = part(document, lambda *there: there[:2] == (path, method))["components"]
        return any(same.get(kind, {}).get(name) != each for kind, them in named.items() for name, each in them.items())

    return part(document, differs)


@pytest.mark.slow
@pytest.mark.thorough
def test_the_documents_have_no_errors(callers: dict[str, Api], spectral: Path) -> None:
    documents = {who: callers[who].get("/v1/openapi.json") for who in (CALLERS if are_all() else ["operator"])}
    whole = documents["operator"]
    parts = {who: new_in(document, whole) for who, document in documents.items() if who != "operator"}
    found = findings(spectral, {"operator": whole, **parts})
    wrong = {who: [each for each in them if not is_not_meant(each)] for who, them in found.items()}
    told = "\n".join(
        f"{who}: {each['code']} at {'.'.join(map(str, each['path']))}: {each['message']}"
        for who, them in wrong.items()
        for each in them[:20]
    )
    assert not told, told


@pytest.mark.slow
@pytest.mark.thorough
def test_its_own_rules_find_nothing_in_awkward_documents(
    callers: dict[str, Api], awkward: dict[str, Any], spectral: Path, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text('extends: ["spectral:oas"]')
    plain = callers["operator"].get("/v1/openapi.json")
    documents = {who: new_in(document, plain) for who, document in awkward.items()}
    assert all(document["paths"] for document in documents.values())
    told = [each for them in findings(spectral, documents, rules).values() for each in them]
    assert not told, told[:5]


@pytest.mark.slow
@pytest.mark.thorough
def test_spectral_finds_what_is_wrong(callers: dict[str, Api], spectral: Path) -> None:
    document = callers["operator"].get("/v1/openapi.json")
    document = part(document, lambda path, method, operation: path.startswith("/v1/tenants"))
    del document["components"]["schemas"]["NewTenant"]["properties"]["name"]["maxLength"]
    del document["components"]["responses"]["429"]["headers"]["Retry-After"]
    document["paths"]["/v1/tenants"]["post"]["requestBody"]["content"]["application/json"]["example"] = {"id": 7}
    found = findings(spectral, {"tenants": document})["tenants"]
    codes = {each["code"] for each in found if not is_not_meant(each)}
    limits = {"owasp:api4:2023-string-limit", "owasp:api4:2023-rate-limit-retry-after"}
    assert codes == limits | {"oas3-valid-media-example"}
