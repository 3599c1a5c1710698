"""`tidings.yaml`: the one file of an installation. YAML 1.2; what it does not know is refused with line and column."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from tidings.model.errors import Invalid, Place
from tidings.settings import SETTINGS, SettingsError, read_settings

DEFAULT_PATH = "tidings.yaml"
"""Read where no other file is named, if it is there."""

SECTIONS: dict[str, str] = {
    "settings": "The settings of `tidings serve`, by their names.",
    "collections": "Declarations of collections, by their names.",
}
OF_KEYS = ("unknown_field", "name")
"""Codes of wrong places where the name is wrong, and not what it has."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says. `path` is None where there is no file."""

    path: Path | None = None
    settings: dict[str, Any] = {}
    collections: dict[str, Any] | None = None
    """Declarations as plain values, checked; None: the file has no such section."""
    root: Any = None
    """The file as YAML nodes, which know their lines."""

    def where(self, place: Place) -> str:
        """`FILE, line 3, column 5` of a JSON pointer; where something is missing, of what should have it."""
        node, mark = self.root, None if self.root is None else self.root.start_mark
        for step in (place.pointer or "").split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            if node is not None and node.id == "mapping":
                found = next(((key, value) for key, value in node.value if key.value == step), None)
            elif node is not None and node.id == "sequence" and step.isdigit() and int(step) < len(node.value):
                found = (node.value[int(step)], node.value[int(step)])
            else:
                found = None
            if found is None:
                break
            key, node = found
            mark = (key if place.code in OF_KEYS else node).start_mark
        return str(self.path) if self.path is None or mark is None else _place(self.path, mark)


def find_config(path: str | None) -> Config:
    """The file at `path`; else `tidings.yaml` of the working folder if it is there; else an empty one.

    Raises SettingsError.
    """
    if path is None and not Path(DEFAULT_PATH).is_file():
        return Config()
    return read_config(Path(path or DEFAULT_PATH))


def read_config(path: Path) -> Config:
    """Read and check one file. Raises SettingsError with a sentence that names the line and the column."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as wrong:
        raise SettingsError(f"{path} cannot be read: {wrong.strerror}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not UTF-8 text.") from None
    return _read(text, path)


def _read(text: str, path: Path) -> Config:
    if not text.strip():
        return Config(path=path)
    # Imported here: a server without a file starts a fifth of a second sooner.
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import SafeConstructor
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    class Plain(SafeConstructor):
        """Times stay texts, as JSON has them."""

    Plain.add_constructor("tag:yaml.org,2002:timestamp", lambda made, node: node.value)
    reader = YAML(typ="safe", pure=True)
    reader.Constructor = Plain
    try:
        root = YAML(typ="safe", pure=True).compose(text)
        values = reader.load(text)
    except MarkedYAMLError as wrong:
        mark = wrong.problem_mark or wrong.context_mark
        place = _place(path, mark) if mark else str(path)
        problem = (wrong.problem or wrong.context or "it is no YAML").splitlines()[0]
        raise SettingsError(f"{place}: {problem}.") from None
    except (YAMLError, ValueError) as wrong:
        raise SettingsError(f"{path}: {str(wrong).splitlines()[0]}.") from None
    if values is None:
        return Config(path=path)
    sections = _keys(root, SECTIONS, "section", path)
    settings = values.get("settings") or {}
    if settings:
        nodes = _keys(sections["settings"], [setting.name for setting in SETTINGS], "setting", path)
        for name, value in settings.items():
            _check(name, value, _place(path, nodes[name].start_mark))
    config = Config(path=path, settings=settings, collections=values.get("collections", {}) or {}, root=root)
    if "collections" not in values:
        return msgspec.structs.replace(config, collections=None)
    _check_collections(config)
    return config


def _check_collections(config: Config) -> None:
    """Raise SettingsError with every wrong place. A file stands for itself: its references point into it."""
    from tidings.rules import declaration

    try:
        declaration.read(config.collections, "/collections")
    except Invalid as wrong:
        raise SettingsError("\n".join(f"{config.where(place)}: {place.detail}" for place in wrong.errors)) from None


def _check(name: str, value: Any, place: str) -> None:
    """Have a setting's value checked alone, so that the sentence can say where it stands."""
    try:
        read_settings(env={}, file={name: value})
    except SettingsError as wrong:
        raise SettingsError(f"{place}: {wrong}") from None


def _keys(node: Any, known: Collection[str], noun: str, path: Path) -> dict[str, Any]:
    """The entries of a mapping by their names. Raises SettingsError where one is unknown."""
    if node.id != "mapping":
        raise SettingsError(f"{_place(path, node.start_mark)}: here must be names with values, as in `name: value`.")
    found = {}
    for key, value in node.value:
        if key.id != "scalar" or key.value not in known:
            names = ", ".join(sorted(known))
            raise SettingsError(
                f"{_place(path, key.start_mark)}: {key.value!r} is no {noun} of Tidings. Known: {names}."
            )
        found[str(key.value)] = value
    return found


def _place(path: Path, mark: Any) -> str:
    return f"{path}, line {mark.line + 1}, column {mark.column + 1}"
