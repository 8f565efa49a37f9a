"""`ledger run`: one part of the ledger as a container's only process. Secrets are made once, in a volume."""

import fcntl
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from api.cli.context import complain
from api.cli.stack.secret_file import FILE, load_secrets
from projections import metric_files
from projections.errors import SchemaMismatchError, StorageUnavailableError
from projections.migrations import check_schema, migrate
from projections.settings import LedgerSettings

DATABASE_S_MAX = 60.0
PAUSE_S = 1.0

Part = Literal["backend", "worker", "beat"]

COMMANDS: dict[str, tuple[str, ...]] = {
    "backend": (
        "uvicorn", "api.main:create_app", "--factory", "--host", "0.0.0.0", "--port", "8000",  # noqa: S104 - inside its container
        "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning",
    ),
    "worker": ("celery", "-A", "workers.celery_app", "-q", "worker", "--loglevel", "INFO"),
    "beat": (
        "celery", "-A", "workers.celery_app", "-q", "beat", "--loglevel", "INFO", "--schedule", "/tmp/beat-schedule",  # noqa: S108 - a container's own
        "--pidfile=",
    ),
}  # fmt: skip


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(run)


def run(part: Annotated[Part, typer.Argument(help="Which part of the ledger to become.")]) -> None:
    """Become one part of the ledger: the backend migrates first, worker and beat wait until it has."""
    if secrets_file := os.environ.get("LEDGER_SECRETS_FILE"):
        _make_secrets(Path(secrets_file).parent)
    url = LedgerSettings().database_url.get_secret_value()
    _wait_for_schema(url, migrates=part == "backend")
    if (folder := metric_files.folder()) is not None:
        metric_files.wipe(folder)
    command = COMMANDS[part]
    os.execv(sys.executable, [sys.executable, "-m", *command])  # noqa: S606 - no shell is wanted; the commands are above


def _make_secrets(folder: Path) -> None:
    """Make the secrets if there are none yet; of several containers that start at once one does, the others wait."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        is_first = not (folder / FILE).exists()
        load_secrets(folder)
    if is_first:
        complain("new secrets were made: keep a copy of the key rings elsewhere, without them no e-mail opens again")


def _wait_for_schema(url: str, *, migrates: bool) -> None:
    """Bring the schema up, or wait for whoever does.

    Raises:
        StorageUnavailableError: The database was away for longer than a minute.
        SchemaMismatchError: It is newer than this version, or was not migrated within a minute.
    """
    ends = time.monotonic() + DATABASE_S_MAX
    while True:
        try:
            if migrates:
                migrate(url)
            check_schema(url)
        except (StorageUnavailableError, SchemaMismatchError):
            if time.monotonic() > ends:
                raise
            time.sleep(PAUSE_S)
        else:
            return
