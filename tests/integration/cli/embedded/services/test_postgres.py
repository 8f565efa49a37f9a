"""The private servers: anyone who we are and wherever the folder is, they run, keep their data, or say why not."""

import os
import signal
import smtplib
import subprocess
import sys
from email.message import EmailMessage
from pathlib import Path

import psycopg
import pytest
from redis import AuthenticationError, Redis
from redis.exceptions import ResponseError

from api.cli.embedded import os_accounts, tcp_ports
from api.cli.embedded.os_accounts import choose_account
from api.cli.embedded.process.program import OsAccount, Program
from api.cli.embedded.process.supervisor import Supervisor
from api.cli.embedded.process.watchdog import is_running
from api.cli.embedded.services import binaries, postgres, valkey
from api.cli.embedded.stack_error import StackError
from api.cli.embedded.tcp_ports import HOST, FreePorts, find_free_port, is_port_open
from tests.support.optional_packages import DEBIAN_POSTGRES, may_run
from tests.support.servers.private_servers import PASSWORD, postgres_server, valkey_server
from tests.support.waiting import WAIT_S_MAX, wait_for

ROOT = Path(__file__).parents[5]
HARMLESS = Path("/bin/true")
IS_ROOT = os.geteuid() == 0
PROGRAMS = [
    binaries.find_postgres_folder(),
    *([DEBIAN_POSTGRES] if may_run("PgBouncer, HAProxy and PostgreSQL 17") else []),
]
"""Folders of servers, of one version each."""


def test_postgres_runs_in_a_folder_of_mode_700_although_its_old_pid_belongs_to_another_program(tmp_path: Path) -> None:
    """A second start continues where the first stopped, as the same owner, with durability as PostgreSQL ships it.

    A pid file that names a stranger is dropped and the stranger left alone.
    """
    tmp_path.chmod(0o700)
    with postgres_server(tmp_path) as url, psycopg.connect(url) as conn:
        conn.execute("CREATE TABLE kept (n int)")
        lines = (tmp_path / "postgres" / "postmaster.pid").read_text().splitlines()
    owner = (tmp_path / "postgres").stat().st_uid
    with subprocess.Popen(["/bin/sleep", "60"]) as stranger:
        (tmp_path / "postgres" / "postmaster.pid").write_text("\n".join([str(stranger.pid), *lines[1:]]))
        with postgres_server(tmp_path) as url, psycopg.connect(url) as conn:
            rows = conn.execute("SELECT count(*) FROM kept").fetchall()
            shown = conn.execute(
                "SELECT current_setting('fsync'), current_setting('full_page_writes'),"
                " current_setting('synchronous_commit'), current_setting('max_connections'),"
                " current_setting('autovacuum_naptime'),"
                " current_user, current_setting('is_superuser')"
            ).fetchall()
        assert stranger.poll() is None
        stranger.kill()

    assert rows == [(0,)]
    assert shown == [("on", "on", "on", "100", "10s", "ledger", "off")]
    assert owner == (tmp_path / "postgres").stat().st_uid
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_orphaned_postgres_is_ended_before_the_start_in_a_folder_of_mode_755(open_folder: Path) -> None:
    """Two servers never work on one data directory, which is closed to others, also without the password."""
    left = postgres.prepare_postgres(open_folder, find_free_port(), PASSWORD)
    with (open_folder / "left.log").open("wb") as log:
        process = left.program.spawn(log)
    wait_for(left.is_ready)
    with postgres_server(open_folder) as url:
        assert process.poll() is not None
        with psycopg.connect(url) as conn:
            assert conn.execute("SELECT 1").fetchall() == [(1,)]
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url.replace("only-for-tests", "wrong"))

        assert (open_folder / "postgres").stat().st_mode & 0o777 == 0o700


def test_data_without_a_server_of_their_version_are_refused(tmp_path: Path) -> None:
    postgres.prepare_postgres(tmp_path, find_free_port(), "x")
    (tmp_path / "postgres" / "PG_VERSION").write_text("14\n")

    with pytest.raises(StackError, match=r"by PostgreSQL 14, and no server of that .* postgresql.14`, or choose"):
        postgres.prepare_postgres(tmp_path, find_free_port(), "x")


@pytest.mark.parametrize("programs", PROGRAMS)
def test_data_keep_the_postgres_version_that_created_them(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PATH decides for a new folder only: later starts run the same version, whatever is in PATH by then."""
    tmp_path.chmod(0o711)
    servers = []
    for first in (programs, *PROGRAMS):
        monkeypatch.setenv("PATH", f"{first}:/usr/bin:/bin")
        with postgres_server(tmp_path) as url, psycopg.connect(url) as conn:
            servers.append(conn.info.server_version)

    assert set(servers) == {binaries.read_version(programs / "postgres")[1] * 10_000 + servers[0] % 10_000}


def test_ordinary_user_runs_postgres_without_launcher(open_folder: Path) -> None:
    account = choose_account(open_folder / "postgres", Path(sys.executable))
    folder = open_folder / "own"
    folder.mkdir()
    if account.uid is not None and account.gid is not None:
        os.chown(folder, account.uid, account.gid)
    script = (
        "import os, pathlib, sys; from tests.support.servers.private_servers import postgres_server\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "with postgres_server(folder) as url: print(os.geteuid() == (folder / 'postgres').stat().st_uid != 0)"
    )
    done = subprocess.run(
        [*account.launcher, sys.executable, "-c", script, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S_MAX,
        **account.identity,
    )

    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr


def test_root_uses_the_unprivileged_account_if_it_can_enter_the_folder(open_folder: Path) -> None:
    """The first way: an account that is there already; only the data folder itself is opened for passing through."""
    folder = open_folder / "data"
    folder.mkdir(mode=0o700)
    account = choose_account(folder / "postgres", HARMLESS)

    assert (account.uid is not None, account.launcher) == (IS_ROOT, ())
    assert (0o711 if IS_ROOT else 0o700) == folder.stat().st_mode & 0o777


def test_root_uses_a_namespace_if_the_unprivileged_account_cannot_enter_the_folder(open_folder: Path) -> None:
    """The second way (or the third, where namespaces are forbidden): the closed folder keeps its mode."""
    closed = open_folder / "closed"
    (closed / "data").mkdir(parents=True)
    closed.chmod(0o700)
    account = choose_account(closed / "data" / "postgres", HARMLESS)

    assert (account.uid, bool(account.launcher)) == (None, IS_ROOT)
    assert closed.stat().st_mode & 0o777 == 0o700


def test_root_uses_a_capability_if_namespaces_are_forbidden(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The third way, as in a container that forbids namespaces: data below a closed folder, at both starts."""
    monkeypatch.setattr(os_accounts, "_try_namespace", lambda *_: None)
    closed = open_folder / "closed"
    (closed / "data").mkdir(parents=True)
    closed.chmod(0o700)
    owners = []
    for _ in range(2):
        with postgres_server(closed / "data") as url, psycopg.connect(url) as conn:
            assert conn.execute("SELECT 1").fetchone() == (1,)
        owners.append((closed / "data" / "postgres").stat().st_uid)

    assert owners[0] == owners[1]
    assert owners[0] != 0
    assert closed.stat().st_mode & 0o777 == 0o700


def test_root_without_any_account_for_postgres_is_refused_in_one_line(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os_accounts, "_can_run", lambda *_arguments: False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    with pytest.raises(StackError, match=r"does not run as root.* as an ordinary user, or move both folders"):
        choose_account(open_folder / "postgres", HARMLESS)


def test_data_of_another_user_are_refused(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (open_folder / "postgres").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)

    with pytest.raises(StackError, match=r"belongs to user .*: run `ledger up` as that user"):
        choose_account(open_folder / "postgres", HARMLESS)


def test_valkey_keeps_its_data_and_never_evicts(tmp_path: Path) -> None:
    with valkey_server(tmp_path) as url, Redis.from_url(url, decode_responses=True) as client:
        client.set("kept", "yes")
        policy = client.config_get("maxmemory-policy")
    with valkey_server(tmp_path) as url, Redis.from_url(url, decode_responses=True) as client:
        assert client.get("kept") == "yes"

    assert policy == {"maxmemory-policy": "noeviction"}


def test_data_of_another_broker_are_deleted_before_the_start(tmp_path: Path) -> None:
    """Redis can't read what Valkey wrote, and would end again and again; lost wake-up messages do no harm."""
    with valkey_server(tmp_path) as url, Redis.from_url(url) as client:
        client.set("kept", "yes")
    (tmp_path / valkey.WRITTEN_BY).write_text("Redis 99\n")
    for file in (tmp_path / "appendonlydir").iterdir():
        file.write_bytes(b"REDIS0099 of another product")

    with valkey_server(tmp_path) as url, Redis.from_url(url) as client:
        assert client.get("kept") is None


def test_valkey_answers_only_clients_that_know_the_password(tmp_path: Path) -> None:
    """Another user of the machine can reach its port, but cannot read the password in its arguments or its file."""
    server = valkey.prepare_valkey(tmp_path / "redis", find_free_port(), PASSWORD)
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.start(server.program)
        wait_for(server.is_ready)
        process = supervisor._children["valkey"].process
        assert process is not None
        arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        with Redis.from_url(server.url) as client:
            assert client.ping()
        for url in (f"redis://{HOST}:{server.port}/0", f"redis://:wrong@{HOST}:{server.port}/0"):
            with Redis.from_url(url) as stranger, pytest.raises((AuthenticationError, ResponseError)):
                stranger.keys()

    assert PASSWORD.encode() not in arguments
    assert PASSWORD not in " ".join(server.program.command)
    assert PASSWORD not in repr(server)
    assert (tmp_path / "redis" / valkey.CONFIGURATION).stat().st_mode & 0o777 == 0o600


def test_killed_valkey_restarts_on_the_same_port(tmp_path: Path) -> None:
    server = valkey.prepare_valkey(tmp_path, find_free_port(), PASSWORD)
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.start(server.program)
        wait_for(server.is_ready)
        process = supervisor._children["valkey"].process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        wait_for(lambda: not is_running(process.pid))

        def is_back() -> bool:
            supervisor.tick()
            return server.is_ready()

        wait_for(is_back)


def test_mail_catcher_delivers_to_a_maildir(tmp_path: Path) -> None:
    """A mail is in `new` when the server says so, whole and with its addressee; one above 1 MB is refused."""
    port, maildir = find_free_port(), tmp_path / "mailbox"
    command = (sys.executable, "-m", "api.mail_sink.server", "--port", str(port), "--maildir", str(maildir))
    mail = EmailMessage()
    mail["Subject"] = "邀请"
    mail.set_content("hello\n")
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(Program("sink", command, dict(os.environ), OsAccount(), cwd=ROOT))
        wait_for(lambda: is_port_open(port))
        with smtplib.SMTP(HOST, port, timeout=WAIT_S_MAX) as client:
            client.send_message(mail, "ledger@example.com", ["li.wei@example.com"])
            delivered = [path.read_text() for path in (maildir / "new").iterdir()]
            with pytest.raises(smtplib.SMTPResponseException, match="552"):
                client.sendmail("ledger@example.com", ["li.wei@example.com"], "x" * 1_100_000)

    assert len(delivered) == 1
    assert delivered[0].startswith("Delivered-To: li.wei@example.com\n")
    assert "\nhello\n" in delivered[0]
    assert list((maildir / "tmp").iterdir()) == []


def test_free_ports_are_distinct(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them has bound its port yet when the next one is drawn, and the API binds its own last."""
    drawn = iter([15_001, 15_002, 15_002, 15_003])
    monkeypatch.setattr(tcp_ports, "find_free_port", lambda: next(drawn))
    free = FreePorts(15_001)

    assert [free.draw(), free.draw()] == [15_002, 15_003]
