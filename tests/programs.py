"""Programs that some tests call and that no Python package brings, such as a browser for the pages.

The tests of a missing program are left out. The last line of the run then says so, with the command that installs it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable

import pytest

from chromium import BROWSERS

NAMES: dict[str, tuple[str, ...]] = {
    "chromium": BROWSERS,
    "firefox": ("firefox-esr", "firefox"),
    "haproxy": ("haproxy", "/usr/sbin/haproxy"),
    "nginx": ("nginx", "/usr/sbin/nginx"),
    "pgbouncer": ("pgbouncer", "/usr/sbin/pgbouncer"),
}
"""Where a program is found, if not by its own name."""
PACKAGES = {
    "WebKitWebDriver": "webkit2gtk-driver",
    "Xvfb": "xvfb",
    "firefox": "firefox-esr",
    "go": "golang",
    "java": "default-jdk-headless",
    "javac": "default-jdk-headless",
    "mvn": "maven",
    "nginx": "nginx-light",
    "node": "nodejs",
    "php": "php-cli",
    "promtool": "prometheus",
    "systemd-analyze": "systemd",
    "systemd-nspawn": "systemd-container",
}
"""Debian's package, if it has another name."""
MISSING = "not installed: "


def found(program: str) -> str | None:
    """The program's path, or None if it is not installed."""
    return next((path for name in NAMES.get(program, (program,)) if (path := shutil.which(name))), None)


def needed(program: str) -> str:
    """The program's path. Skips the test if it is not installed."""
    path = found(program)
    return pytest.skip(MISSING + program) if path is None else path


def all_needed(programs: Iterable[str]) -> None:
    """Skip the test if some of them are not installed."""
    missing = [program for program in programs if found(program) is None]
    if missing:
        pytest.skip(MISSING + ", ".join(missing))


def last_line(reasons: Iterable[str]) -> str | None:
    """What the run did not test, of the reasons why tests were skipped, or None if no program was missing."""
    missing = [reason.split(MISSING)[1].split(", ") for reason in reasons if MISSING in reason]
    if not missing:
        return None
    names = sorted({name for names in missing for name in names})
    packages = " ".join(sorted(PACKAGES.get(name, name) for name in names))
    return f"NOT TESTED: {len(missing)} tests need {', '.join(names)}. Install with: apt-get install {packages}"
