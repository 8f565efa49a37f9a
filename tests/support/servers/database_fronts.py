"""What deployments put between the ledger and PostgreSQL: PgBouncer and HAProxy, and another PostgreSQL behind them.

They are Debian's packages pgbouncer, haproxy and postgresql-17, which `.ci/run` installs. Each runs as a child of the
test, on a port of 127.0.0.1.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import psycopg

from api.cli.embedded.bounded_wait import wait_until
from api.cli.embedded.os_accounts import choose_account
from api.cli.embedded.process.program import OsAccount, Program, build_server_environment
from api.cli.embedded.process.supervisor import Supervisor
from api.cli.embedded.tcp_ports import HOST, find_free_port, is_port_open
from tests.support.optional_packages import DEBIAN_POSTGRES, find_program
from tests.support.waiting import WAIT_S_MAX

OWNER: Final = "ledger"
PASSWORD: Final = "only-for-tests"


@contextmanager
def pgbouncer(folder: Path, server_url: str, *, passes_options: bool = False) -> Iterator[str]:
    """PgBouncer in transaction mode before a database; gives the URL through it.

    Args:
        folder: A new one, for its configuration.
        server_url: Of the database and its role, as which every client acts.
        passes_options: Refuse options of clients that it cannot pass on; else they are ignored, as is usual.
    """
    parts, port = urlsplit(server_url), find_free_port()
    target = f"host={parts.hostname} port={parts.port} user={parts.username} password={parts.password}"
    settings = {
        "listen_addr": HOST,
        "listen_port": port,
        "auth_type": "any",
        "pool_mode": "transaction",
        "unix_socket_dir": "",
        "ignore_startup_parameters": "extra_float_digits" if passes_options else "extra_float_digits,options",
    }
    lines = ["[databases]", f"* = {target}", "[pgbouncer]", *(f"{name} = {value}" for name, value in settings.items())]
    with _running(folder, "pgbouncer", "\n".join(lines), port):
        yield urlunsplit(parts._replace(netloc=f"{parts.username}@{HOST}:{port}"))


@contextmanager
def haproxy(folder: Path, server_url: str) -> Iterator[str]:
    """HAProxy before a server; gives the URL through it."""
    parts, port = urlsplit(server_url), find_free_port()
    text = f"""
defaults
    mode tcp
    timeout connect 3s
    timeout client 1h
    timeout server 1h
listen postgres
    bind {HOST}:{port}
    server primary {HOST}:{parts.port}
"""
    with _running(folder, "haproxy", text, port):
        yield urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@{HOST}:{port}"))


@contextmanager
def debian_postgres(folder: Path) -> Iterator[str]:
    """PostgreSQL 17 of Debian; gives the URL of its database, whose owner is no superuser."""
    folder.mkdir()
    folder.chmod(0o711)
    data, port = folder / "data", find_free_port()
    account = choose_account(data, DEBIAN_POSTGRES / "postgres")
    data.mkdir(mode=0o700)
    if account.uid is not None and account.gid is not None:
        os.chown(data, account.uid, account.gid)
    _run(account, "initdb", "-D", str(data), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "-N")
    roles = f"CREATE ROLE {OWNER} LOGIN CREATEDB CREATEROLE;\nCREATE DATABASE ledger OWNER {OWNER};\n"
    _run(account, "postgres", "--single", "-D", str(data), "-c", "exit_on_error=on", "postgres", stdin=roles)
    options = {"listen_addresses": HOST, "port": port, "unix_socket_directories": "", "timezone": "UTC"}
    words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    command = (str(DEBIAN_POSTGRES / "postgres"), "-D", str(data), *words)
    url = f"postgresql://{OWNER}:{PASSWORD}@{HOST}:{port}/ledger"
    with _supervised(folder, Program("postgres17", command, build_server_environment(), account), port):
        assert wait_until(lambda: _accepts_sessions(url), WAIT_S_MAX)
        yield url


@contextmanager
def _running(folder: Path, name: str, configuration: str, port: int) -> Iterator[None]:
    """A program with one file of configuration, until the block ends."""
    folder.mkdir()
    folder.chmod(0o711)
    file = folder / f"{name}.conf"
    file.write_text(f"{configuration}\n")
    program = find_program(name)
    assert program is not None
    # PgBouncer refuses to run as root.
    account = choose_account(folder / "data", Path(program)) if name == "pgbouncer" else OsAccount()
    command = (program, "-db", "-f", str(file)) if name == "haproxy" else (program, str(file))
    with _supervised(folder, Program(name, command, build_server_environment(), account), port):
        yield


@contextmanager
def _supervised(folder: Path, program: Program, port: int) -> Iterator[None]:
    with Supervisor(folder / "logs") as supervisor:
        supervisor.start(program)
        assert wait_until(lambda: is_port_open(port), WAIT_S_MAX), supervisor.last_log_line(program.name)
        yield


def _accepts_sessions(url: str) -> bool:
    """Tell whether a server that listens has recovered."""
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _run(account: OsAccount, program: str, *arguments: str, stdin: str = "") -> None:
    command = [*account.launcher, str(DEBIAN_POSTGRES / program), *arguments]
    done = subprocess.run(
        command,
        input=stdin,
        text=True,
        capture_output=True,
        cwd="/",
        check=False,
        timeout=WAIT_S_MAX,
        **account.identity,
    )
    assert done.returncode == 0, done.stderr
