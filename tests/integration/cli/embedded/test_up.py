"""`ledger up` as a whole, on all its real parts."""

import base64
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.cli.embedded.tcp_ports import HOST, find_free_port
from projections.storage.key_check import verify_key_rings
from projections.vault.key_ring import KeyRing
from projections.vault.vault import Vault
from tests.support.servers.embedded_stack import PROGRAM
from tests.support.waiting import WAIT_S_MAX, wait_for

pytestmark = pytest.mark.night(of="stacks")


def plain() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LEDGER_") and name not in {"DATABASE_URL", "REDIS_URL"}
    }


@contextmanager
def stack(folder: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    command = [*PROGRAM, "--data-dir", str(folder), "up"]
    process = subprocess.Popen(
        [*command, "--port", str(find_free_port())],
        env=plain(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        is_settled = lambda: (folder / "ledger.json").exists() or process.poll() is not None  # noqa: E731 - one use
        wait_for(is_settled)
        if process.poll() is not None:
            pytest.fail(process.communicate()[1])
        yield process, json.loads((folder / "ledger.json").read_text())
    finally:
        process.terminate()
        process.communicate(timeout=WAIT_S_MAX + 5)


def readiness(api: str) -> tuple[int, dict[str, Any]]:
    connection = HTTPConnection(HOST, int(api.rpartition(":")[2]), timeout=5)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        assert response.headers["Server"] is None
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def sessions(database_url: str) -> list[tuple[str]]:
    query = "SELECT DISTINCT usename::text FROM pg_stat_activity WHERE application_name = 'redemption-ledger'"
    with psycopg.connect(database_url) as conn:
        return conn.execute(query).fetchall()


def running_on(folder: Path) -> list[str]:
    """Commands and environments of processes that name the folder (Linux; elsewhere none can be seen)."""
    matching = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            text = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in text and int(place.name) != os.getpid():
            matching.append(text.split(b"\0")[0].decode())
    return matching


def ledger(folder: Path, *arguments: str) -> str:
    command = [*PROGRAM, "--data-dir", str(folder), *arguments]
    done = subprocess.run(command, env=plain(), capture_output=True, text=True, check=False, timeout=WAIT_S_MAX)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def send_hand_out_test(folder: Path, state: dict[str, Any]) -> EmailMessage:
    hand_out_id = ledger(folder, "hand-out", "create", ledger(folder, "campaign", "create", "Autumn"), "Newsletter")
    assert ledger(folder, "hand-out", "test", hand_out_id, "li@example.com", "--language", "en") == "sent"
    (path,) = (path for path in Path(state["mailbox"]).glob("[cn]*/*") if b"li@example.com" in path.read_bytes())
    return message_from_bytes(path.read_bytes(), policy=default)


def test_up_starts_resumes_and_leaves_no_process(tmp_path: Path) -> None:
    """Everything is ready when it says so; a second start has the data; nothing runs after SIGTERM or kill -9."""
    folder = tmp_path / "ledger"
    with stack(folder) as (process, state):
        status, body = readiness(state["api"])
        assert (status, body["status"], body["missing"]) == (200, "ready", [])
        assert {"ledger_run"} == {name for (name,) in sessions(state["database_url"])}
        assert (folder / "ledger.json").stat().st_mode & 0o777 == 0o600
        assert process.pid == state["pid"]
        assert "psycopg" not in Path(f"/proc/{process.pid}/maps").read_text()
        email = send_hand_out_test(folder, state)
        text = email.get_body(("plain",))
        assert text is not None
        assert (email["From"], f"{state['api']}/invite" in text.get_content()) == ("ledger@localhost.localdomain", True)
        with psycopg.connect(state["database_url"]) as conn:
            first = conn.execute("SELECT count(*) FROM ledger_events").fetchall()
        process.send_signal(signal.SIGTERM)
        said, complained = process.communicate(timeout=WAIT_S_MAX)

        assert (process.returncode, complained) == (0, "")
        assert all(str(state[name]) in said for name in ("api", "demo_code", "staff_email", "staff_password"))
        assert not (folder / "ledger.json").exists()
        assert running_on(folder) == []

    with stack(folder) as (process, again):
        with psycopg.connect(again["database_url"]) as conn:
            second = conn.execute("SELECT count(*) FROM ledger_events").fetchall()
        stable_fields = ("demo_code", "admin_key", "staff_email", "staff_password", "mailbox")
        process.kill()

        assert first == second
        assert [state[name] for name in stable_fields] == [again[name] for name in stable_fields]
        wait_for(lambda: running_on(folder) == [])


def outcome(folder: Path, **variables: str) -> tuple[int, str]:
    command = [*PROGRAM, "--data-dir", str(folder), "up"]
    done = subprocess.run(
        [*command, "--port", str(find_free_port())],
        env={**plain(), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S_MAX,
    )
    assert done.stderr.count("\n") == 1, done.stderr
    return done.returncode, done.stderr


def test_up_starts_no_server_that_the_environment_names(tmp_path: Path) -> None:
    """An unavailable DATABASE_URL ends with one sentence and exit 3; no private database is made."""
    database_url = f"postgresql://ledger@{HOST}:{find_free_port()}/ledger?connect_timeout=2"
    redis_url = f"redis://{HOST}:{find_free_port()}/0"
    code, message = outcome(tmp_path, DATABASE_URL=database_url, REDIS_URL=redis_url, LEDGER_SMTP_URL="null://")

    assert code == 3
    assert "cannot connect to PostgreSQL" in message
    assert not {"postgres", "redis", "mailbox"} & {entry.name for entry in tmp_path.iterdir()}


def test_up_refuses_wrong_keys(database_url: str, tmp_path: Path) -> None:
    variables = {"DATABASE_URL": database_url, "LEDGER_SMTP_URL": "null://"}
    rings = [f"1:{base64.b64encode(bytes([n]) * 32).decode()}" for n in (1, 2)]
    vault = Vault(KeyRing.parse(rings[0]), KeyRing.parse(rings[1]))
    verify_key_rings(database_url, vault)
    code, message = outcome(tmp_path, **variables, LEDGER_PEPPERS=rings[1], LEDGER_MASTER_KEYS=rings[1])

    assert code == 3
    assert "LEDGER_PEPPERS does not hold the keys that this database was written with" in message


def test_up_names_a_malformed_setting(database_url: str, tmp_path: Path) -> None:
    code, message = outcome(tmp_path, DATABASE_URL=database_url, LEDGER_SMTP_URL="null://", LEDGER_LEASE_S="long")

    assert code == 2
    assert "LEDGER_LEASE_S" in message
