"""`ledger run` for real: what a production start refuses, each in one sentence with its remedy; and what it doesn't."""

import base64
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from api.cli.app import run
from api.cli.embedded.tcp_ports import HOST, find_free_port
from projections.storage.key_check import verify_key_rings
from projections.vault.key_ring import KeyRing
from projections.vault.vault import Vault
from tests.integration.cli.embedded.test_up import plain
from tests.support.servers.databases import execute
from tests.support.servers.embedded_stack import PROGRAM
from tests.support.waiting import WAIT_S_MAX, wait_for

pytestmark = pytest.mark.night(of="stacks")

NO_STREAM = f"redis://{HOST}:1/0"
Env = dict[str, str]
Changes = dict[str, str | None]
Change = Callable[[Env, Path], Changes]


def ring() -> str:
    return "1:" + base64.b64encode(os.urandom(32)).decode()


@pytest.fixture
def env(database_url: str) -> dict[str, str]:
    rings = {"LEDGER_PEPPERS": ring(), "LEDGER_MASTER_KEYS": ring()}
    vault = Vault(KeyRing.parse(rings["LEDGER_PEPPERS"]), KeyRing.parse(rings["LEDGER_MASTER_KEYS"]))
    verify_key_rings(database_url, vault)
    return {
        **plain(),
        **rings,
        "LEDGER_SECRET_KEY": base64.b64encode(os.urandom(33)).decode(),
        "DATABASE_URL": database_url,
        "REDIS_URL": NO_STREAM,
        "LEDGER_DATABASE_WAIT_S": "1",
    }


def backend(env: dict[str, str], port: int, log: Path) -> subprocess.Popen[bytes]:
    command = [*PROGRAM, "run", "backend"]
    with log.open("wb") as out:
        return subprocess.Popen([*command, "--host", HOST, "--port", str(port)], env=env, stdout=out, stderr=out)


def _newer(env: Env, _: Path) -> Changes:
    execute(env["DATABASE_URL"], "INSERT INTO _yoyo_migration (migration_hash, migration_id) VALUES ('x', '9999_next')")
    return {"LEDGER_DATABASE_WAIT_S": "600"}


def _older(_: Env, folder: Path) -> Changes:
    zeros = base64.b64encode(bytes(64)).decode()
    line = {"number": 7, "size": 9, "root": zeros, "at": "2026-01-01T00:00:00+00:00", "public_key": zeros}
    (folder / "checkpoints").write_text(json.dumps({**line, "signature": zeros}) + "\n")
    return {"LEDGER_CHECKPOINT_FILE": str(folder / "checkpoints")}


def _unsound_engine(env: Env, _: Path) -> Changes:
    execute(env["DATABASE_URL"], "ALTER SEQUENCE ledger_events_notification_id_seq CACHE 50")
    return {}


REFUSED: list[tuple[Changes | Change, int, str]] = [
    ({"LEDGER_SECRET_KEY": None}, 2, "LEDGER_SECRET_KEY is missing: set it"),
    (
        {"LEDGER_MASTER_KEYS": ring()},
        3,
        "LEDGER_MASTER_KEYS does not hold the keys that this database was written with: set",
    ),
    (
        {"LEDGER_SECRET_KEY": "changeme-0123456789-abcdefghijklmnop"},
        2,
        "LEDGER_SECRET_KEY is a placeholder: generate one with",
    ),
    (
        {"LEDGER_PEPPERS": "1:" + "A" * 43 + "="},
        2,
        "key 1 of LEDGER_PEPPERS is a placeholder, not a random key: generate one",
    ),
    (
        lambda env, _: {"LEDGER_PEPPERS": env["LEDGER_MASTER_KEYS"]},
        2,
        "LEDGER_PEPPERS and LEDGER_MASTER_KEYS share a key: generate one",
    ),
    (
        lambda env, _: {"DATABASE_URL": env["DATABASE_URL"].replace("only-for-tests", "postgres")},
        2,
        "the password in DATABASE_URL is a well-known default password: set another one",
    ),
    (
        {"DATABASE_URL": f"postgresql://ledger:only-for-tests@{HOST}:1/ledger"},
        3,
        "waited 1 s: start the database, or correct DATABASE_URL",
    ),
    (_newer, 3, "schema is newer than this version (it has 9999_next): run the newer version"),
    (
        {"POSTGRES_ENABLE_DB_FUNCTIONS": "y"},
        2,
        "POSTGRES_ENABLE_DB_FUNCTIONS must not be set, because readers of the log would miss events: unset it",
    ),
    ({"DEBUG": "1"}, 2, "DEBUG must not be set in production: unset it"),
    ({"LEDGER_RATE_LIMIT": "perhaps"}, 2, "LEDGER_RATE_LIMIT: Input should be 'on' or 'off'"),
    (_older, 3, "over 9 events, but the database has only 0 of them: an older backup was restored; restore a newer"),
    (_unsound_engine, 3, "(append order: the sequence of positions hands out 50 at a time to each session)"),
]
"""The first two also as a process of its own: a refusal of the settings, and one after a look at the database."""


def apply(change: Changes | Change, env: Env, folder: Path) -> None:
    for name, value in (change if isinstance(change, dict) else change(env, folder)).items():
        if value is None:
            del env[name]
        else:
            env[name] = value


@pytest.mark.parametrize(("change", "status", "expected"), REFUSED)
def test_unsafe_start_is_refused_in_one_line(
    env: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    change: Changes | Change,
    status: int,
    expected: str,
) -> None:
    """It never becomes what would listen."""
    apply(change, env, tmp_path)
    for name in os.environ.keys() - env.keys():
        monkeypatch.delenv(name)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    became: list[object] = []
    monkeypatch.setattr(os, "execve", lambda *command: became.append(command))

    assert (status, []) == (run(["run", "backend", "--host", HOST, "--port", str(find_free_port())]), became)
    assert_one_sentence("".join(capfd.readouterr()), expected)


@pytest.mark.parametrize(("change", "status", "expected"), REFUSED[:2])
def test_refused_start_ends_the_process(
    env: dict[str, str], tmp_path: Path, change: Changes | Change, status: int, expected: str
) -> None:
    apply(change, env, tmp_path)
    process = backend(env, find_free_port(), tmp_path / "log")

    assert status == process.wait(WAIT_S_MAX)
    assert_one_sentence((tmp_path / "log").read_text(), expected)


def assert_one_sentence(said: str, expected: str) -> None:
    assert said.count("\n") == 1, said
    assert expected in said
    assert "only-for-tests" not in said


@contextmanager
def started(env: dict[str, str], folder: Path) -> Iterator[tuple[int, Path]]:
    port = find_free_port()
    process = backend(env, port, folder / "log")
    try:
        wait_for(lambda: process.poll() is not None or readiness(port)[0] == 200)
        assert process.poll() is None, (folder / "log").read_text()
        yield port, folder / "log"
    finally:
        process.terminate()
        process.wait(WAIT_S_MAX)


def readiness(port: int) -> tuple[int, dict[str, Any]]:
    connection = HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    except OSError:
        return 0, {}
    finally:
        connection.close()


def test_missing_or_evicting_broker_is_reported_and_stops_nothing(
    env: dict[str, str], redis_url: str, tmp_path: Path
) -> None:
    """Redeems are taken, `/readyz` says degraded and which part, and the log says what it means."""
    with started(env, tmp_path) as (port, log):
        wait_for(lambda: "Redis is unavailable" in log.read_text())
        status, answer = readiness(port)
    assert (status, answer["status"], "broker" in answer["missing"]) == (200, "degraded", True)
    with Redis.from_url(redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            with started({**env, "REDIS_URL": redis_url}, tmp_path) as (port, log):
                wait_for(lambda: "maxmemory-policy of Redis is unsafe" in log.read_text())
                assert "broker_noeviction" in readiness(port)[1]["missing"]
        finally:
            client.config_set("maxmemory-policy", "noeviction")
