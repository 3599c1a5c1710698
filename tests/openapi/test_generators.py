"""Clients that generators in other languages make of the document compile, and do a round trip with the server."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.openapi.conftest import run
from tests.programs import needed
from tidings.testing import Api, TestServer

HERE = Path(__file__).parent / "trips"
STEPS = ["published", "registered", "created", "listed", "edited", "refused", "deleted"]
TYPESCRIPT = {
    "compilerOptions": {
        "target": "es2022",
        "module": "nodenext",
        "strict": True,
        "lib": ["es2022", "dom"],
        "rootDir": ".",
        "outDir": "out",
        "types": [],
    },
    "include": ["**/*.ts"],
}
QUICKLY = ("-trimpath", "-gcflags=trips/...=-N -l")
"""Go recognizes what it compiled before, in another folder too, and does not optimize what was generated."""
BRIEF_JAVA = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""A compiler and a garbage collector for programs that end in seconds: Maven takes half the processor time."""
GO = ("oapi-codegen", "ogen", "openapi-generator")


def written(caller: Api, folder: Path) -> Path:
    """The caller's document as a file."""
    file = folder / "openapi.json"
    file.write_text(json.dumps(caller.get("/v1/openapi.json")))
    return file


def generate(environment: Path, language: str, document: Path, out: Path, *more: str) -> None:
    """Run OpenAPI Generator, which comes as a jar in the environment of the Python client.

    The first run keeps the classes that it loaded in a file, from which the others load them in a third of the time.
    """
    java = needed("java")
    [jar] = environment.parent.glob("lib/*/site-packages/openapi_generator_cli/openapi-generator.jar")
    kept, made = jar.with_name("classes.jsa"), out.with_name("classes.jsa")
    sharing = f"-XX:SharedArchiveFile={kept}" if kept.exists() else f"-XX:ArchiveClassesAtExit={made}"
    options = (*BRIEF_JAVA, "-XX:+IgnoreUnrecognizedVMOptions", sharing)
    run(java, *options, "-jar", jar, "generate", "-g", language, "-i", document, "-o", out, *more)
    if made.exists():
        shutil.move(made, kept)


@pytest.mark.slow
@pytest.mark.parametrize("who", ["operator", "tenant"])
def test_python(server: TestServer, callers: dict[str, Api], environment: Path, tmp_path: Path, who: str) -> None:
    out = tmp_path / "python"
    generate(environment, "python", written(callers[who], tmp_path), out, "--additional-properties=packageName=made")
    told = run(environment / "python", HERE / "trip.py", server.url, callers[who].key or "", path=out)
    assert told.split() == STEPS


@pytest.mark.slow
@pytest.mark.parametrize("who", ["operator", "tenant"])
def test_typescript_fetch(
    server: TestServer, callers: dict[str, Api], environment: Path, npm_programs: Path, tmp_path: Path, who: str
) -> None:
    document, folder = written(callers[who], tmp_path), tmp_path / "typescript"
    generate(environment, "typescript-fetch", document, folder / "made")
    shutil.copy(HERE / "trip.ts", folder)
    (folder / "package.json").write_text('{"type": "commonjs"}')
    (folder / "tsconfig.json").write_text(json.dumps(TYPESCRIPT))
    run(npm_programs / "tsc", "-p", folder)
    assert run(needed("node"), folder / "out" / "trip.js", server.url, callers[who].key or "").split() == STEPS


@pytest.mark.slow
@pytest.mark.parametrize(("maker", "who"), [*((maker, "operator") for maker in GO), ("openapi-generator", "tenant")])
def test_go(
    server: TestServer, callers: dict[str, Api], environment: Path, tmp_path: Path, maker: str, who: str
) -> None:
    go, caller = needed("go"), callers[who]
    document, folder = written(caller, tmp_path), tmp_path / "go"
    shutil.copytree(HERE / "go", folder)
    if maker == "openapi-generator":
        trip, made = "generated", folder / "made_generated"
        generate(environment, "go", document, made, "--additional-properties=packageName=made,withGoMod=false")
        # Tests that it makes, of libraries of its own.
        shutil.rmtree(made / "test", ignore_errors=True)
    elif maker == "oapi-codegen":
        trip, made = "oapi", folder / "made_oapi"
        made.mkdir()
        options = ("-generate", "types,client", "-package", "made", "-o", made / "made.go")
        run(go, "-C", folder, "tool", "oapi-codegen", *options, document)
    else:
        trip, made = "ogen", folder / "made_ogen"
        run(go, "-C", folder, "tool", "ogen", "--target", made, "--package", "made", document)
    said = run(go, "-C", folder, "run", *QUICKLY, f"./{trip}", server.url, caller.key or "")
    assert said.split()[-len(STEPS) :] == STEPS


@pytest.mark.slow
@pytest.mark.parametrize("who", ["operator", "tenant"])
def test_java(
    server: TestServer,
    callers: dict[str, Api],
    environment: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    who: str,
) -> None:
    maven, caller, folder = needed("mvn"), callers[who], tmp_path / "java"
    monkeypatch.setenv("MAVEN_OPTS", " ".join(BRIEF_JAVA))
    generate(environment, "java", written(caller, tmp_path), folder, "--library", "native")
    trip = (HERE / "Trip.java").read_text()
    if who == "tenant":
        # This client takes parameters by their place, and the document of a tenant has no `tenant`.
        trip = trip.replace(
            'null, null, null, List.of("-created"), 5, null', 'null, null, List.of("-created"), 5, null, null'
        )
    (folder / "src" / "main" / "java" / "Trip.java").write_text(trip)
    paths = folder / "paths"
    run(maven, "-q", "-B", "-f", folder, "compile", "dependency:build-classpath", f"-Dmdep.outputFile={paths}")
    classes = f"{folder / 'target' / 'classes'}:{paths.read_text().strip()}"
    assert run(needed("java"), "-cp", classes, "Trip", server.url, caller.key or "").split() == STEPS


@pytest.mark.slow
def test_a_document_with_permits_makes_a_client_too(
    callers: dict[str, Api], environment: Path, npm_programs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "typescript"
    generate(environment, "typescript-fetch", written(callers["guest"], tmp_path), folder / "made")
    (folder / "tsconfig.json").write_text(json.dumps(TYPESCRIPT))
    run(npm_programs / "tsc", "-p", folder)
