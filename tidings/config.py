"""`tidings.yaml`: the one file of an installation. YAML 1.2; unknown keys are refused, with line and column numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from tidings.model.digits import is_digits
from tidings.model.errors import Invalid, Place
from tidings.rules.reading import exact
from tidings.settings import SETTINGS, SettingsError, read_settings

DEFAULT_PATH = "tidings.yaml"
"""The path of the file to read if no other path is given. The file need not exist."""

SECTIONS: dict[str, str] = {
    "settings": "The settings of `tidings serve`, by name.",
    "collections": "Collections by name, each with its declaration.",
    "connections": (
        "Connections to other systems, by name, each with its `base`, its `auth`, and the limits that its links share."
    ),
    "links": (
        "Links by name. A link with `when: {event: ...}` edits an item or calls another system; one with "
        "`when: {hook: ...}` declares a URL for another system's webhooks; one with `when: {form: ...}` declares a "
        "page that people fill in."
    ),
}
OF_KEYS = ("unknown_field", "name")
"""Error codes which mean that a name is wrong, rather than its value."""


_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a file. `path` is None if there is no file."""

    path: Path | None = None
    settings: dict[str, Any] = {}
    collections: dict[str, Any] | None = None
    """Checked declarations as plain values; None if the file has no such section."""
    connections: dict[str, Any] | None = None
    """Checked connections as plain values, with environment variables filled in; None if there is no such section."""
    links: dict[str, Any] | None = None
    """Checked links that act on events, as plain values; None if the file has no such section."""
    tests: dict[str, Any] = {}
    """The tests of these links, by the links' names."""
    hooks: dict[str, Any] | None = None
    """Checked hooks as plain values, by the names of their links; None if the file has no section `links`."""
    forms: dict[str, Any] | None = None
    """Checked forms as plain values, by the names of their links; None if the file has no section `links`."""
    root: Any = None
    """The file as YAML nodes, which have line numbers."""

    @property
    def declares(self) -> bool:
        """Whether it declares collections, connections or links that act on events."""
        return any(each is not None for each in (self.collections, self.connections, self.links))

    def where(self, place: Place) -> str:
        """`FILE, line 3, column 5` for a JSON pointer; if what it points to is missing, the position of its parent."""
        if self.path is None or self.root is None:
            return str(self.path)
        node, mark = self.root, self.root.start_mark
        for step in (place.pointer or "").split("/")[1:]:
            found = _member(node, step.replace("~1", "/").replace("~0", "~"))
            if found is None:
                break
            key, node = found
            mark = (key if place.code in OF_KEYS else node).start_mark
        return _place(self.path, mark)


def find_config(path: str | None) -> Config:
    """The file at `path`; by default `tidings.yaml` in the working folder, or an empty file if there is none.

    Raises SettingsError.
    """
    if not path and not Path(DEFAULT_PATH).is_file():
        return Config()
    return read_config(Path(path or DEFAULT_PATH))


def read_config(path: Path) -> Config:
    """Read and check one file. Raises SettingsError with a sentence that names the line and the column."""
    try:
        raw = path.read_bytes()
    except OSError as wrong:
        raise SettingsError(f"{path} cannot be read: {wrong.strerror}.") from None
    try:
        text = raw.decode()
    except UnicodeDecodeError as wrong:
        place = _place_after(path, raw[: wrong.start].decode())
        raise SettingsError(f"{place}: this is not valid UTF-8. Save the file as UTF-8.") from None
    return _read(text, path)


def _read(text: str, path: Path) -> Config:
    if not text.strip():
        return Config(path=path)
    root, values = _loaded(text, path)
    if values is None:
        return Config(path=path)
    _check_texts(root, path)
    sections = _keys(root, SECTIONS, "section", path)
    settings = {} if values.get("settings") is None else values["settings"]
    if settings or type(settings) is not dict:
        nodes = _keys(sections["settings"], [setting.name for setting in SETTINGS], "setting", path)
        wrong = [line for name, value in settings.items() if (line := _wrong(name, value, nodes[name], path))]
        if wrong:
            raise SettingsError("\n".join(wrong))
    collections = values.get("collections")
    config = Config(path=path, settings=settings, collections={} if collections is None else collections, root=root)
    if "collections" in values:
        _check_collections(config)
    else:
        config = msgspec.structs.replace(config, collections=None)
    if "connections" in values:
        from tidings.config_links import connections_of

        config = msgspec.structs.replace(config, connections=connections_of(config, values["connections"]))
    if "links" in values:
        from tidings.config_links import links_of

        config = msgspec.structs.replace(config, **links_of(config, values["links"])._asdict())
    return config


def _loaded(text: str, path: Path) -> tuple[Any, Any]:
    """The file as YAML nodes, and as plain values. Raises SettingsError if it is not valid YAML."""
    # Imported here, so that a server without a file starts a fifth of a second sooner.
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import ConstructorError, SafeConstructor
    from ruamel.yaml.error import MarkedYAMLError
    from ruamel.yaml.reader import ReaderError

    class Plain(SafeConstructor):
        """Times stay strings, as in JSON; unreadable values are reported with line and column."""

        def construct_object(self, node: Any, deep: bool = False) -> Any:
            try:
                return super().construct_object(node, deep)
            except ValueError:
                value = str(node.value)
                told = value if len(value) <= 60 else value[:57] + "..."
                raise ConstructorError(None, None, f"{told!r} cannot be read", node.start_mark) from None

    Plain.add_constructor("tag:yaml.org,2002:timestamp", lambda made, node: node.value)
    Plain.add_constructor("tag:yaml.org,2002:float", lambda made, node: _double(made.construct_yaml_float(node), node))
    reader = YAML(typ="safe", pure=True)
    reader.Constructor = Plain
    try:
        root = YAML(typ="safe", pure=True).compose(text)
        values = reader.load(text)
    except MarkedYAMLError as wrong:
        mark = wrong.problem_mark or wrong.context_mark
        place = _place(path, mark) if mark else str(path)
        problem = (wrong.problem or wrong.context or "it is not valid YAML").splitlines()[0]
        if problem.startswith("but "):
            problem = f"{(wrong.context or '').splitlines()[0]}, {problem}"
        raise SettingsError(f"{place}: {problem}.") from None
    except ReaderError as wrong:
        place = _place_after(path, text[: wrong.position])
        raise SettingsError(f"{place}: the character U+{ord(text[wrong.position]):04X} is not allowed here.") from None
    except RecursionError:
        raise SettingsError(f"{_too_deep(text, path)}: the nesting is too deep.") from None
    return root, values


def _double(value: float, node: Any) -> float:
    """A number in the file. Raises ConstructorError if a double cannot represent it."""
    from ruamel.yaml.constructor import ConstructorError

    text = str(node.value).replace("_", "")
    if math.isfinite(value) and _NUMBER.fullmatch(text) and not exact.is_kept(text):
        raise ConstructorError(None, None, f"{text[:50]} {exact.lost(text)}", node.start_mark)
    return value


def _check_collections(config: Config) -> None:
    """Raise SettingsError with every wrong place. References must point to collections in the same file."""
    from tidings.rules.declare import declaration

    try:
        declaration.read(config.collections, "/collections")
    except Invalid as wrong:
        raise SettingsError("\n".join(f"{config.where(place)}: {place.detail}" for place in wrong.errors)) from None


def _check_texts(root: Any, path: Path) -> None:
    """Raise SettingsError for a string that UTF-8 cannot encode: half of a surrogate pair, as in "\\ud800"."""
    left, seen = [root], set[int]()
    while left:
        node = left.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.id == "mapping":
            left += [each for pair in node.value for each in pair]
        elif node.id == "sequence":
            left += node.value
        elif not str(node.value).isascii() and _SURROGATE.search(str(node.value)):
            raise SettingsError(f"{_place(path, node.start_mark)}: there is an unpaired surrogate here.")


def _is_plain(node: Any) -> bool:
    return node.id == "scalar" or (node.id == "sequence" and all(each.id == "scalar" for each in node.value))


def _wrong(name: str, value: Any, node: Any, path: Path) -> str | None:
    """What is wrong with the value of a single setting, with its line and column."""
    place = _place(path, node.start_mark)
    if not _is_plain(node):
        return f"{place}: `{name}` must be a single value, or a list of values."
    try:
        read_settings(env={}, file={name: value})
    except SettingsError as wrong:
        return f"{place}: {wrong}"
    return None


def _keys(node: Any, known: Collection[str], noun: str, path: Path) -> dict[str, Any]:
    """The entries of a mapping by their names. Raises SettingsError if one is unknown."""
    if node.id != "mapping":
        raise SettingsError(f"{_place(path, node.start_mark)}: this must be a mapping, as in `name: value`.")
    found, wrong = {}, []
    names = ", ".join(sorted(known))
    for key, value in node.value:
        if key.id != "scalar" or key.value not in known:
            wrong.append(
                f"{_place(path, key.start_mark)}: {key.value!r} is not a known {noun}. The {noun}s are: {names}."
            )
        found[str(key.value)] = value
    if wrong:
        raise SettingsError("\n".join(wrong))
    return found


def _place(path: Path, mark: Any) -> str:
    return f"{path}, line {mark.line + 1}, column {mark.column + 1}"


def _place_after(path: Path, before: str) -> str:
    """The line and column directly after this text."""
    return f"{path}, line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"


def _too_deep(text: str, path: Path) -> str:
    """The place where a file is nested deeper than any declaration."""
    from ruamel.yaml import YAML
    from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

    from tidings.rules.reading.places import DEPTH_MAX

    depth = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEPTH_MAX:
            return _place(path, event.start_mark)
    return str(path)


def _member(node: Any, step: str) -> tuple[Any, Any] | None:
    """A member's name and value as nodes, one pointer step below a node; for a list both are the element."""
    if node.id == "mapping":
        return next(((key, value) for key, value in node.value if key.value == step), None)
    if node.id == "sequence" and is_digits(step) and int(step) < len(node.value):
        return node.value[int(step)], node.value[int(step)]
    return None
