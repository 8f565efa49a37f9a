"""The files of `deploy/ha`: no secret ships, every server is watched, and failover keeps every acknowledged commit."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.cli.unknown_settings import find_unknown_settings

CLUSTER = Path(__file__).parents[4] / "deploy/ha"
ONE_SHOT = {"secrets", "migrate", "backup", "restore_drill"}
SCRIPTS = sorted(CLUSTER.rglob("*.sh"))
UNITS = sorted((CLUSTER / "systemd").glob("ledger-*.service"))


def services() -> dict[str, dict[str, Any]]:
    """The services of the compose file, with what they share."""
    document = yaml.safe_load((CLUSTER / "compose.yaml").read_text("utf-8"))
    return dict(document["services"])


def assignments(path: Path) -> dict[str, str]:
    """The variables of an environment file."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_every_server_of_the_cluster_has_a_health_check_and_a_memory_limit() -> None:
    """A service that exits when its work is done needs none."""
    assert {name for name, service in services().items() if "healthcheck" not in service} == ONE_SHOT
    assert [name for name, service in services().items() if "mem_limit" not in service] == []


def test_only_database_services_read_the_passwords_of_the_cluster() -> None:
    """Backends, workers and beats have the runtime role's password alone."""
    readers = {name for name, service in services().items() if "db-secret" in str(service.get("volumes"))}

    assert readers == {"db1", "db2", "db3", *ONE_SHOT}


def test_each_image_of_the_cluster_is_built_once() -> None:
    """Built for each service, they would differ, and the next `up` would replace every container."""
    assert [name for name, service in services().items() if "build" in service] == ["secrets", "migrate"]


def test_no_secret_ships_with_the_cluster() -> None:
    """Passwords are generated, or are typed by the operator."""
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


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_of_the_cluster_has_no_syntax_error(script: Path) -> None:
    """As the shell that runs it reads it."""
    checked = subprocess.run(["/bin/sh", "-n", script], capture_output=True, text=True, check=False, timeout=20)

    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_environment_of_application_machines_has_only_known_settings() -> None:
    """A name with a typing error would have no effect."""
    assert list(find_unknown_settings(assignments(CLUSTER / "systemd/ledger.env"))) == []


def test_each_unit_runs_a_component_of_the_ledger() -> None:
    """As `ledger run` names them; the backup runs a script of this folder."""
    commands = {path.stem: re.findall(r"^ExecStart=(.+)$", path.read_text("utf-8"), re.MULTILINE)[0] for path in UNITS}

    assert commands.pop("ledger-backup").endswith("/backup.sh")
    assert {name: command.split()[2] for name, command in commands.items()} == {
        "ledger-backend": "backend",
        "ledger-beat": "beat",
        "ledger-worker": "worker",
    }
