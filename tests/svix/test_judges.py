"""Svix's official SDKs in other languages, and in both major versions, work with nothing changed but URL and token.

Each program makes the calls of the official suites and some more, and verifies a webhook with the SDK's own library.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.examples import thorough
from tests.installing import kept, python_programs, tool
from tests.npm import installed
from tests.programs import needed
from tidings.testing import Receiver, TestServer, until

pytestmark = pytest.mark.sqlite_only
HERE = Path(__file__).parent / "judges"
STEPS = ["application", "event types", "endpoint", "sent", "verified", "attempts", "portal", "deleted"]
SECONDS = 120.0


def judged(
    server: TestServer,
    receiver: Receiver,
    name: str,
    *command: str | Path,
    base: str = "/svix",
    more: Mapping[str, str] = {},
) -> None:
    """Run a program with the URL, the key and a receiver's URL, and give it what the receiver got."""
    path = f"/{name}"
    whole = [*command, server.url + base, server.api.key or "", receiver.url(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        whole, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **more}
    ) as running:
        assert running.stdin is not None and running.stdout is not None
        steps = []
        for line in running.stdout:
            steps.append(line.strip())
            if steps[-1] == "sent":
                request = until(lambda: receiver.requests(path), "the webhook")[0]
                got = {"body": request.body.decode(), "headers": dict(request.headers)}
                running.stdin.write(json.dumps(got) + "\n")
                running.stdin.flush()
        _, wrong = running.communicate(timeout=SECONDS)
        assert steps == STEPS, wrong[-3_000:]


@pytest.mark.thorough
@pytest.mark.slow
def test_python_in_its_first_version(server: TestServer, receiver: Receiver) -> None:
    python = python_programs(HERE / "requirements.lock", "svix") / "python"
    judged(server, receiver, "python1", python, HERE / "judge.py")


@pytest.mark.slow
@pytest.mark.parametrize("version", [*thorough("svix1"), "svix2"])
def test_javascript(server: TestServer, receiver: Receiver, version: str) -> None:
    folder = installed(HERE, "svix", ("judge.mjs",)).parent
    judged(server, receiver, f"javascript-{version}", needed("node"), folder / "judge.mjs", version)


@pytest.mark.thorough
@pytest.mark.slow
def test_go(server: TestServer, receiver: Receiver) -> None:
    judged(server, receiver, "go", needed("go"), "run", "-C", HERE / "go", ".")


@pytest.mark.slow
@pytest.mark.thorough
def test_java(server: TestServer, receiver: Receiver) -> None:
    # This SDK drops the path of the URL.
    java, javac, maven = needed("java"), needed("javac"), needed("mvn")

    def build(folder: Path) -> None:
        jars = f"-DoutputDirectory={folder / 'jars'}"
        source = HERE / "java" / "Judge.java"
        commands: list[list[str | Path]] = [
            [maven, "-q", "-B", "-f", HERE / "java", "dependency:copy-dependencies", jars],
            [javac, "-proc:none", "-d", folder / "classes", "-cp", folder / "jars" / "*", source],
        ]
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr

    built = kept("svix-java", [HERE / "java", tool(javac)], build)
    brief = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{built / 'classes'}:{built / 'jars' / '*'}")
    judged(server, receiver, "java", java, *brief, "Judge", base="")


@pytest.mark.slow
def test_ruby(server: TestServer, receiver: Receiver) -> None:
    ruby = needed("ruby")
    if subprocess.run([ruby, "-e", 'require "svix"'], capture_output=True).returncode != 0:
        pytest.skip("Ruby has no gem svix: gem install svix")
    judged(server, receiver, "ruby", ruby, HERE / "judge.rb")
