"""Documents are tested: their links lead somewhere, the reference is fresh and whole, and pages stay short."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.repository import ROOT, files, name

README_LINES_MAX = 120
DECISION_LINES_MAX = 80

FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
REQUIRED = (
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "LICENSE",
    "docs/README.md",
)


def pages() -> list[Path]:
    return [path for path in files() if path.suffix == ".md"]


@pytest.mark.parametrize("wanted", REQUIRED)
def test_page_exists(wanted: str) -> None:
    assert (ROOT / wanted).read_text().strip()


@pytest.mark.parametrize("page", pages(), ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = [link for link in links(page.read_text()) if not resolves(page, link)]
    assert not broken, f"{name(page)} links to what is not there: {broken}"


@pytest.mark.slow  # `make check` does it in `make lint`.
def test_reference_is_fresh() -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / "tools" / "make_docs.py", "--check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES_MAX


def test_decisions_fit_on_a_page_and_have_numbers_of_their_own() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    long = {
        name(path): lines for path in decisions if (lines := len(path.read_text().splitlines())) > DECISION_LINES_MAX
    }
    assert not long, f"a decision has {DECISION_LINES_MAX} lines at most: {long}"
    odd = [name(path) for path in decisions if not re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name)]
    assert not odd, f"decisions are called NNNN-words-like-this.md: {odd}"
    numbers = [path.name[:4] for path in decisions]
    assert len(numbers) == len(set(numbers)), f"each decision has its own number: {numbers}"


def test_readme_commands_are_targets_of_make() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in ("README.md", "CONTRIBUTING.md", ".ci/run"):
        wanted = set(re.findall(r"(?:^|`)make ([a-z-]+)", (ROOT / page).read_text(), re.MULTILINE))
        assert wanted <= targets, f"{page} names targets that the Makefile lacks: {wanted - targets}"


def test_ci_runs_what_the_readme_says() -> None:
    readme = (ROOT / "README.md").read_text()
    commands = re.findall(r"^make [a-z-]+$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert commands == ["make lint", "make image", "make test"]
    assert all(command in readme for command in commands)


def links(text: str) -> list[str]:
    """The relative links of a page; those inside code are no links."""
    prose = CODE.sub("", FENCE.sub("", text))
    return [link for link in LINK.findall(prose) if not re.match(r"[a-z][a-z0-9+.-]*:|//", link)]


def resolves(page: Path, link: str) -> bool:
    """Whether the file is there, and the heading in it that the fragment names."""
    path, _, fragment = unquote(link).partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not fragment or target.suffix != ".md" or fragment in anchors(target.read_text())


def anchors(text: str) -> set[str]:
    """The fragments that a page offers, made from its headings as the usual renderers make them."""
    headings = HEADING.findall(FENCE.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
