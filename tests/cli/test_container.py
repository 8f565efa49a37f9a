"""`ledger run`: secrets once, migrations once, then the part itself. And the compose file names the six services."""

import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.cli import container
from api.cli.stack.secret_file import load_secrets
from projections.migrations import check_schema
from projections.settings import LedgerSettings

ROOT = Path(__file__).parents[2]


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


def test_the_backend_migrates_and_becomes_uvicorn(
    become: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Secrets are made (mode 600), the schema is checked, and the process is replaced."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("LEDGER_OWNER_DATABASE_URL", database_url)
    secrets = load_secrets(become)
    monkeypatch.setattr(container, "LedgerSettings", lambda: LedgerSettings(_env_file=become / "secrets.env"))
    monkeypatch.setattr(container, "_check_settings_of", lambda _: None)

    with pytest.raises(_BecameError) as became:
        container.run("backend")

    program, arguments, environment = became.value.args
    assert secrets
    assert "LEDGER_OWNER_DATABASE_URL" not in environment
    assert program == sys.executable
    assert arguments[1:4] == ["-m", "uvicorn", "api.main:create_app"]
    assert (become / "secrets.env").stat().st_mode & 0o777 == 0o600
    check_schema(database_url)


def test_secrets_are_made_once_by_several_at_once(tmp_path: Path) -> None:
    """Backend, worker and beat may start together on an empty volume."""
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: container._make_secrets(tmp_path), range(8)))
    first = (tmp_path / "secrets.env").read_text()
    container._make_secrets(tmp_path)

    assert (tmp_path / "secrets.env").read_text() == first
    assert first.count("LEDGER_PEPPERS=") == 1


def test_the_six_services_of_the_incident() -> None:
    """Exactly these six, and the demo's mail catcher behind a profile; each has a health check."""
    compose = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    services = compose.split("\nservices:\n")[1].split("\nvolumes:\n")[0]
    names = re.findall(r"^  (\w+):$", services, re.MULTILINE)

    assert names == ["db", "redis", "backend", "celery_worker", "celery_beat", "frontend", "mailcatcher"]
    assert services.count("healthcheck:") == len(names)
    assert "noeviction" in services
