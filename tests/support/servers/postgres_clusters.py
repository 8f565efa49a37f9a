"""PostgreSQL servers for tests of copies: base backups, archived WAL, and standbys that take over."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg

from api.cli.embedded.bounded_wait import wait_until
from api.cli.embedded.process.program import kill_group
from api.cli.embedded.services import postgres
from api.cli.embedded.services.postgres import DATABASE, OWNER, Postgres
from api.cli.embedded.tcp_ports import HOST, find_free_port
from tests.support.waiting import WAIT_S_MAX

PASSWORD = "only-for-tests"


class PostgresCluster:
    """One server: a data directory and, while it runs, a process in a group of its own."""

    def __init__(self, postgres_files: Postgres, logs: Path) -> None:
        self.postgres_files = postgres_files
        self._logs = logs
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.postgres_files.url

    @property
    def place(self) -> str:
        """Host and port, as a URI of several hosts lists them."""
        return f"{HOST}:{self.postgres_files.port}"

    def configure(self, **settings: str) -> None:
        """Settings for the next start, next to those of the embedded stack."""
        with (self.postgres_files.data / "postgresql.auto.conf").open("a") as lines:
            lines.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        with (self._logs / f"{self.postgres_files.data.parent.name}.log").open("ab") as log:
            self._process = self.postgres_files.program.spawn(log)
        assert wait_until(self.postgres_files.is_ready, WAIT_S_MAX), self.postgres_files.data

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """All of its processes stand still for the block; its kernel continues to take connections and bytes."""
        assert self._process is not None
        parent = psutil.Process(self._process.pid)
        family = [parent, *parent.children(recursive=True)]
        for process in family:
            process.suspend()
        try:
            yield
        finally:
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def reload(self) -> None:
        self.run("pg_ctl", "reload", "-D", str(self.postgres_files.data))

    def kill(self) -> None:
        """All its processes at once, as a power cut does."""
        if self._process is not None:
            kill_group(self._process.pid)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(WAIT_S_MAX)
            self._process = None

    def promote(self) -> None:
        self.run("pg_ctl", "promote", "-w", "-D", str(self.postgres_files.data))

    def run(self, program: str, *arguments: str, stdin: str = "") -> None:
        """One of PostgreSQL's programs, as whom the server runs as."""
        postgres._run(self.postgres_files.account, self.postgres_files.programs / program, *arguments, stdin=stdin)

    def copy_of(self, folder: Path, *, is_standby: bool = False) -> "PostgresCluster":
        """A base backup by pg_basebackup, not started; a standby follows this server from then on."""
        postgres_files = replace(
            self.postgres_files, data=_own(folder / "postgres", self.postgres_files), port=find_free_port()
        )
        follows = ("-R",) if is_standby else ()
        self.run(
            "pg_basebackup", "-d", self.url, "-D", str(postgres_files.data), "-X", "stream", "-c", "fast", *follows
        )
        (postgres_files.data / "postmaster.pid").unlink(missing_ok=True)
        return PostgresCluster(postgres_files, self._logs)

    def move_to(self, port: int) -> None:
        """Listen elsewhere from the next start on."""
        self.postgres_files = replace(self.postgres_files, port=port)

    def sync_standbys(self) -> int:
        """How many standbys a commit waits for now."""
        with psycopg.connect(self.url) as conn:
            return conn.execute("SELECT FROM pg_stat_replication WHERE sync_state = 'sync'").rowcount

    def erase(self) -> None:
        self.kill()
        shutil.rmtree(self.postgres_files.data)


@contextmanager
def server(folder: Path) -> Iterator[PostgresCluster]:
    """A primary whose owner may replicate, not started yet; killed in the end."""
    folder.mkdir()
    folder.chmod(0o711)
    cluster = PostgresCluster(postgres.prepare_postgres(folder, find_free_port(), PASSWORD), folder.parent)
    single = ("--single", "-D", str(cluster.postgres_files.data), "-c", "exit_on_error=on", "postgres")
    cluster.run("postgres", *single, stdin=f"ALTER ROLE {OWNER} REPLICATION;\n")
    try:
        yield cluster
    finally:
        cluster.kill()


def any_of(*servers: PostgresCluster) -> str:
    """A libpq URI that finds whichever of them takes writes."""
    places = ",".join(server.place for server in servers)
    return f"postgresql://{OWNER}:{PASSWORD}@{places}/{DATABASE}?target_session_attrs=read-write&connect_timeout=2"


def _own(data: Path, postgres_files: Postgres) -> Path:
    """An empty folder that the server's account owns, below one that it may enter."""
    data.mkdir(parents=True, mode=0o700)
    data.parent.chmod(0o711)
    owner = postgres_files.data.stat()
    with suppress(PermissionError):
        os.chown(data, owner.st_uid, owner.st_gid)
    return data
