"""Running PostgreSQL's client programs: no password in their arguments, and their error as one sentence."""

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from api.cli.backup.backup_error import BackupError
from api.cli.embedded.process.program import build_server_environment
from api.cli.embedded.services.binaries import find_postgres_program
from api.cli.embedded.stack_error import StackError
from projections.config.database_password import split_password

CONNECT_TIMEOUT_S: Final = 10
NO_REPLICATION: Final = (
    "; the role needs REPLICATION, and pg_hba.conf a line `host replication`:"
    " docs/how-to/backup.md#with-servers-of-your-own"
)


def find_client_program(name: str) -> Path:
    """Return the path of a client program of PostgreSQL.

    Raises:
        BackupError: It is not installed.
    """
    try:
        return find_postgres_program(name)
    except StackError as error:
        raise BackupError(f"{name} is missing: install it (`apt-get install postgresql-client`)") from error


def connect_by(database_url: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the arguments and the environment by which a client program connects; the password is in the latter."""
    connection, password = split_password(database_url)
    environment = {**build_server_environment(), "PGCONNECT_TIMEOUT": str(CONNECT_TIMEOUT_S)}
    return ("--dbname", connection, "--no-password"), {**environment, **({"PGPASSWORD": password} if password else {})}


def run_client_program(
    command: list[str], environment: Mapping[str, str], on_line: Callable[[str], None] = lambda _: None
) -> None:
    """Run a program to its end.

    Args:
        command: Its path and arguments.
        environment: Its whole environment.
        on_line: Gets each line of its stderr; a carriage return ends one too.

    Raises:
        BackupError: It failed; the message is its last line.
    """
    lines = [""]
    try:
        # Python's universal newlines make lines of what a terminal would overwrite.
        with subprocess.Popen(
            command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, errors="replace",
        ) as process:  # fmt: skip
            for line in process.stderr or ():
                try:
                    on_line(line)
                except BaseException:
                    process.kill()
                    raise
                if ": error:" in line or ": fatal:" in line or not lines[-1]:
                    lines.append(line.strip())
    except OSError as error:
        raise BackupError(f"{command[0]} cannot be run: {error.strerror}") from error
    if process.returncode != 0:
        raise BackupError(describe_failure(Path(command[0]).name, lines[-1]))


def describe_failure(program: str, line: str) -> str:
    """Return a line of stderr as a sentence for an operator."""
    sentence = line.removeprefix(f"{program}: ").removeprefix("error: ") or "it ended without a reason"
    is_refused = "must be superuser or replication role" in line or "no pg_hba.conf entry for replication" in line
    is_refused = is_refused or "permission denied to start WAL sender" in line
    return f"{program}: {sentence}{NO_REPLICATION if is_refused else ''}"
