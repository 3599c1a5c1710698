"""The package installs as people install it: the wheel and its source by pip, the wheel as a tool of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import tidings
from tests.repository import ROOT, name, under

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent


def run(*command: str | Path, **environment: str) -> str:
    """The standard output of a command that must succeed; it sees no environment of ours."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("VIRTUAL_ENV", "PYTHON", "TIDINGS_"))
    }
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=kept | environment)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def environment_with_dependencies(folder: Path) -> Path:
    """A fresh virtual environment with the locked runtime dependencies; returns its bin folder."""
    venv.create(folder, with_pip=False, symlinks=True)
    run(BIN / "python", "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet",
        "--require-hashes", "-r", ROOT / "requirements.lock")  # fmt: skip
    return folder / "bin"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(BIN / "python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


def assert_works(bin_folder: Path) -> None:
    assert run(bin_folder / "tidings", "--version").split()[-1] == tidings.__version__
    assert "serve" in run(bin_folder / "tidings", "--help")


def test_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    missing = {name(path) for path in under("tidings")} - inside
    assert not missing, f"the wheel lacks {sorted(missing)}"
    strangers = {entry.split("/")[0] for entry in inside} - {"tidings", f"tidings-{tidings.__version__}.dist-info"}
    assert not strangers, f"the wheel would also install {strangers}"


def test_wheel_by_pip(wheel: Path, tmp_path: Path) -> None:
    bin_folder = environment_with_dependencies(tmp_path / "venv")
    run(BIN / "python", "-m", "pip", "--python", bin_folder / "python", "install", "--quiet", "--no-index",
        "--find-links", wheel.parent, "tidings")  # fmt: skip
    assert_works(bin_folder)


def test_source_by_pip(tmp_path: Path) -> None:
    """`pip install .`, with the build environment that pip makes for itself."""
    bin_folder = environment_with_dependencies(tmp_path / "venv")
    run(BIN / "python", "-m", "pip", "--python", bin_folder / "python", "install", "--quiet", ROOT)
    assert_works(bin_folder)


def test_wheel_as_a_tool_run_once(wheel: Path, tmp_path: Path) -> None:
    """As `uvx --from tidings tidings` and `pipx run` do it: an environment for one call."""
    said = run(
        BIN / "uv", "tool", "run", "--python", sys.executable, "--from", wheel, "tidings", "--version",
        UV_TOOL_DIR=str(tmp_path / "tools"),
    )  # fmt: skip
    assert said.split()[-1] == tidings.__version__


def test_wheel_as_an_installed_tool(wheel: Path, tmp_path: Path) -> None:
    """As `pipx install` does it: an environment of its own, and the command on the path."""
    run(
        BIN / "uv", "tool", "install", "--quiet", "--python", sys.executable, wheel,
        UV_TOOL_DIR=str(tmp_path / "tools"), UV_TOOL_BIN_DIR=str(tmp_path / "bin"),
    )  # fmt: skip
    assert_works(tmp_path / "bin")
