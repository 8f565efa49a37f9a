"""`ledger run`: one component as the only process of a container. Secrets are generated once, in a volume."""

import fcntl
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from api.cli.arguments import number_parser
from api.cli.command_index import leaves_no_record
from api.cli.embedded.secrets_file import FILE, check_secrets, load_secrets
from api.cli.printing import print_json_line
from api.cli.production_checks import refuse_unsafe
from domain.values.number_bounds import PORTS
from projections.config.settings import LedgerSettings
from projections.config.unknown_settings import find_ignored_settings
from projections.database.errors import NewerSchemaError, SchemaMismatchError, StorageUnavailableError
from projections.database.migrations import check_schema, migrate
from projections.database.roles import owns_schema
from projections.engine_check.check_engine import refuse_unsound_engine
from projections.storage.key_check import verify_key_rings
from projections.telemetry import multiprocess
from projections.terminal.text import say_error
from projections.transparency_log.checkpoint_file import verify_checkpoint_file

PAUSE_S = 1.0

Component = Literal["migrate", "backend", "worker", "beat"]

MIGRATING: Final = ("migrate", "backend")

OWNER_ONLY = ("LEDGER_OWNER_DATABASE_URL", "LEDGER_OWNER_PASSWORD_FILE")
"""Removed from the environment of the component, which has the rights of the runtime role only."""

COMMANDS: dict[str, tuple[str, ...]] = {
    "backend": (
        "api.http.server.idle_server", "api.main:create_app", "--factory",
        "--loop", "uvloop", "--http", "api.http.server.http_protocol:LedgerProtocol", "--no-access-log",
        "--log-level", "warning", "--no-proxy-headers",
        "--no-server-header",
    ),
    "worker": (
        "celery", "-A", "workers.celery_app", "-q", "worker", "--loglevel", "INFO",
        "--without-mingle", "--without-gossip", "--without-heartbeat",
    ),
    "beat": ("celery", "-A", "workers.celery_app", "-q", "beat", "--loglevel", "INFO", "--pidfile="),
}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(run)


@leaves_no_record("it starts a process, which records what it does")
def run(
    component: Annotated[Component, typer.Argument(help="Component: migrate, backend, worker or beat.")],
    host: Annotated[str, typer.Option(help="IP address on which the backend listens.")] = "0.0.0.0",  # noqa: S104 - inside its container
    port: Annotated[int, typer.Option(parser=number_parser(PORTS), help="Port of the backend.")] = 8000,
    name: Annotated[str, typer.Option(help="Name of the worker, unique on its host.")] = "celery",
) -> None:
    """Run one component in production: migrate, backend, worker or beat.

    `migrate` updates the schema, prints {"applied": [names of migrations]} and exits; only it needs the owner's
    password. The backend also migrates if its role owns the schema. Otherwise backend, worker and beat wait for the
    migration, up to LEDGER_DATABASE_WAIT_S seconds.

    Unsafe settings end the start with exit code 2. Exit code 3: the keys are wrong, or the database is unavailable,
    newer than this version, restored from an older backup, or on an engine that fails `ledger check-engine`.

    Example: `ledger run worker --name worker2`
    """
    if secrets_file := os.environ.get("LEDGER_SECRETS_FILE"):
        _create_secrets(Path(secrets_file).parent)
    settings = LedgerSettings.from_environment()
    _check_settings_of(component)
    refuse_unsafe(settings, os.environ)
    if component == "migrate":
        for sentence in find_ignored_settings():
            say_error(sentence)
    applied = _wait_for_schema(settings, migrates=component in MIGRATING)
    if component == "migrate" or applied:
        # The way back from a release depends on it, and the log of the container keeps it.
        print_json_line({"applied": applied})
    if component == "migrate":
        return
    url = settings.database_url.get_secret_value()
    verify_key_rings(url, settings.open_vault())
    verify_checkpoint_file(url, settings.checkpoint_file)
    for sentence in refuse_unsound_engine(url):
        say_error(sentence)
    if (folder := multiprocess.find_folder()) is not None:
        multiprocess.wipe(folder)
    command = [sys.executable, "-m", *COMMANDS[component]]
    if component == "backend":
        command += ["--host", host, "--port", str(port)]
    elif component == "worker":
        command += ["--hostname", f"{name}@%h"]
    environment = {name: value for name, value in os.environ.items() if name not in OWNER_ONLY}
    os.execve(sys.executable, command, environment)  # noqa: S606 - no shell is wanted; the commands are above


def _check_settings_of(component: Component) -> None:
    """Read the component's own settings too, so that an error in them is one line and not a traceback."""
    from api.settings import ApiSettings  # noqa: PLC0415 - only this command wants them
    from workers.settings import WorkerSettings  # noqa: PLC0415 - as above

    # `migrate` runs before all others: it refuses what any of them would, so that none starts with half a change.
    if component in MIGRATING:
        ApiSettings.from_environment()
    if component != "backend":
        WorkerSettings.from_environment()


def _create_secrets(folder: Path) -> None:
    """Generate the secrets if they are missing; several containers that start at once wait for one another.

    Secrets that exist are only read: on a machine they belong to root, and the folder is read-only for a service.
    """
    if (folder / FILE).exists():
        check_secrets(folder)
        return
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        is_first = not (folder / FILE).exists()
        load_secrets(folder)
    if is_first:
        say_error(
            "new secrets were generated: save them with `ledger keys export`; without them nothing can be decrypted"
        )


def _wait_for_schema(settings: LedgerSettings, *, migrates: bool) -> list[str]:
    """Bring the schema up to this version if that is this process' task, otherwise wait for the process that does.

    Returns:
        Names of the migrations that this process applied.

    Raises:
        StorageUnavailableError: The database was unavailable for longer than LEDGER_DATABASE_WAIT_S.
        SchemaMismatchError: It is newer than this version, or was not migrated within that time.
        RolesMissingError: The running role is not as it should be.
    """
    url = settings.database_url.get_secret_value()
    ends_at = time.monotonic() + settings.database_wait_s
    applied: list[str] = []
    while True:
        try:
            if migrates and owns_schema(settings.owner_url):
                applied += migrate(settings.owner_url, url)
            check_schema(url)
        except NewerSchemaError:
            raise
        except (StorageUnavailableError, SchemaMismatchError) as error:
            if time.monotonic() > ends_at:
                raise type(error)(
                    f"{error}; waited {settings.database_wait_s:.0f} s: start the database, or correct DATABASE_URL"
                ) from error
            time.sleep(PAUSE_S)
        else:
            return applied
