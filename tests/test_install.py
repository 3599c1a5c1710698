"""The package installs as people install it: by `make install`, by pip from the wheel and its source, and as a tool."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import tidings
from tests.installing import CACHE, once
from tests.repository import ROOT, name, under

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
NO_COMPILING = {"PIP_NO_COMPILE": "1"}
"""What is installed here runs once or twice: compiling all of it takes longer than that."""


def run(*command: str | Path, **environment: str) -> str:
    """The standard output of a command that must succeed; it sees no environment of ours."""
    ours = ("VIRTUAL_ENV", "PYTHON", "TIDINGS_", "MAKE")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=kept | NO_COMPILING | environment)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this package, alone in its folder."""
    folder = tmp_path_factory.mktemp("dist")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    """The same in a folder that also holds the wheels of its locked dependencies."""
    lock = ROOT / "requirements.lock"
    # They are kept between runs, as other packages are that tests need.
    kept = once(CACHE / "wheels", lock.read_bytes() + sys.version.encode() + b"pip", downloaded)
    for each in (*kept.glob("*.whl"), *kept.glob("*.tar.gz")):
        (built.parent / each.name).symlink_to(each)
    return built


def downloaded(into: Path) -> None:
    """Fetch the locked wheels, and pip, the newest of which pipx keeps for all its environments."""
    pip("download", "--require-hashes", "--dest", into, "-r", ROOT / "requirements.lock")
    pip("download", "--dest", into, "pip")


def pip(command: str, *arguments: str | Path, python: Path = BIN / "python") -> None:
    run(BIN / "python", "-m", "pip", "--python", python, command, "--quiet", *arguments)


def uv(*arguments: str | Path, wheel: Path, python: Path) -> None:
    """Install with uv, which takes a fraction of pip's time, from the wheels in the folder of this one."""
    find = ("--offline", "--no-index", "--find-links", wheel.parent, "--no-config", "--no-cache")
    run(BIN / "uv", "pip", "install", "--quiet", *find, "--python", python, *arguments)


def uv_tool(command: str, *arguments: str | Path, wheel: Path, home: Path) -> str:
    """`uv tool`, with the locked versions and nothing from outside; what it keeps goes below `home`."""
    return run(
        BIN / "uv", "tool", command, "--offline", "--no-index", "--find-links", wheel.parent, "--no-config",
        "--python", sys.executable, *arguments,
        UV_TOOL_DIR=str(home / "tools"), UV_TOOL_BIN_DIR=str(home / "bin"), UV_CACHE_DIR=str(home / "cache"),
    )  # fmt: skip


def fresh_environment(folder: Path) -> Path:
    """A new virtual environment; returns its bin folder."""
    venv.create(folder, with_pip=False, symlinks=True)
    return folder / "bin"


def assert_works(bin_folder: Path) -> None:
    assert run(bin_folder / "tidings", "--version").split()[-1] == tidings.__version__
    assert "serve" in run(bin_folder / "tidings", "--help")


def test_wheel_holds_every_file_of_the_package(built: Path) -> None:
    inside = set(zipfile.ZipFile(built).namelist())
    missing = {name(path) for path in under("tidings")} - inside
    assert not missing, f"the wheel lacks {sorted(missing)}"
    strangers = {entry.split("/")[0] for entry in inside} - {"tidings", f"tidings-{tidings.__version__}.dist-info"}
    assert not strangers, f"the wheel would also install {strangers}"


@pytest.mark.thorough
def test_wheel_and_then_source_by_pip(wheel: Path, tmp_path: Path) -> None:
    """`pip install WHEEL`, and in its place `pip install .`, with the build environment that pip makes for itself."""
    bin_folder = fresh_environment(tmp_path / "venv")
    pip("install", "--no-index", "--find-links", wheel.parent, "tidings", python=bin_folder / "python")
    assert_works(bin_folder)
    from_wheel = origin(bin_folder)
    pip("install", "--find-links", wheel.parent, ROOT, python=bin_folder / "python")
    assert_works(bin_folder)
    assert from_wheel is None and origin(bin_folder) == ROOT.as_uri()


PLAIN = """
import sys
from tidings.client import verify
from tidings.testing import Receiver, TestServer
with TestServer() as server, Receiver() as receiver:
    ident, secret = server.api.register(receiver.url())
    server.api.publish("orders.paid", {"id": "o_1"})
    [received] = receiver.wait_for(1)
    assert verify(received.headers, received.body, secret)["type"] == "orders.paid"
print(sorted({"psycopg", "psycopg_binary"} & set(sys.modules)))
"""
"""What a wheel without extras can do: all of it, on SQLite."""


@pytest.mark.thorough
def test_a_plain_wheel_needs_no_postgresql_and_names_the_extra_for_it(wheel: Path, tmp_path: Path) -> None:
    bin_folder = fresh_environment(tmp_path / "venv")
    uv("tidings", wheel=wheel, python=bin_folder / "python")
    assert run(bin_folder / "python", "-c", PLAIN).strip() == "[]"
    url, data = "postgresql://tidings@127.0.0.1:1/tidings", ("--data", str(tmp_path / "data"))
    for command in (
        ("serve", *data, "--port", "0", "--database", url),
        ("doctor", *data, "--url", "http://127.0.0.1:1", "--database", url),
        ("doctor", *data, "--url", "http://127.0.0.1:1", "--database", url, "--production"),
        ("backup", str(tmp_path / "copy"), *data, "--database", url),
        ("outbox", "relay", "--database", url),
        ("outbox", "status", "--database", url),
    ):
        done = subprocess.run([bin_folder / "tidings", *command], capture_output=True, text=True, timeout=60)
        assert done.returncode, command
        assert "run `pip install 'tidings[postgres]'`" in done.stdout + done.stderr, (command, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr, done.stderr
    uv("tidings[postgres]", wheel=wheel, python=bin_folder / "python")
    said = subprocess.run(
        [bin_folder / "tidings", "outbox", "status", "--database", url], capture_output=True, text=True
    )
    assert "refused" in said.stderr.lower(), said


FAKE = """#!/bin/sh
case "$*" in
    *version_info*) exit 0 ;;
    *CONFIG_ARGS*) exit {status} ;;
esac
echo "{name}" >> "{chosen}"
exit 1
"""


@pytest.mark.parametrize(
    ("optimized", "asked", "taken", "said"),
    [
        ("python3 python3.13", "", "python3", ""),
        ("python3.13", "", "python3.13", "python3 was built without optimization; python3.13 runs Tidings faster"),
        ("python3.13", "python3", "python3", ""),
    ],
)
def test_an_optimized_python_is_preferred(tmp_path: Path, optimized: str, asked: str, taken: str, said: str) -> None:
    chosen = tmp_path / "chosen"
    for python in ("python3", "python3.13"):
        status = int(python not in optimized.split())
        (tmp_path / python).write_text(FAKE.format(status=status, name=python, chosen=chosen))
        (tmp_path / python).chmod(0o755)
    done = subprocess.run(
        [ROOT / "tools" / "setup.sh", tmp_path / "venv", "requirements.lock", *asked.split()],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode and set(chosen.read_text().split()) == {taken}
    assert said in done.stderr and ("optimization" in done.stderr) is bool(said)


def origin(bin_folder: Path) -> str | None:
    """The folder that the package was installed from, as its metadata tells; None of a wheel by its name."""
    read = "from importlib.metadata import distribution as d; print(d('tidings').read_text('direct_url.json') or '{}')"
    said: dict[str, str] = json.loads(run(bin_folder / "python", "-c", read))
    return said.get("url")


@pytest.mark.thorough
def test_wheel_as_a_tool_run_once(wheel: Path, tmp_path: Path) -> None:
    """As `uvx --from WHEEL tidings` and `pipx run` do it: an environment for one call."""
    said = uv_tool("run", "--from", wheel, "tidings", "--version", wheel=wheel, home=tmp_path)
    assert said.split()[-1] == tidings.__version__


@pytest.mark.thorough
def test_wheel_as_an_installed_tool(wheel: Path, tmp_path: Path) -> None:
    """As `pipx install` does it: a separate environment, and the command on the path."""
    uv_tool("install", wheel, wheel=wheel, home=tmp_path)
    assert_works(tmp_path / "bin")


@pytest.mark.thorough
def test_wheel_by_pipx(wheel: Path, tmp_path: Path) -> None:
    """`pipx install WHEEL`: pipx makes the environment, and the one with the pip for all of them."""
    home = {f"PIPX_{name}": str(tmp_path / name) for name in ("HOME", "BIN_DIR", "MAN_DIR")}
    offline = f"--no-index --find-links {wheel.parent}"
    run(BIN / "pipx", "install", "--backend", "pip", "--python", sys.executable, "--pip-args", offline, wheel, **home)
    assert_works(tmp_path / "BIN_DIR")
    run(BIN / "pipx", "uninstall", "tidings", **home)
    assert not list((tmp_path / "BIN_DIR").iterdir())


@pytest.mark.thorough
def test_make_install_brings_what_running_takes_and_a_second_one_finds_it_done(tmp_path: Path) -> None:
    install = ("make", "-C", ROOT, "install", f"VENV={tmp_path / 'venv'}", f"PYTHON={sys.executable}")
    run(*install)
    bin_folder = tmp_path / "venv" / "bin"
    assert_works(bin_folder)
    assert run(bin_folder / "tidings", "version").split()[-1] == tidings.__version__
    assert not (bin_folder / "pytest").exists()
    made = (tmp_path / "venv" / ".installed").stat().st_mtime_ns
    # `--question` fails if there is anything to run, so the second one takes no time.
    run(*install, "--question")
    run(*install)
    assert (tmp_path / "venv" / ".installed").stat().st_mtime_ns == made
