"""`ledger run`: one part of the ledger as a container's only process. Secrets are made once, in a volume."""

import fcntl
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from api.cli.context import complain
from api.cli.production import refuse_unsafe
from api.cli.stack.secret_file import FILE, load_secrets
from projections import metric_files
from projections.bootstrap import check_keys
from projections.errors import NewerSchemaError, SchemaMismatchError, StorageUnavailableError
from projections.migrations import check_schema, migrate
from projections.published import check_published
from projections.settings import LedgerSettings

PAUSE_S = 1.0

Part = Literal["backend", "worker", "beat"]

OWNER_ONLY = ("LEDGER_OWNER_DATABASE_URL", "LEDGER_OWNER_PASSWORD_FILE")
"""Left out of what the part itself sees: it runs with the rights of the running role."""

COMMANDS: dict[str, tuple[str, ...]] = {
    "backend": (
        "uvicorn", "api.main:create_app", "--factory",
        "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning", "--no-proxy-headers",
        "--no-server-header",
    ),
    "worker": ("celery", "-A", "workers.celery_app", "-q", "worker", "--loglevel", "INFO"),
    "beat": ("celery", "-A", "workers.celery_app", "-q", "beat", "--loglevel", "INFO", "--pidfile="),
}  # fmt: skip


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(run)


def run(
    part: Annotated[Part, typer.Argument(help="Which part of the ledger to become.")],
    host: Annotated[str, typer.Option(help="Where the backend listens.")] = "0.0.0.0",  # noqa: S104 - inside its container
    port: Annotated[int, typer.Option(min=1, max=65535, help="The backend's port.")] = 8000,
    name: Annotated[str, typer.Option(help="A worker's name, where several share a host.")] = "celery",
) -> None:
    """Become one part of the ledger in production: the backend migrates first, worker and beat wait until it has.

    A start with unsafe settings, wrong keys, or a database that is away, newer, or set back to an older state is
    refused in one sentence.
    """
    from api.cli.misspelt import misspelt  # noqa: PLC0415 - only starting wants the settings of all parts

    if secrets_file := os.environ.get("LEDGER_SECRETS_FILE"):
        _make_secrets(Path(secrets_file).parent)
    settings = LedgerSettings()
    _check_settings_of(part)
    refuse_unsafe(settings, os.environ)
    for strange in misspelt(os.environ):
        complain(strange)
    _wait_for_schema(settings, migrates=part == "backend")
    url = settings.database_url.get_secret_value()
    check_keys(url, settings.open_vault())
    check_published(url, settings.checkpoint_file)
    if (folder := metric_files.folder()) is not None:
        metric_files.wipe(folder)
    command = [sys.executable, "-m", *COMMANDS[part]]
    if part == "backend":
        command += ["--host", host, "--port", str(port)]
    elif part == "worker":
        command += ["--hostname", f"{name}@%h"]
    kept = {name: value for name, value in os.environ.items() if name not in OWNER_ONLY}
    os.execve(sys.executable, command, kept)  # noqa: S606 - no shell is wanted; the commands are above


def _check_settings_of(part: Part) -> None:
    """Read the part's own settings too, so that it does not fail over them with a traceback."""
    from api.settings import ApiSettings  # noqa: PLC0415 - only this command wants them
    from workers.settings import WorkerSettings  # noqa: PLC0415 - as above

    (ApiSettings if part == "backend" else WorkerSettings)()


def _make_secrets(folder: Path) -> None:
    """Make the secrets if there are none yet; of several containers that start at once one does, the others wait."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        is_first = not (folder / FILE).exists()
        load_secrets(folder)
    if is_first:
        complain("new secrets were made: save them with `ledger keys export`, without them no e-mail opens again")


def _wait_for_schema(settings: LedgerSettings, *, migrates: bool) -> None:
    """Bring the schema up, or wait for whoever does.

    Raises:
        StorageUnavailableError: The database was away for longer than LEDGER_DATABASE_WAIT_S.
        SchemaMismatchError: It is newer than this version, or was not migrated within that time.
        RolesMissingError: The running role is not as it should be.
    """
    url = settings.database_url.get_secret_value()
    ends = time.monotonic() + settings.database_wait_s
    while True:
        try:
            if migrates:
                migrate(settings.owner_url, url)
            check_schema(url)
        except NewerSchemaError:
            raise
        except (StorageUnavailableError, SchemaMismatchError) as trouble:
            if time.monotonic() > ends:
                raise type(trouble)(
                    f"{trouble}; waited {settings.database_wait_s:.0f} s: start it, or correct DATABASE_URL"
                ) from trouble
            time.sleep(PAUSE_S)
        else:
            return
