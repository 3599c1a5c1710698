"""The files of deploy/: what they name exists, alerts fire when they should, and systemd finds nothing wrong."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from make_docs import metric_rows
from tests.programs import found, needed
from tests.repository import ROOT
from tidings.cli.commands import tree
from tidings.settings import OTHER_VARIABLES, SETTINGS
from tidings.testing import TestServer, until

DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "tidings.service"
SETTING = re.compile(r"\bTIDINGS_[A-Z_]+")
KNOWN = {setting.env for setting in SETTINGS} | OTHER_VARIABLES
METRIC = re.compile(r"\btidings_[a-z_]+\b")
EXPOSURE_MAX = {"tidings.service": 1.5, "tidings-backup.service": 1.8}
"""What `systemd-analyze security` says of the units at most; 0 is a service that can do nothing. Backups are root's."""


def yaml(name: str) -> Any:
    return YAML(typ="safe").load((DEPLOY / name).read_text())


@pytest.mark.parametrize("path", sorted(filter(Path.is_file, DEPLOY.rglob("*"))), ids=lambda path: str(path.name))
def test_only_settings_and_metrics_that_exist_are_named(path: Path) -> None:
    text = path.read_text()
    unknown = set(SETTING.findall(text)) - KNOWN
    names = {name for name, *_ in metric_rows()}
    series = names | {f"{name}_{end}" for name in names for end in ("bucket", "sum", "count")}
    unknown |= set(METRIC.findall(text)) - series
    assert not unknown, f"{path.name} names what does not exist: {unknown}"


@pytest.mark.slow
def test_the_dashboard_is_fresh() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "make_dashboard.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    ids = [panel["id"] for panel in json.loads((DEPLOY / "grafana-dashboard.json").read_text())["panels"]]
    assert len(ids) == len(set(ids)) > 25


def test_what_the_image_copies_is_there() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    copied = [words[1:-1] for line in lines if (words := line.split())[:1] == ["COPY"] and "--from" not in line]
    assert copied and all((ROOT / each).exists() for names in copied for each in names)


def test_the_files_that_compose_mounts_are_there() -> None:
    services = yaml("compose.yaml")["services"]
    volumes = [each for service in services.values() for each in service.get("volumes", ())]
    own = [each.split(":")[0] for each in volumes if str(each).startswith("./")]
    [key] = [each for each in volumes if not isinstance(each, str)]
    assert key["source"] == "./prometheus.key" and not key["bind"]["create_host_path"], "Docker would make a folder"
    assert len(own) == 3 and all((DEPLOY / each).exists() for each in own)
    assert services["tidings"]["read_only"] and services["tidings"]["volumes"][0] == "data:/data"
    assert set(yaml("compose.postgres.yaml")["services"]) == {"tidings", "postgres"}


@pytest.mark.parametrize("name", ["compose.yaml", "compose.postgres.yaml"])
def test_tidings_accepts_the_settings_of_compose(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With those of the image, as `tidings check` reads them in the container."""
    image = re.findall(r"\b(TIDINGS_\w+)=(\S+)", (DEPLOY / "Dockerfile").read_text())
    given = dict(image) | yaml(name)["services"]["tidings"].get("environment", {})
    for variable, value in given.items():
        if value is not None:
            monkeypatch.setenv(
                variable, re.sub(r"\$\{\w+:(?:-([^}]*)|[^}]*)\}", lambda found: found[1] or "hush", value)
            )
    done = CliRunner().invoke(tree(("check",)), ["check", "--json"])
    assert done.exit_code == 0, done.output
    used = json.loads(done.stdout)["settings"]
    assert (used["data"], used["host"]) == ("/data", "0.0.0.0") and used["database"].startswith(
        "postgresql://tidings:***@postgres" if "postgres" in name else "sqlite:"
    )


def test_compose_trusts_its_own_gateway_and_no_other_address() -> None:
    composed = yaml("compose.yaml")
    [network] = composed["networks"]["default"]["ipam"]["config"]
    trusted = composed["services"]["tidings"]["environment"]["TIDINGS_TRUSTED_PROXIES"]
    assert trusted == f"${{TIDINGS_TRUSTED_PROXIES:-{network['gateway']}}}"
    assert ip_address(network["gateway"]) in ip_network(network["subnet"])


@pytest.mark.slow
def test_the_health_check_asks_the_port_that_the_server_has() -> None:
    shown = re.search(r'^    CMD (\["python3", "-c", .*\])$', (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert shown is not None
    check = json.loads(shown[1])[2]
    with TestServer() as server:
        port = server.url.rpartition(":")[2]
        for given, healthy in ((port, True), ("1", False)):
            done = subprocess.run([sys.executable, "-c", check], env={"TIDINGS_PORT": given}, capture_output=True)
            assert (done.returncode == 0) == healthy, done.stderr


@pytest.mark.slow
def test_alerts_fire_when_they_should_and_only_then() -> None:
    promtool = needed("promtool")
    for command in (["check", "rules", str(DEPLOY / "prometheus-rules.yml")], ["test", "rules", "alerts.yml"]):
        done = subprocess.run([promtool, *command], cwd=ROOT / "tests" / "deploy", capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    alerts = {rule["alert"] for group in yaml("prometheus-rules.yml")["groups"] for rule in group["rules"]}
    tested = (ROOT / "tests" / "deploy" / "alerts.yml").read_text()
    assert not [alert for alert in alerts if tested.count(alert) < 2], "each alert is tested to fire, and not to fire"


def test_the_page_on_monitoring_lists_the_alerts_as_they_are() -> None:
    rules = [rule for group in yaml("prometheus-rules.yml")["groups"] for rule in group["rules"]]
    units = {"m": " min", "h": " h"}
    wanted = [
        (rule["alert"], rule["labels"]["severity"], rule["for"][:-1] + units[rule["for"][-1]] if "for" in rule else "")
        for rule in rules
    ]
    page = (ROOT / "docs" / "howto" / "monitoring.md").read_text()
    assert re.findall(r"^\| `(Tidings\w+)` \| (\w+) \| ?([^|]*?) ?\|", page, re.MULTILINE) == wanted


def test_systemd_does_not_give_up_while_a_database_is_away() -> None:
    """Five starts that fail take less than the ten seconds in which systemd allows no more of them."""
    unit, service = UNIT.read_text().split("[Service]")
    assert "\nStartLimitIntervalSec=0\n" in unit and "\nRestart=always\n" in service


@pytest.mark.slow
def test_systemd_accepts_the_units_and_finds_them_closed(tmp_path: Path) -> None:
    analyze = needed("systemd-analyze")
    unit = tmp_path / "tidings.service"
    program = found("tidings") or sys.executable
    unit.write_text(UNIT.read_text().replace("/opt/tidings/.venv/bin/tidings", program))
    others = [tmp_path / f"tidings-backup.{kind}" for kind in ("service", "timer")]
    for path in others:
        path.write_text((DEPLOY / path.name).read_text().replace("/opt/tidings/.venv/bin/tidings", program))
    verified = subprocess.run([analyze, "verify", unit, *others], capture_output=True, text=True)
    assert verified.returncode == 0 and not verified.stderr, verified.stderr
    for name, most in EXPOSURE_MAX.items():
        judged = subprocess.run(
            [analyze, "security", "--offline=true", tmp_path / name], capture_output=True, text=True
        )
        level = re.search(r"exposure level .*: ([0-9.]+)", judged.stdout)
        assert level is not None and float(level[1]) <= most, judged.stdout[-200:]


CLOSED = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
PR_SET_MDWE, PR_SET_NO_NEW_PRIVS = 65, 38
assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
libc.prctl(PR_SET_MDWE, 1, 0, 0, 0)  # Linux 6.3; where it is older, the rest is still tried
os.umask(0o077)
os.execv(sys.executable, [sys.executable, "-m", "tidings", "serve", "--port", "0"])
"""


@pytest.mark.slow
def test_systemd_is_told_how_the_server_stands(tmp_path: Path) -> None:
    """The server runs as in the unit's sandbox, as far as that can be had without systemd."""
    folder = Path("/tmp") / f"tidings-notify-{tmp_path.name}"  # a socket's path has at most 108 bytes
    folder.mkdir()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(folder / "notify"))
            manager.settimeout(30)
            environment = {
                "NOTIFY_SOCKET": str(folder / "notify"),
                "WATCHDOG_USEC": "200000",
                "TIDINGS_DATA": str(tmp_path / "data"),
                "PATH": "/usr/bin:/bin",
            }
            with subprocess.Popen(
                [sys.executable, "-c", CLOSED], env=environment, cwd=ROOT, stdout=subprocess.PIPE
            ) as server:
                said = [manager.recv(1000).decode() for _ in range(4)]
                assert said[0].startswith("READY=1\nSTATUS=Listens on http://127.0.0.1:")
                assert said[1:] == ["WATCHDOG=1"] * 3, "twice in each WatchdogSec"
                server.terminate()
                until(lambda: manager.recv(1000).startswith(b"STOPPING=1"), "the end")
                assert server.wait(30) == 0
    finally:
        shutil.rmtree(folder)
