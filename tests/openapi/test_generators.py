"""Clients that generators in other languages make of the document compile, and do a round trip with the server."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.installing import once
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
        # Only what comes with TypeScript itself.
        "skipLibCheck": True,
    },
    "include": ["**/*.ts"],
}
QUICKLY = ("-trimpath", "-gcflags=trips/...=-N -l")
"""Go recognizes what it compiled before, in another folder too, and does not optimize what was generated."""
ROOMY = {"GOGC": "400"}
"""Go looks for garbage a fourth as often, which takes a third of a generator's time."""
BRIEF_JAVA = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""A compiler and a garbage collector for programs that end in seconds: Maven takes half the processor time."""
GO = ("oapi-codegen", "ogen", "openapi-generator")


LANGUAGES: dict[str, dict[str, Any]] = {
    "python": {"additionalProperties": {"packageName": "made"}},
    "typescript-fetch": {},
    "go": {"additionalProperties": {"packageName": "made", "withGoMod": False}},
    "java": {"library": "native"},
}
"""What OpenAPI Generator makes of an operator's and of a tenant's document, each with its options."""
MADE = [*((who, each) for who in ("operator", "tenant") for each in LANGUAGES), ("guest", "typescript-fetch")]


@pytest.fixture(scope="module")
def made(callers: dict[str, Api], environment: Path, of_this_run: Path) -> Path:
    """The folder in which OpenAPI Generator made all the clients, each in WHO/LANGUAGE, next to WHO.json.

    One Java makes them all, once in a run: to load and compile itself takes longer than to make a client.
    """
    documents = {who: callers[who].get("/v1/openapi.json") for who in ("operator", "tenant", "guest")}

    def make(folder: Path) -> None:
        configs = []
        for who, document in documents.items():
            (folder / f"{who}.json").write_text(json.dumps(document))
        for who, language in MADE:
            places = {"inputSpec": str(folder / f"{who}.json"), "outputDir": str(folder / who / language)}
            configs.append(folder / f"{who}.{language}.config.json")
            configs[-1].write_text(json.dumps({"generatorName": language, **places, **LANGUAGES[language]}))
        generate(environment, folder, configs)

    # All servers of a run say the same, but for the ids of these keys.
    same = [{name: part for name, part in each.items() if name != "x-key"} for each in documents.values()]
    return once(of_this_run / "clients", json.dumps(same).encode(), make)


def generate(environment: Path, folder: Path, configs: list[Path]) -> None:
    """Run OpenAPI Generator, which comes as a jar in the environment of the Python client.

    The first run keeps the classes that it loaded in a file, from which the others load them in a third of the time.
    """
    java = needed("java")
    [jar] = environment.parent.glob("lib/*/site-packages/openapi_generator_cli/openapi-generator.jar")
    kept, archive = jar.with_name("classes.jsa"), folder / "classes.jsa"
    sharing = f"-XX:SharedArchiveFile={kept}" if kept.exists() else f"-XX:ArchiveClassesAtExit={archive}"
    options = (*BRIEF_JAVA, "-XX:+IgnoreUnrecognizedVMOptions", sharing)
    run(java, *options, "-jar", jar, "batch", "--threads", "1", "--fail-fast", *configs)
    if archive.exists():
        shutil.move(archive, kept)


def taken(made: Path, who: str, language: str, folder: Path) -> Path:
    """A copy of a client, as a folder to work in."""
    shutil.copytree(made / who / language, folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("who", ["operator", "tenant"])
def test_python(server: TestServer, callers: dict[str, Api], environment: Path, made: Path, who: str) -> None:
    out = made / who / "python"
    told = run(environment / "python", HERE / "trip.py", server.url, callers[who].key or "", path=out)
    assert told.split() == STEPS


@pytest.mark.slow
@pytest.mark.parametrize("who", ["operator", "tenant"])
def test_typescript_fetch(
    server: TestServer, callers: dict[str, Api], made: Path, npm_programs: Path, tmp_path: Path, who: str
) -> None:
    folder = tmp_path / "typescript"
    taken(made, who, "typescript-fetch", folder / "made")
    shutil.copy(HERE / "trip.ts", folder)
    (folder / "package.json").write_text('{"type": "commonjs"}')
    (folder / "tsconfig.json").write_text(json.dumps(TYPESCRIPT))
    run(npm_programs / "tsc", "-p", folder)
    assert run(needed("node"), folder / "out" / "trip.js", server.url, callers[who].key or "").split() == STEPS


@pytest.mark.slow
@pytest.mark.parametrize(("maker", "who"), [*((maker, "operator") for maker in GO), ("openapi-generator", "tenant")])
def test_go(server: TestServer, callers: dict[str, Api], made: Path, tmp_path: Path, maker: str, who: str) -> None:
    go, caller = needed("go"), callers[who]
    document, folder = made / f"{who}.json", tmp_path / "go"
    shutil.copytree(HERE / "go", folder)
    if maker == "openapi-generator":
        trip, out = "generated", taken(made, who, "go", folder / "made_generated")
        # Tests that it makes, of libraries of its own.
        shutil.rmtree(out / "test", ignore_errors=True)
    elif maker == "oapi-codegen":
        trip, out = "oapi", folder / "made_oapi"
        out.mkdir()
        options = ("-generate", "types,client", "-package", "made", "-o", out / "made.go")
        run(go, "-C", folder, "tool", "oapi-codegen", *options, document, more=ROOMY)
    else:
        trip, out = "ogen", folder / "made_ogen"
        run(go, "-C", folder, "tool", "ogen", "--target", out, "--package", "made", document, more=ROOMY)
    said = run(go, "-C", folder, "run", *QUICKLY, f"./{trip}", server.url, caller.key or "", more=ROOMY)
    assert said.split()[-len(STEPS) :] == STEPS


@pytest.fixture(scope="module")
def built(made: Path, of_this_run: Path) -> Path:
    """The operator's Java client with a round trip, as Maven built it; the file `paths` has the packages it needs."""
    maven = needed("mvn")

    def build(folder: Path) -> None:
        project = taken(made, "operator", "java", folder / "java")
        shutil.copy(HERE / "Trip.java", project / "src" / "main" / "java")
        kept = f"-Dmdep.outputFile={project / 'paths'}"
        brief = {"MAVEN_OPTS": " ".join(BRIEF_JAVA)}
        run(maven, "-q", "-B", "-f", project, "compile", "dependency:build-classpath", kept, more=brief)

    return once(of_this_run / "java", str(made).encode(), build) / "java"


@pytest.mark.slow
def test_java(server: TestServer, callers: dict[str, Api], built: Path) -> None:
    assert java_trip(server, callers["operator"], built / "target" / "classes", built) == STEPS


@pytest.mark.slow
def test_java_with_the_document_of_a_tenant(
    server: TestServer, callers: dict[str, Api], made: Path, built: Path, tmp_path: Path
) -> None:
    # This client takes parameters by their place, and the document of a tenant has no `tenant`.
    trip = (HERE / "Trip.java").read_text()
    trip = trip.replace(
        'null, null, null, List.of("-created"), 5, null', 'null, null, List.of("-created"), 5, null, null'
    )
    (tmp_path / "Trip.java").write_text(trip)
    sources = [*(made / "tenant" / "java" / "src" / "main" / "java").rglob("*.java"), tmp_path / "Trip.java"]
    # What Maven finds out is the same for both: this is but the compiler.
    brief = [f"-J{option}" for option in BRIEF_JAVA]
    classes = tmp_path / "classes"
    run(needed("javac"), *brief, "-nowarn", "-proc:none", "-d", classes, "-cp", packages(built), *sources)
    assert java_trip(server, callers["tenant"], classes, built) == STEPS


def packages(built: Path) -> str:
    """The class path of the packages that a client needs."""
    return (built / "paths").read_text().strip()


def java_trip(server: TestServer, caller: Api, classes: Path, built: Path) -> list[str]:
    """The steps that a round trip took."""
    options = (*BRIEF_JAVA, "-cp", f"{classes}:{packages(built)}")
    return run(needed("java"), *options, "Trip", server.url, caller.key or "").split()


@pytest.mark.slow
def test_a_document_with_permits_makes_a_client_too(made: Path, npm_programs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "typescript"
    taken(made, "guest", "typescript-fetch", folder / "made")
    (folder / "tsconfig.json").write_text(json.dumps(TYPESCRIPT))
    run(npm_programs / "tsc", "-p", folder)
