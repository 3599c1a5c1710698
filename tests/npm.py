"""Packages of npm for tests."""

from __future__ import annotations

from pathlib import Path

from tests.installing import npm_packages
from tests.programs import needed


def installed(here: Path, name: str, beside: tuple[str, ...] = ()) -> Path:
    """The folder `node_modules` of the packages that are locked in `here`. Skips the test if there is no npm.

    `beside`: files that are copied next to it.
    """
    needed("npm")
    return npm_packages(here, name, beside)
