"""The senders' own packages, installed apart from ours by lock files beside this one, each as a program that judges."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.installing import python_programs
from tests.npm import installed
from tests.programs import needed
from tidings.rules.schemes import HookRequest

HERE = Path(__file__).parent


class Judge:
    """A program that speaks for packages: `judge.py` or `judge.mjs`."""

    def __init__(self, *command: str | Path, folder: Path) -> None:
        self._process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def verifies(self, scheme: str, secret: str, request: HookRequest, settings: dict[str, str] | None = None) -> bool:
        """Whether the sender's own package takes a request for genuine."""
        return self._ask("verify", scheme, secret, request, settings)["ok"] is True

    def takes(self, scheme: str, secret: str, request: HookRequest, settings: dict[str, str] | None = None) -> bool:
        """The same of a request that the package may not even be able to read, which it then does not take."""
        return self._answer("verify", scheme, secret, request, settings).get("ok") is True

    def signs(
        self, scheme: str, secret: str, request: HookRequest, settings: dict[str, str] | None = None
    ) -> HookRequest:
        """The request as the sender's own package signs it."""
        added = self._ask("sign", scheme, secret, request, settings)
        headers = {**request.headers, **added["headers"]}
        body = added["body"].encode() if "body" in added else request.body
        return request.but(headers=headers, url=added.get("url", request.url), body=body)

    def end(self) -> None:
        """End the program."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, do: str, scheme: str, secret: str, request: HookRequest, settings: dict[str, str] | None) -> Any:
        answer = self._answer(do, scheme, secret, request, settings)
        assert "error" not in answer, f"{scheme}: {answer['error']}"
        return answer

    def _answer(self, do: str, scheme: str, secret: str, request: HookRequest, settings: dict[str, str] | None) -> Any:
        line = {
            "do": do,
            "scheme": scheme,
            "secret": secret,
            "method": request.method,
            "url": request.url,
            "headers": request.headers,
            "body": base64.b64encode(request.body).decode(),
            "settings": settings or {},
        }
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        said = self._process.stdout.readline()
        assert said, f"{scheme}: the program has ended"
        return json.loads(said)


@pytest.fixture(scope="session")
def python_judge() -> Iterator[Judge]:
    programs = python_programs(HERE / "requirements.lock", "oracles")
    judge = Judge(programs / "python", HERE / "judge.py", folder=programs.parents[1])
    yield judge
    judge.end()


@pytest.fixture(scope="session")
def node_judge() -> Iterator[Judge]:
    folder = installed(HERE, "oracles-npm").parent
    shutil.copy(HERE / "judge.mjs", folder / "judge.mjs")
    judge = Judge(needed("node"), folder / "judge.mjs", folder=folder)
    yield judge
    judge.end()
