"""The private PostgreSQL: its data directory, created at the first start, and its program.

It runs as a direct child and listens on TCP port of 127.0.0.1 only, with a password. Durability is PostgreSQL's
default: fsync, full_page_writes and synchronous_commit are on.
"""

import os
import secrets
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from api.cli.embedded.os_accounts import choose_account
from api.cli.embedded.process.orphans import end_orphaned_postgres
from api.cli.embedded.process.program import OsAccount, Program, build_server_environment
from api.cli.embedded.services import binaries
from api.cli.embedded.stack_error import StackError
from api.cli.embedded.tcp_ports import HOST, is_port_open

OWNER = DATABASE = "ledger"
RUNNER = "ledger_run"
SUPERUSER = "postgres"
ROLES = "postgres.roles"
"""Marks a data folder whose owner has REPLICATION, which backups need."""
CONNECTIONS_MAX = 100
VACUUM_EVERY_S = 10
"""Shorter than a backlog takes: until a vacuum, no update uses the room of former versions. The default is a minute."""
WRITERS_EVERY = "1s"
"""Interval of the background writers; 0.2 s by default. A commit waits for neither: it writes its WAL to disk."""
UNRECEIVED_WAL_MAX = "4GB"
"""How much WAL is kept for a backup that does not receive it, so that a forgotten one can't fill the disk."""
INIT_S_MAX = 120
STOP_S_MAX = 2.5


def build_url(role: str, port: int, password: str) -> str:
    """Return the libpq URI of a role: OWNER, or RUNNER, which has few rights."""
    return f"postgresql://{role}:{quote(password, safe='')}@{HOST}:{port}/{DATABASE}"


@dataclass(frozen=True, slots=True)
class Postgres:
    """A data directory that PostgreSQL can run on.

    Attributes:
        data: The data directory.
        port: Its port on 127.0.0.1.
        password: Of the role `ledger`, which owns the database.
        account: Who runs it.
        programs: Folder of the programs of the version that created the data directory.
    """

    data: Path
    port: int
    password: str
    account: OsAccount
    programs: Path

    @property
    def url(self) -> str:
        """libpq URI of the owner."""
        return build_url(OWNER, self.port, self.password)

    @property
    def program(self) -> Program:
        """The program; SIGINT is PostgreSQL's fast shutdown."""
        settings = {
            "listen_addresses": HOST,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": CONNECTIONS_MAX,
            "autovacuum_naptime": VACUUM_EVERY_S,
            "bgwriter_delay": WRITERS_EVERY,
            "wal_writer_delay": WRITERS_EVERY,
            "max_slot_wal_keep_size": UNRECEIVED_WAL_MAX,
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        options = (word for name, value in settings.items() for word in ("-c", f"{name}={value}"))
        return Program(
            name="postgres",
            command=(str(self.programs / "postgres"), "-D", str(self.data), *options),
            env=build_server_environment(),
            account=self.account,
            stop_signal=signal.SIGINT,
            stop_s_max=STOP_S_MAX,
        )

    def is_ready(self) -> bool:
        """Return whether it accepts connections; it listens earlier, while it recovers."""
        if not is_port_open(self.port):
            return False
        check = [str(self.programs / "pg_isready"), "-q", "-h", HOST, "-p", str(self.port), "-t", "2"]
        return subprocess.run(check, env=build_server_environment(), check=False, timeout=10).returncode == 0


def prepare_postgres(folder: Path, port: int, password: str) -> Postgres:
    """Create `folder/postgres`, a data directory with the database `ledger`, or check the one that exists.

    Args:
        folder: The ledger's data folder; it exists.
        port: Port for the server.
        password: Of the owner; used when the directory is created.

    Raises:
        StackError: No server of the version that created it, no account can run it, or `initdb` failed.
    """
    data = folder / "postgres"
    programs = _find_programs_of(data) if data.exists() else binaries.find_postgres_folder()
    account = choose_account(data, programs / "postgres")
    server = Postgres(data, port, password, account, programs)
    if data.exists():
        end_orphaned_postgres(data)
        if not (folder / ROLES).exists():
            _allow_replication(server)
    else:
        _create_data_directory(server)
    (folder / ROLES).touch(mode=0o600)
    return server


def _create_data_directory(server: Postgres) -> None:
    """Build it under another name and rename it when it is complete, so that a crash leaves no part of one."""
    data, account = server.data, server.account
    building, secret = data.with_suffix(".new"), data.with_suffix(".password")
    shutil.rmtree(building, ignore_errors=True)
    secret.unlink(missing_ok=True)
    try:
        secret.touch(mode=0o600)
        # The superuser's password is stored nowhere: no process needs that role.
        secret.write_text(secrets.token_urlsafe(32) + "\n")
        building.mkdir(mode=0o700)
        if account.uid is not None and account.gid is not None:
            os.chown(building, account.uid, account.gid)
            os.chown(secret, account.uid, account.gid)
        _run(
            account,
            server.programs / "initdb",
            *("-D", str(building), "-U", SUPERUSER, "--encoding=UTF8", "--locale=C"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *("--auth=scram-sha-256", f"--pwfile={secret}"),
        )
        single = ("--single", "-D", str(building), "-c", "exit_on_error=on", "postgres")
        _run(account, server.programs / "postgres", *single, stdin=_owner_sql(server.password))
        building.rename(data)
    finally:
        secret.unlink(missing_ok=True)


def _allow_replication(server: Postgres) -> None:
    """Let the owner of a data directory of a former release take backups."""
    single = ("--single", "-D", str(server.data), "-c", "exit_on_error=on", "postgres")
    statement = f"ALTER ROLE {OWNER} REPLICATION;\n"
    _run(server.account, server.programs / "postgres", *single, stdin=statement)


def _owner_sql(password: str) -> str:
    """Return the SQL that creates the owner. It is not a superuser, so that rules of the events table bind it too."""
    quoted = password.replace("'", "''")
    return (
        f"CREATE ROLE {OWNER} LOGIN CREATEDB CREATEROLE REPLICATION PASSWORD '{quoted}' IN ROLE pg_monitor;\n"
        f"CREATE DATABASE {DATABASE} OWNER {OWNER};\n"
    )


def _run(account: OsAccount, program: Path, *arguments: str, stdin: str = "") -> None:
    try:
        result = subprocess.run(
            [*account.launcher, str(program), *arguments],
            env=build_server_environment(),
            cwd="/",
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=INIT_S_MAX,
            **account.identity,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"PostgreSQL's {program.name} could not be run: {error}") from error
    errors = [line for line in result.stderr.splitlines() if "ERROR" in line or "FATAL" in line or "error:" in line]
    if result.returncode != 0 or errors:
        last = (errors or result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise StackError(
            f"PostgreSQL's {program.name} could not create its data directory ({last.strip()}): "
            "check the free disk space and the permissions of the data folder"
        )


def _find_programs_of(data: Path) -> Path:
    """Return the folder of the programs of the version that created a data directory."""
    try:
        major = int((data / "PG_VERSION").read_text())
    except (OSError, ValueError) as error:
        raise StackError(
            f"{data} is not a PostgreSQL data directory: move it away, or choose another --data-dir"
        ) from error
    try:
        return binaries.find_postgres_folder(major)
    except StackError as error:
        raise StackError(
            f"{data} was created by PostgreSQL {major}, and {error}, or choose another --data-dir"
        ) from None
