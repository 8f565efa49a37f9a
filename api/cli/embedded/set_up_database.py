"""Sets up the database of `ledger up`, as a process that ends with it.

Reads one line from standard input when the servers are ready: a JSON object with the parameters of `set_up`.
"""

import json
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from api.cli.embedded.first_credentials import prepare_first_accounts
from api.cli.embedded.secrets_file import FILE as SECRETS
from api.cli.embedded.services import ledger
from api.cli.embedded.services.ledger import OWNER_URL
from api.cli.embedded.stack_error import StackError
from api.cli.exit_status import report_exception
from api.settings import ApiSettings
from projections.config.unknown_settings import find_ignored_settings
from projections.database.errors import RolesMissingError, StorageUnavailableError
from projections.database.migrations import check_schema, migrate
from projections.storage.key_check import verify_key_rings
from projections.terminal.exit_codes import ExitCode
from projections.terminal.text import say_error
from projections.transparency_log.checkpoint_file import verify_checkpoint_file
from workers.settings import WorkerSettings


def set_up(run: str, env: Mapping[str, str], owner_url: str, demo: bool) -> None:
    """Check the settings, migrate the database, let the components run, and create the first accounts.

    Args:
        run: Working directory of the components.
        env: Environment of the components.
        owner_url: Database URL of the role that owns the tables.
        demo: Whether to issue a demo code at the first start.

    Raises:
        StackError: The database can't be reached.
        pydantic.ValidationError: A setting is malformed.
        SchemaMismatchError, WrongKeysError, OlderStateError: The database can't be used.
    """
    for sentence in find_ignored_settings(Path(env["LEDGER_DATA_DIR"]) / SECRETS):
        say_error(sentence)
    database_url = open_database(env, owner_url)
    ledger.open_gate(Path(run), database_url)
    prepare_first_accounts({**env, "DATABASE_URL": database_url}, demo)


def open_database(env: Mapping[str, str], owner_url: str) -> str:
    """Check all settings, migrate the schema and compare the keys, so that no component fails over them later.

    Returns:
        The database URL of the ledger's own processes.
    """
    os.environ.update(env)
    ApiSettings.from_environment()
    settings = WorkerSettings.from_environment()
    vault = settings.open_vault()
    database_url = env["DATABASE_URL"]
    try:
        try:
            migrate(owner_url, database_url)
        except RolesMissingError:
            if os.environ.get(OWNER_URL):
                raise
            # In a folder of an early version the owner may not create roles; `ledger doctor` reports it.
            database_url = owner_url
        check_schema(database_url)
        verify_key_rings(database_url, vault)
        verify_checkpoint_file(database_url, settings.checkpoint_file)
    except StorageUnavailableError as error:
        raise StackError(f"{error}: start that server, or unset DATABASE_URL to use a private one") from error
    return database_url


def main() -> int | None:
    """Wait for the task and do it; return the exit code."""
    task = sys.stdin.readline()
    if not task:
        return ExitCode.INTERRUPTED
    threading.Thread(target=_end_with_caller, daemon=True).start()
    try:
        set_up(**json.loads(task))
    except Exception as error:
        status = report_exception(error)
        if status is None:
            raise
        return status
    return ExitCode.OK


def _end_with_caller() -> None:
    """End this process when the other end of standard input is closed, whatever this process waits for."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(ExitCode.INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())
