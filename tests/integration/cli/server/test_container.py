"""`ledger run` and `ledger exec`: secrets once, migrations once, then the part itself. Services of the compose file."""

import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import ValidationError

from api.cli.embedded.secrets_file import load_secrets
from api.cli.embedded.stack_error import StackError
from api.cli.exit_status import report_exception
from api.cli.server import container
from api.cli.server.container import OWNER_ONLY, Component
from projections.database.migrations import check_schema, list_migrations
from projections.terminal.exit_codes import ExitCode
from tests.support.clients.terminal import Terminal
from tests.support.compose_environment import environment_of
from tests.support.servers.databases import execute

ROOT = Path(__file__).parents[4]


class _BecameError(Exception):
    """Stands for the process that `ledger run` turns into."""


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """`os.execve` raises instead; the secrets' folder."""

    def execve(program: str, arguments: list[str], environment: dict[str, str]) -> None:
        raise _BecameError(program, arguments, environment)

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setenv("LEDGER_SECRETS_FILE", str(tmp_path / "secrets.env"))
    return tmp_path


@pytest.fixture
def ready(become: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a database that `ledger run` finds, with secrets and without a look at the settings."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert load_secrets(become)
    monkeypatch.setattr(container, "_check_settings_of", lambda _: None)
    return database_url


def count_migrations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The owner's URL of each migration from now on; none applies anything."""
    migrated: list[str] = []

    def migrate(owner_url: str, _: str) -> list[str]:
        migrated.append(owner_url)
        return []

    monkeypatch.setattr(container, "migrate", migrate)
    return migrated


def test_backend_migrates_and_becomes_uvicorn(become: Path, ready: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_OWNER_DATABASE_URL", ready)

    with pytest.raises(_BecameError) as became:
        container.run("backend")

    program, arguments, environment = became.value.args
    assert "LEDGER_OWNER_DATABASE_URL" not in environment
    assert program == sys.executable
    assert arguments[1:4] == ["-m", "api.http.server.idle_server", "api.main:create_app"]
    assert (become / "secrets.env").stat().st_mode & 0o777 == 0o600
    check_schema(ready)


def test_run_migrate_applies_the_schema_and_exits(ready: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It replaces no process: the container ends, and those that wait for it start."""
    migrated = count_migrations(monkeypatch)

    container.run("migrate")

    assert migrated == [ready]


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("component", ["migrate", "backend"])
def test_run_prints_the_migrations_that_it_applied(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], component: Component
) -> None:
    execute(database_url, "DROP SCHEMA public CASCADE")
    execute(database_url, "CREATE SCHEMA public")
    monkeypatch.setenv("DATABASE_URL", database_url)

    printed = []
    for _ in range(2):
        with suppress(_BecameError):
            container.run(component)
        printed.append([json.loads(line) for line in capsys.readouterr().out.splitlines()])

    none: list[dict[str, list[str]]] = [{"applied": []}] if component == "migrate" else []
    assert printed == [[{"applied": list_migrations()}], none]


def test_run_migrate_refuses_a_setting_of_any_component_before_it_migrates(
    become: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It runs before all others, so none starts with half a change; a mistyped name is reported."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("LEDGER_SMTP_TIME_S", "45")
    load_secrets(become)
    migrated = count_migrations(monkeypatch)
    container.run("migrate")
    reported = capsys.readouterr().err

    monkeypatch.setenv("LEDGER_SMTP_URL", "mail.example.com")
    with pytest.raises(ValidationError) as refused:
        container.run("migrate")

    assert reported == "LEDGER_SMTP_TIME_S is not a setting, did you mean LEDGER_SMTP_TIMEOUT_S?\n"
    assert (report_exception(refused.value), migrated) == (ExitCode.USAGE, [database_url])
    assert capsys.readouterr().err.startswith("settings: LEDGER_SMTP_URL: The mail server's URL has an unknown scheme")


@pytest.mark.usefixtures("ready")
def test_backend_waits_for_the_migration_if_its_role_does_not_own_the_schema(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It never tries: a role of few rights would fail with a message about a table of the migration tool."""
    monkeypatch.setattr(container, "owns_schema", lambda _: False)
    migrated = count_migrations(monkeypatch)

    with pytest.raises(_BecameError):
        container.run("backend")

    assert migrated == []


def test_concurrent_containers_generate_secrets_once(tmp_path: Path) -> None:
    """Backend, worker and beat may start together on an empty volume."""
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: container._create_secrets(tmp_path), range(8)))
    first = (tmp_path / "secrets.env").read_text()
    container._create_secrets(tmp_path)

    assert (tmp_path / "secrets.env").read_text() == first
    assert first.count("LEDGER_PEPPERS=") == 1


def test_existing_secrets_are_only_read(tmp_path: Path) -> None:
    """A service of a machine cannot write the folder that root prepared."""
    container._create_secrets(tmp_path)
    (tmp_path / ".lock").unlink()
    text = (tmp_path / "secrets.env").read_text().replace("LEDGER_POSTGRES_RUN_PASSWORD", "LEDGER_UNUSED")
    (tmp_path / "secrets.env").write_text(text)
    container._create_secrets(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["secrets.env"]
    assert (tmp_path / "secrets.env").read_text() == text


def test_unreadable_secrets_end_the_start_with_one_line(
    become: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    container._create_secrets(become)

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(StackError) as refused:
        container.run("backend")

    assert report_exception(refused.value) == ExitCode.SERVICE
    assert capsys.readouterr().err.endswith(f"chmod 640 {become / 'secrets.env'}`\n")


def test_compose_file_has_the_six_services_of_the_incident() -> None:
    services = _services()

    assert list(services) == [
        "db", "redis", "migrate", "backend", "celery_worker", "celery_beat", "backup", "relay", "restore",
        "frontend", "mailcatcher", "tracing",
    ]  # fmt: skip
    of_profiles = [name for name, text in services.items() if "profiles:" in text]
    assert of_profiles == ["backup", "relay", "restore", "mailcatcher", "tracing"]
    without_check = [name for name, text in services.items() if "healthcheck:" not in text]
    assert without_check == ["migrate", "backup", "relay", "restore", "tracing"]
    assert "noeviction" in services["redis"]


OWNERS = {"migrate", "backup"}
"""Services that change the schema, or read the whole database."""


@pytest.mark.parametrize(
    "dotenv", ["", "LEDGER_OWNER_DATABASE_URL=postgresql://owner:pw@x/y\nLEDGER_OWNER_PASSWORD_FILE=/x"]
)
def test_only_migration_and_backup_read_the_owner_password(dotenv: str) -> None:
    """Code that runs in the API, a worker or beat finds it in no variable and in no mounted volume."""
    compose = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    environments = {name: environment_of(ROOT / "compose.yaml", name, dotenv, shell={}) for name in _services()}

    assert {name for name, values in environments.items() if any(map(values.get, OWNER_ONLY))} == OWNERS
    assert {name for name, text in _services().items() if "db-secret" in text} == {"db", *OWNERS}
    assert "db-secret" not in compose.split("\nservices:\n")[0]
    assert "migrate: {condition: service_completed_successfully}" in _services()["backend"]


def _services() -> dict[str, str]:
    compose = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    services = compose.split("\nservices:\n")[1].split("\nvolumes:\n")[0]
    parts = re.split(r"^  (\w+):$", services, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_exec_runs_a_program_in_the_environment_of_the_ledger(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The secrets of the folder among it; its own options are its own; programs next to Python are found."""
    (tmp_path / "secrets.env").write_text("LEDGER_PEPPERS=of the folder\n")
    monkeypatch.delenv("LEDGER_PEPPERS")
    monkeypatch.setattr("api.cli.read_session.LedgerSettings.from_environment", lambda: None)
    became: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execvpe", lambda *what: became.append(what))

    terminal.ledger("--data-dir", str(tmp_path), "exec", "celery", "-A", "workers.celery_app", "--json")

    ((program, words, environment),) = became
    assert (program, words) == ("celery", ["celery", "-A", "workers.celery_app", "--json"])
    assert environment["LEDGER_PEPPERS"] == "of the folder"
    assert str(Path(sys.executable).parent) == environment["PATH"].split(os.pathsep)[0]


def test_exec_reports_a_missing_program(terminal: Terminal) -> None:
    ended = terminal.ledger("exec", "no-such-program", "--json")

    assert (ended.status, ended.err) == (127, "program not found: no-such-program\n")
