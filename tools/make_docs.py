"""Writes docs/reference from the code's own tables; `--check` only says which pages are not fresh.

python tools/make_docs.py            write every page
python tools/make_docs.py --check    exit with 1 and name the pages that differ
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tidings.model import errors, outcome

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"


def errors_page() -> str:
    """One row for each error that a request may be answered with."""
    rows = [(kind.status, f"`{kind.code}`", sentence(kind), kind.title) for kind in request_errors()]
    fault = errors.TidingsError
    rows.append(
        (fault.status, f"`{fault.code}`", "A fault of ours. The log tells more under the request's id.", fault.title)
    )
    return page(
        "Errors",
        "tidings/model/errors.py",
        "Every error is answered as `application/problem+json` (RFC 9457). `code` is for programs and never changes;",
        "`detail` is a sentence for people; `errors` names each wrong place, by a JSON pointer into the body or by the",
        "parameter's name.",
        "",
        "```json",
        '{"type": "about:blank", "title": "A value is wrong", "status": 422, "code": "invalid", "detail": "...",',
        ' "errors": [{"pointer": "/data/age", "code": "type", "detail": "..."}], "request_id": "req_..."}',
        "```",
        "",
        table(("status", "code", "when", "title"), sorted(rows)),
    )


def request_errors() -> list[type[errors.TidingsError]]:
    """Every class of error, however deep in the tree."""
    found: list[type[errors.TidingsError]] = []
    waiting = [errors.TidingsError]
    while waiting:
        kinds = waiting.pop().__subclasses__()
        found += kinds
        waiting += kinds
    return [kind for kind in found if kind.__module__ == errors.__name__]


def outcomes_page() -> str:
    """One row for each thing that can come of an attempt."""
    rows = [(f"`{one.name}`", one.meaning, yes(one.retry), yes(one.blames)) for one in outcome.OUTCOMES]
    return page(
        "Outcomes",
        "tidings/model/outcome.py",
        "What can come of one attempt to deliver. The list is closed. *Tried again*: trying again may help, so the",
        "delivery waits for its next attempt as long as its schedule has one. *Blames*: it counts against the",
        "endpoint's health.",
        "",
        table(("outcome", "meaning", "tried again", "blames"), rows),
    )


PAGES: dict[str, Callable[[], str]] = {
    "errors.md": errors_page,
    "outcomes.md": outcomes_page,
}


def page(title: str, source: str, *lines: str) -> str:
    """A whole page: its title, where it comes from, and its lines."""
    note = f"<!-- Written by `make docs` from {source}. Edit it there. -->"
    return "\n".join([f"# {title}", "", note, "", *lines]).rstrip() + "\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; cells may hold anything."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def cell(value: object) -> str:
    """One cell: line ends and bars would break the table."""
    return " ".join(str(value).split()).replace("|", "\\|")


def yes(value: bool) -> str:
    """A truth as a word."""
    return "yes" if value else "no"


def sentence(thing: object) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((thing.__doc__ or "").strip().split("\n\n")[0].split())


def differences(wanted: dict[str, str]) -> list[str]:
    """The pages that are missing, stale, or no longer made."""
    present = {path.name: path.read_text() for path in REFERENCE.glob("*.md")}
    return sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))


def main() -> int:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 where pages are not fresh")
    wanted = {name: make() for name, make in PAGES.items()}
    changed = differences(wanted)
    if parser.parse_args().check:
        if changed:
            sys.stderr.write(f"docs/reference is not fresh, run `make docs`: {', '.join(changed)}\n")
        return 1 if changed else 0
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name in changed:
        if name in wanted:
            (REFERENCE / name).write_text(wanted[name])
        else:
            (REFERENCE / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
