"""The files of `deploy/ha`: no secret ships, every server is watched, and failover keeps every acknowledged commit."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from api.cli.doctor.deployment import DEPLOYMENTS
from projections.config.unknown_settings import find_unknown_settings
from tests.support.compose_environment import environment_of
from tests.support.waiting import WAIT_S_MAX

CLUSTER = Path(__file__).parents[4] / "deploy/ha"
ONE_SHOT = {"secrets", "migrate", "backup", "restore", "recover", "restore_drill"}
SCRIPTS = sorted(CLUSTER.rglob("*.sh"))
UNITS = sorted((CLUSTER / "systemd").glob("ledger-*.service"))


def services() -> dict[str, dict[str, Any]]:
    document = yaml.safe_load((CLUSTER / "compose.yaml").read_text("utf-8"))
    return dict(document["services"])


def assignments(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_every_server_of_the_cluster_has_a_health_check_and_a_memory_limit() -> None:
    """A service that exits when its work is done needs none."""
    assert {name for name, service in services().items() if "healthcheck" not in service} == ONE_SHOT
    assert [name for name, service in services().items() if "mem_limit" not in service] == []


def test_only_database_services_read_the_passwords_of_the_cluster() -> None:
    """Backends, workers and beats have the runtime role's password alone, in containers and on machines."""
    readers = {name for name, service in services().items() if "db-secret" in str(service.get("volumes"))}

    assert readers == {"db1", "db2", "db3", *ONE_SHOT} - {"restore"}
    machines = assignments(CLUSTER / "systemd/ledger.env")
    assert "DATABASE_URL" in machines
    assert [name for name in machines if name.startswith("LEDGER_OWNER_")] == []


def test_each_image_of_the_cluster_is_built_once() -> None:
    """Built for each service, they would differ, and the next `up` would replace every container."""
    assert [name for name, service in services().items() if "build" in service] == [
        "secrets",
        "migrate",
        "backup",
        "restore",
    ]


def test_no_secret_ships_with_the_cluster() -> None:
    text = "\n".join(path.read_text("utf-8") for path in CLUSTER.rglob("*") if path.is_file())
    passwords = re.findall(r"^ *(?:\w*PASSWORD|password) *[=:] *(.+)$", text, re.MULTILINE)

    assert [password for password in passwords if not password.startswith("$(cat ")] == []
    assert re.findall(r"postgresql://\w+:[^@/\s]+@", text) == []


def test_failover_keeps_every_acknowledged_commit() -> None:
    """Strict synchronous mode, pg_rewind, and the times that Patroni's manual requires of one another."""
    rules = yaml.safe_load((CLUSTER / "patroni.yml").read_text("utf-8"))["bootstrap"]["dcs"]

    assert rules["synchronous_mode"] is rules["synchronous_mode_strict"] is True
    assert rules["postgresql"]["use_pg_rewind"] is True
    assert rules["loop_wait"] + 2 * rules["retry_timeout"] <= rules["ttl"]


def balanced_port(path: str) -> int:
    """The port behind which HAProxy offers the nodes that answer this path of Patroni with 200."""
    text = (CLUSTER / "haproxy.cfg").read_text("utf-8")
    record = re.search(rf"bind \S+:(\d+)\"\n(?: +balance \w+\n)? +option httpchk OPTIONS {path}\n", text)
    assert record is not None, path
    return int(record[1])


@pytest.mark.parametrize("where", ["containers", "machines"])
def test_reports_read_standbys_and_decisions_the_primary(where: str) -> None:
    """Through HAProxy on every application host; exports from a standby are not cancelled by its replay."""
    backend = environment_of(CLUSTER / "compose.yaml", "backend", "", shell={})
    environment = backend if where == "containers" else assignments(CLUSTER / "systemd/ledger.env")
    rules = yaml.safe_load((CLUSTER / "patroni.yml").read_text("utf-8"))["bootstrap"]["dcs"]

    assert urlsplit(environment["DATABASE_URL"]).port == balanced_port("/primary")
    assert urlsplit(environment["LEDGER_READ_DATABASE_URL"]).port == balanced_port("/replica")
    assert rules["postgresql"]["parameters"]["hot_standby_feedback"] == "on"


def test_lock_ends_by_agreement_of_etcd_alone() -> None:
    """Containers and machines; a lease of the newer interface ends when a leader of etcd that was frozen says so."""
    machines = assignments(CLUSTER / "systemd/etcd.env")
    flags = dict(re.findall(r"--([\w-]+)=(\S+)", (CLUSTER / "containers/etcd.sh").read_text("utf-8")))
    rules = ("heartbeat-interval", "election-timeout", "enable-v2")

    assert {rule: flags[rule] for rule in rules} == {
        rule: machines[f"ETCD_{rule.upper().replace('-', '_')}"] for rule in rules
    }
    assert flags["enable-v2"] == "true"
    for environment in (services()["db1"]["environment"], assignments(CLUSTER / "systemd/patroni.env")):
        assert [name for name in environment if name.endswith("_HOSTS")] == ["PATRONI_ETCD_HOSTS"]


def test_node_carries_the_lock_of_a_former_release_before_patroni_starts() -> None:
    """On an empty store, the first node to start would lead, whatever it lacks."""
    commands = (CLUSTER / "containers/patroni.sh").read_text("utf-8").splitlines()

    assert commands.index("/containers/carry-lock.sh") < commands.index("exec patroni /etc/patroni/patroni.yml")
    assert os.access(CLUSTER / "containers/carry-lock.sh", os.X_OK)


@pytest.mark.parametrize(
    ("container", "machine", "rules"),
    [
        ("sentinel.sh", "sentinel.conf", r"^sentinel (?:down-after|failover)\S+ ledger \d+$"),
        ("valkey.sh", "valkey.conf", r"(?:appendonly yes|maxmemory 200mb|maxmemory-policy noeviction)"),
    ],
)
def test_brokers_of_containers_and_machines_have_the_same_rules(container: str, machine: str, rules: str) -> None:
    texts = [(CLUSTER / folder).read_text("utf-8") for folder in (f"containers/{container}", f"systemd/{machine}")]
    in_container, on_machine = (re.findall(rules, text, re.MULTILINE) for text in texts)

    assert in_container == on_machine != []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_of_the_cluster_has_no_syntax_error(script: Path) -> None:
    checked = subprocess.run(["/bin/sh", "-n", script], capture_output=True, text=True, check=False, timeout=WAIT_S_MAX)

    assert (checked.returncode, checked.stderr) == (0, "")


def test_environment_of_application_machines_has_only_known_settings() -> None:
    """A name with a typing error would have no effect."""
    assert list(find_unknown_settings(assignments(CLUSTER / "systemd/ledger.env"))) == []


def test_application_machines_name_their_deployment_and_its_units_exist() -> None:
    name = assignments(CLUSTER / "systemd/ledger.env")["LEDGER_DEPLOYMENT"]
    started = re.findall(r"systemctl start (ledger-\w+)", " ".join(DEPLOYMENTS[name].start.values()))

    assert name == "cluster"
    assert set(started) == {"ledger-worker", "ledger-beat"} & {path.stem for path in UNITS}


def test_each_unit_runs_a_component_of_the_ledger() -> None:
    commands = {path.stem: re.findall(r"^ExecStart=(.+)$", path.read_text("utf-8"), re.MULTILINE)[0] for path in UNITS}

    assert commands.pop("ledger-backup") == "/usr/local/bin/ledger backup /backup"
    assert {name: command.split()[2] for name, command in commands.items()} == {
        "ledger-backend": "backend",
        "ledger-beat": "beat",
        "ledger-worker": "worker",
    }
