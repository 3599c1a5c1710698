"""Spectral, with its rules for OpenAPI and those of OWASP, finds no errors in anybody's document."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.openapi.conftest import CALLERS
from tidings.testing import Api

LINT_SECONDS = 120
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


def findings(spectral: Path, document: Any, folder: Path, ruleset: Path | None = None) -> list[dict[str, Any]]:
    """What Spectral says about a document: rule, severity (0 is an error), place and message of each finding."""
    file = folder / "openapi.json"
    file.write_text(json.dumps(document))
    command: list[str | Path] = [
        spectral,
        "lint",
        "--ruleset",
        ruleset or spectral.parents[2] / "ruleset.yaml",
        "--format",
        "json",
        "--quiet",
        file,
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=LINT_SECONDS)
    assert ran.returncode in (0, 1) and ran.stdout, ran.stderr[-2_000:]
    # Beside an empty list it says in words that there is nothing.
    found: list[dict[str, Any]] = json.JSONDecoder().raw_decode(ran.stdout)[0]
    return found


def is_not_meant(finding: dict[str, Any]) -> bool:
    """Whether a rule of OWASP's is mistaken."""
    place = ".".join(map(str, finding["path"]))
    return any(re.fullmatch(rule, finding["code"]) and re.search(where, place) for rule, where, _ in NOT_MEANT)


@pytest.mark.slow
@pytest.mark.parametrize("who", CALLERS)
def test_the_document_has_no_errors(callers: dict[str, Api], spectral: Path, tmp_path: Path, who: str) -> None:
    found = findings(spectral, callers[who].get("/v1/openapi.json"), tmp_path)
    wrong = [each for each in found if not is_not_meant(each)]
    told = "\n".join(f"{each['code']} at {'.'.join(map(str, each['path']))}: {each['message']}" for each in wrong[:40])
    assert not wrong, f"{len(wrong)} findings\n{told}"


@pytest.mark.slow
@pytest.mark.parametrize("who", ["operator", "tenant", "guest"])
def test_its_own_rules_find_nothing_in_awkward_documents(
    awkward: dict[str, Any], spectral: Path, tmp_path: Path, who: str
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text('extends: ["spectral:oas"]')
    told = findings(spectral, awkward[who], tmp_path, rules)
    assert not told, told[:5]


def of_tenants(document: dict[str, Any]) -> dict[str, Any]:
    """The operations on tenants, with the components that they name: the whole document takes ten seconds to check."""
    part = {**document, "webhooks": {}}
    part["paths"] = {path: item for path, item in document["paths"].items() if path.startswith("/v1/tenants")}
    part["components"] = {"securitySchemes": document["components"]["securitySchemes"]}
    while missing := [
        (kind, name)
        for kind, name in re.findall(r'"#/components/(\w+)/([^"/]+)"', json.dumps(part))
        if name not in part["components"].get(kind, {})
    ]:
        for kind, name in missing:
            part["components"].setdefault(kind, {})[name] = document["components"][kind][name]
    return part


@pytest.mark.slow
def test_spectral_finds_what_is_wrong(callers: dict[str, Api], spectral: Path, tmp_path: Path) -> None:
    document = of_tenants(callers["operator"].get("/v1/openapi.json"))
    del document["components"]["schemas"]["NewTenant"]["properties"]["name"]["maxLength"]
    del document["components"]["responses"]["429"]["headers"]["Retry-After"]
    document["paths"]["/v1/tenants"]["post"]["requestBody"]["content"]["application/json"]["example"] = {"id": 7}
    codes = {each["code"] for each in findings(spectral, document, tmp_path) if not is_not_meant(each)}
    limits = {"owasp:api4:2023-string-limit", "owasp:api4:2023-rate-limit-retry-after"}
    assert codes == limits | {"oas3-valid-media-example"}
