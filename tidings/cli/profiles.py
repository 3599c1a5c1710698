"""Servers and keys that `tidings login` has stored, by name: a file that only its owner may read.

A profile is used if neither --key nor TIDINGS_KEY is given. Its key is sent only to its own server.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import NamedTuple

from tidings.client.exchange import DEFAULT_URL

USUAL = "default"
ONLY_OWNER = 0o600


class Profile(NamedTuple):
    """The URL to call, and the key to use."""

    url: str
    key: str


def chosen_name() -> str:
    """The profile that TIDINGS_PROFILE names."""
    return os.environ.get("TIDINGS_PROFILE") or USUAL


def profiles_file() -> Path | None:
    """The file with the profiles: TIDINGS_PROFILES, or one in the user's configuration folder; None without a home."""
    if given := os.environ.get("TIDINGS_PROFILES"):
        return Path(given)
    folder = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    try:
        return Path(folder).expanduser() / "tidings" / "profiles.json"
    except RuntimeError:
        # The user of a container or unit may have no home folder.
        return None


def load_profiles() -> dict[str, Profile]:
    """All profiles by name. Raises ValueError if the file is unreadable, or readable by others."""
    if (path := profiles_file()) is None:
        return {}
    try:
        with path.open() as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise ValueError(f"Others can read the keys in {path}. Run: chmod 600 {path}")
            found = json.load(file)
    except FileNotFoundError:
        return {}
    except OSError as wrong:
        raise ValueError(f"The file {path} cannot be read: {wrong.strerror}.") from None
    except json.JSONDecodeError:
        raise ValueError(f"The file {path} is damaged. Delete it, and log in again.") from None
    try:
        return {str(name): Profile(str(each["url"]), str(each["key"])) for name, each in found.items()}
    except (AttributeError, KeyError, TypeError):
        raise ValueError(f"The file {path} is damaged. Delete it, and log in again.") from None


def save_profiles(profiles: dict[str, Profile]) -> Path:
    """Replace the file as a whole; returns its path. Raises OSError, and ValueError if there is no place for it."""
    if (path := profiles_file()) is None:
        raise ValueError("you have no home folder. Set TIDINGS_PROFILES to the path of a file")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, ONLY_OWNER)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump({name: each._asdict() for name, each in sorted(profiles.items())}, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    return path


def completed(url: str | None, key: str) -> tuple[str, str]:
    """The URL and key of a call: as given, or those of the chosen profile. Raises ValueError.

    `url`: None if none was given. A URL that was given is used, even if it is the default.
    """
    called = DEFAULT_URL if url is None else url
    if key:
        return called, key
    name = chosen_name()
    found = load_profiles().get(name)
    if found is None:
        if name != USUAL:
            raise ValueError(f"There is no profile {name!r}. Create it with: tidings login --profile {name}")
        return called, key
    if url is not None and url.rstrip("/") != found.url.rstrip("/"):
        return called, key
    return found.url, found.key
