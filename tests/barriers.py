"""What axe-core, which finds barriers in pages, is asked in a browser."""

from __future__ import annotations

from pathlib import Path

from tests.npm import installed

HERE = Path(__file__).parent / "forms" / "axe"
ALL = '{resultTypes: ["violations"]}'
COLOURS = '{resultTypes: ["violations"], runOnly: {type: "rule", values: ["color-contrast", "link-in-text-block"]}}'
"""What is tried of a page again in the dark, where nothing is different but its colours."""


def axe() -> str:
    """The script of axe-core, for a page. Skips the test if there is no npm."""
    return (installed(HERE, "axe") / "axe-core" / "axe.min.js").read_text() + "; 0"


def asked(what: str) -> str:
    """A script whose value is a sentence for each kind of barrier. `what`: ALL or COLOURS."""
    nodes = "each.nodes.slice(0, 3).map(node => node.html.slice(0, 200))"
    return f"axe.run(document, {what}).then(found => found.violations.map(each => `${{each.id}}: ${{{nodes}}}`))"
