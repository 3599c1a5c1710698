"""Small pieces, in reading order, with limits on view: how long a file and a function may be, and how each begins."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.repository import ROOT, files, name, nodes, syntax, under

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
FOLDER_FILES_MAX = 15

# Files that nobody writes by hand, each with its reason.
NOT_OURS: dict[str, str] = {}

# Folders that grow with time: each file stays as it is, and is read in the order of its number.
ARCHIVES = {"tidings/store/migrations"}

# Errors of the server, as its callers meet them; a name that Django prescribes.
SEEN_FROM_OUTSIDE = {"tidings/client/errors.py", "tidings/outbox/django/management/commands/tidings_relay.py"}

# To parse each file for this takes seconds.
DOCSTRING = re.compile(r'(?:#.*\n|\s)*"""\s*[^\s"]')

# Written in halves, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b|NotImplemented" + "Error")
PLACES_OF_ONE_MACHINE = re.compile(
    "py"
    + r"pi\.org|python"
    + r"hosted\.org|npm"
    + r"js\.org|npm"
    + r"js\.com|(?<![\w.])/wor"
    + r"k/|/tmp/br"
    + r"ief|/ro"
    r"ot/|/ho" + r"me/\w|\.\./sha" + "red"
)


def ours(*folders: str, suffix: str = "") -> list[Path]:
    return [path for path in under(*folders, suffix=suffix) if name(path) not in NOT_OURS]


def modules() -> list[Path]:
    return ours("tidings", "tests", "tools", "examples", "benchmarks", suffix=".py")


def test_files_are_short() -> None:
    long = {name(path): lines for path in ours("tidings", "tools") if (lines := line_count(path)) > FILE_LINES_MAX}
    assert not long, f"files may have {FILE_LINES_MAX} lines; split these by what they are for: {long}"


def test_folders_have_at_most_15_files() -> None:
    folders = Counter(name(path.parent) for path in ours("tidings"))
    crowded = {folder: count for folder, count in folders.items() if count > FOLDER_FILES_MAX}
    crowded = {folder: count for folder, count in crowded.items() if folder not in ARCHIVES}
    assert not crowded, f"folders may have {FOLDER_FILES_MAX} files; give these rooms: {crowded}"


def test_every_room_of_the_package_is_in_the_list_of_rooms() -> None:
    listed = (ROOT / "ARCHITECTURE.md").read_text()
    inner = {path.parent for path in ours("tidings") if path.parent != ROOT / "tidings"}
    folders = {name(folder).removeprefix("tidings/") + "/" for folder in inner}
    missing = sorted(folder for folder in folders if f"`{folder}`" not in listed and "/static/" not in folder)
    assert not missing, f"say in ARCHITECTURE.md what lives in these folders: {missing}"


def test_a_file_that_is_named_is_there() -> None:
    """In documents, docstrings and comments: `web/app.py` is tidings/web/app.py."""
    named = re.compile(
        r"(?<![\w./{-])(?:tidings/)?((?:model|rules|store|net|intake|route|deliver|control|web|cli)/[\w/]+\.(?:py|sql))\b"
    )
    there = {name(path).removeprefix("tidings/") for path in ours("tidings")}
    lost = [
        f"{name(path)}:{number}: {each}"
        for path in files()
        if path.suffix in (".py", ".md") and path.name != "CHANGELOG.md"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for each in named.findall(line)
        if each not in there
    ]
    assert not lost, f"there is no such file any more: {lost}"


def test_a_function_that_a_journey_names_is_in_its_file() -> None:
    """ARCHITECTURE.md: each row of a journey ends with its files and the functions to open there."""
    journeys = (ROOT / "ARCHITECTURE.md").read_text().partition("## Journeys")[2].partition("\n## ")[0]
    rows = [line.split("|") for line in journeys.splitlines() if line.startswith("| ") and "/" in line]
    assert len(rows) > 20
    lost = []
    for row in rows:
        code = "".join((ROOT / "tidings" / each).read_text() for each in re.findall(r"`([^`]+)`", row[3]))
        lost += [f"{row[3].strip()}: {each}" for each in re.findall(r"`(\w+)`", row[4]) if f"def {each}(" not in code]
    assert not lost, f"there are no such functions any more: {lost}"


def test_functions_are_short() -> None:
    long = [
        f"{name(path)}:{node.lineno} {node.name} has {length}"
        for path in ours("tidings", "tools", suffix=".py")
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert not long, f"functions may have {FUNCTION_LINES_MAX} lines: {long}"


def test_every_module_says_what_it_is_for() -> None:
    silent = [name(path) for path in modules() if not DOCSTRING.match(path.read_text())]
    assert not silent, f"these files need a docstring on top: {silent}"


def test_digits_are_those_from_0_to_9() -> None:
    """`\\d`, `isdigit`, `isdecimal` and `isnumeric` also take ٣ and ²: write [0-9], or use model/digits.py."""
    loose = re.compile(r"\\d|(?<!isascii\(\) and )\b\w+\.(isdigit|isdecimal|isnumeric)\(")
    found = [
        f"{name(path)}:{number}"
        for path in ours("tidings", suffix=".py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if loose.search(line) and "static" not in name(path)
    ]
    assert not found, f"these take digits of other scripts: {found}"


def test_the_sync_client_is_fresh() -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / "tools" / "make_client.py", "--check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_a_class_name_means_one_thing() -> None:
    """A caller's twin of an error is the same thing, seen from outside; it alone may bear the error's name."""
    homes: dict[str, list[str]] = {}
    for path in ours("tidings", suffix=".py"):
        if name(path) not in SEEN_FROM_OUTSIDE:
            for node in syntax(path).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    homes.setdefault(node.name, []).append(f"{name(path)}:{node.lineno}")
    twice = {word: places for word, places in homes.items() if len(places) > 1}
    assert not twice, f"these names stand for several things: {twice}"


def test_every_sql_file_opens_with_a_sentence() -> None:
    silent = [name(path) for path in ours("tidings", suffix=".sql") if not path.read_text().lstrip().startswith("--")]
    assert not silent, f"these files need a comment on top: {silent}"


def test_nothing_is_left_for_later() -> None:
    assert not found(UNFINISHED), f"finish these, or put them into docs/ideas.md: {found(UNFINISHED)}"


def test_nothing_names_a_registry_or_one_machine() -> None:
    places = found(PLACES_OF_ONE_MACHINE)
    assert not places, f"a clone must work anywhere; these name a package registry or a path of one machine: {places}"


def found(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name(path)}:{number}: {line.strip()[:100]}"
        for path in files()
        if name(path) not in NOT_OURS
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]


def line_count(path: Path) -> int:
    return len(path.read_text(errors="replace").splitlines())
