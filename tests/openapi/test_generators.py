"""Clients that generators in other languages make of the document compile, and do a round trip with the server.

To make and compile them takes most of the time, and depends on nothing but the document and files of this folder: so
a run that finds what was made of the same ones before only does the round trips.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.installing import kept, tool
from tests.openapi.conftest import LOCKS, run, without_ids
from tests.programs import needed
from tidings.testing import Api, TestServer

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

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


LANGUAGES: dict[str, dict[str, Any]] = {
    "python": {"additionalProperties": {"packageName": "made"}},
    "typescript-fetch": {},
    "go": {"additionalProperties": {"packageName": "made", "withGoMod": False}},
    "java": {"library": "native"},
}
"""What OpenAPI Generator makes of an operator's and of a tenant's document, each with its options."""
GO = [
    ("openapi-generator", "operator"),
    ("oapi-codegen", "operator"),
    ("ogen", "operator"),
    ("openapi-generator", "tenant"),
]


@pytest.fixture(scope="module")
def made(callers: dict[str, Api], environment: Path) -> Path:
    """The folder in which OpenAPI Generator made all the clients, each in WHO/LANGUAGE, next to WHO.json.

    One Java makes them all: to load and compile itself takes longer than to make a client.
    """
    clients = [(who, language) for who in ("operator", "tenant") for language in LANGUAGES]
    clients.append(("guest", "typescript-fetch"))
    documents = {who: callers[who].get("/v1/openapi.json") for who in dict(clients)}

    def make(folder: Path) -> None:
        configs = []
        for who, document in documents.items():
            (folder / f"{who}.json").write_text(json.dumps(document))
        for who, language in clients:
            places = {"inputSpec": str(folder / f"{who}.json"), "outputDir": str(folder / who / language)}
            configs.append(folder / f"{who}.{language}.config.json")
            configs[-1].write_text(json.dumps({"generatorName": language, **places, **LANGUAGES[language]}))
        generate(environment, folder, configs)

    return kept("clients", [*map(without_ids, documents.values()), LANGUAGES, clients, *LOCKS], make)


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


def compiled(made: Path, who: str, npm_programs: Path, trip: Path | None = None) -> Path:
    """The folder in which TypeScript compiled a client, with its round trip if there is one."""

    def make(folder: Path) -> None:
        shutil.copytree(made / who / "typescript-fetch", folder / "made")
        if trip is not None:
            shutil.copy(trip, folder)
        (folder / "package.json").write_text('{"type": "commonjs"}')
        (folder / "tsconfig.json").write_text(json.dumps(TYPESCRIPT))
        run(npm_programs / "tsc", "-p", folder)

    return kept("typescript", [made.name, who, trip, TYPESCRIPT, *LOCKS], make)


@pytest.mark.parametrize("who", ["operator", "tenant"])
def test_python(server: TestServer, callers: dict[str, Api], environment: Path, made: Path, who: str) -> None:
    out = made / who / "python"
    told = run(environment / "python", HERE / "trip.py", server.url, callers[who].key or "", path=out)
    assert told.split() == STEPS


@pytest.mark.parametrize("who", ["operator", "tenant"])
def test_typescript_fetch(
    server: TestServer, callers: dict[str, Api], made: Path, npm_programs: Path, who: str
) -> None:
    folder = compiled(made, who, npm_programs, HERE / "trip.ts")
    assert run(needed("node"), folder / "out" / "trip.js", server.url, callers[who].key or "").split() == STEPS


@pytest.mark.parametrize(("maker", "who"), GO)
def test_go(server: TestServer, callers: dict[str, Api], made: Path, maker: str, who: str) -> None:
    go = needed("go")

    def make(folder: Path) -> None:
        document, trips = made / f"{who}.json", folder / "trips"
        shutil.copytree(HERE / "go", trips)
        if maker == "openapi-generator":
            trip, out = "generated", trips / "made_generated"
            # Not the tests that it makes, of libraries of its own.
            shutil.copytree(made / who / "go", out, ignore=shutil.ignore_patterns("test"))
        elif maker == "oapi-codegen":
            trip, out = "oapi", trips / "made_oapi"
            out.mkdir()
            options = ("-generate", "types,client", "-package", "made", "-o", out / "made.go")
            run(go, "-C", trips, "tool", "oapi-codegen", *options, document, more=ROOMY)
        else:
            trip, out = "ogen", trips / "made_ogen"
            run(go, "-C", trips, "tool", "ogen", "--target", out, "--package", "made", document, more=ROOMY)
        run(go, "-C", trips, "build", *QUICKLY, "-o", folder / "trip", f"./{trip}", more=ROOMY)
        shutil.rmtree(trips)

    folder = kept("go", [made.name, maker, who, HERE / "go", QUICKLY, tool(go)], make)
    assert run(folder / "trip", server.url, callers[who].key or "").split()[-len(STEPS) :] == STEPS


@pytest.fixture(scope="module")
def built(made: Path) -> Path:
    """The operator's Java client with a round trip, as Maven built it; the folder `jars` has the packages it needs."""
    maven = needed("mvn")

    def build(folder: Path) -> None:
        project = folder / "java"
        shutil.copytree(made / "operator" / "java", project)
        shutil.copy(HERE / "Trip.java", project / "src" / "main" / "java")
        jars = f"-DoutputDirectory={project / 'jars'}"
        brief = {"MAVEN_OPTS": " ".join(BRIEF_JAVA)}
        run(maven, "-q", "-B", "-f", project, "compile", "dependency:copy-dependencies", jars, more=brief)

    return kept("java", [made.name, HERE / "Trip.java", tool(needed("javac"))], build) / "java"


def test_java(server: TestServer, callers: dict[str, Api], built: Path) -> None:
    assert java_trip(server, callers["operator"], built / "target" / "classes", built) == STEPS


def test_java_with_the_document_of_a_tenant(
    server: TestServer, callers: dict[str, Api], made: Path, built: Path
) -> None:
    # This client takes parameters by their place, and the document of a tenant has no `tenant`.
    trip = (HERE / "Trip.java").read_text()
    trip = trip.replace(
        'null, null, null, List.of("-created"), 5, null', 'null, null, List.of("-created"), 5, null, null'
    )
    javac = needed("javac")

    def make(folder: Path) -> None:
        (folder / "Trip.java").write_text(trip)
        sources = [*(made / "tenant" / "java" / "src" / "main" / "java").rglob("*.java"), folder / "Trip.java"]
        # What Maven finds out is the same for both: this is but the compiler.
        brief = [f"-J{option}" for option in BRIEF_JAVA]
        run(javac, *brief, "-nowarn", "-proc:none", "-d", folder / "classes", "-cp", built / "jars" / "*", *sources)

    classes = kept("java-tenant", [built.parent.name, trip], make) / "classes"
    assert java_trip(server, callers["tenant"], classes, built) == STEPS


def java_trip(server: TestServer, caller: Api, classes: Path, built: Path) -> list[str]:
    """The steps that a round trip took."""
    options = (*BRIEF_JAVA, "-cp", f"{classes}:{built / 'jars' / '*'}")
    return run(needed("java"), *options, "Trip", server.url, caller.key or "").split()


def test_a_document_with_permits_makes_a_client_too(made: Path, npm_programs: Path) -> None:
    compiled(made, "guest", npm_programs)
