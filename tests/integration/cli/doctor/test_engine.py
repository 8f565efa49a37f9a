"""`ledger check-engine`: a table or JSON, an exit code, and one sentence for what keeps it from checking."""

import socket

import psycopg
import pytest

from tests.support.clients.terminal import Terminal

LIE = "CREATE FUNCTION liar.pg_advisory_xact_lock(bigint) RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$"


def test_check_engine_shows_each_check_and_its_cost(terminal: Terminal, database_url: str) -> None:
    """The suite's own server does not wait for the disk; nothing else is wrong with it."""
    ended = terminal.ledger("check-engine", database_url)

    assert ended.status == 1
    assert "1 of 14 checks failed: the ledger must not run on this engine" in ended.out
    assert "a crash or a failover loses redemptions that were acknowledged" in ended.out


def test_check_engine_prints_json(terminal: Terminal, database_url: str) -> None:
    ended = terminal.ledger("check-engine", database_url, "--json")

    assert (ended.status, ended.json["ok"], ended.err) == (1, False, "")
    assert {check["name"]: check["status"] for check in ended.json["checks"] if check["status"] != "ok"} == {
        "durability": "wrong"
    }
    assert all(set(check) == {"name", "status", "result", "cost"} for check in ended.json["checks"])
    assert "only-for-tests" not in ended.out


def test_doctor_names_an_engine_that_lies(terminal: Terminal, database_url: str) -> None:
    name = database_url.rsplit("/", 1)[1]
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA liar")
        conn.execute(LIE)
        conn.execute(f"ALTER DATABASE {name} SET search_path = liar, pg_catalog, public".encode())

    ended = terminal.ledger("doctor", "--json")

    engine = next(check for check in ended.json["checks"] if check["name"] == "engine")
    assert engine["status"] == "wrong"
    assert "transaction locks: a lock that one session holds by pg_advisory_xact_lock(bigint)" in engine["found"]
    assert "check-engine" in engine["remedy"]


@pytest.mark.parametrize(
    "url", ["", "db:5432", "redis://127.0.0.1:1/0", "postgresql://host with spaces/x", "postgresql://127.0.0.1"]
)
def test_check_engine_refuses_texts_that_are_not_uris(terminal: Terminal, url: str) -> None:
    ended = terminal.ledger("check-engine", url)

    assert ended.status == 2
    assert ended.err.count("\n") == 1
    assert "postgresql://USER:PASSWORD@HOST:PORT/DATABASE" in ended.err


def test_check_engine_names_an_engine_that_cannot_be_reached(terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    ended = terminal.ledger("check-engine", f"postgresql://ledger:secret@127.0.0.1:{port}/ledger")

    assert ended.status == 3
    assert ended.err.count("\n") == 1
    assert f"cannot connect to PostgreSQL at 127.0.0.1:{port}/ledger" in ended.err
    assert "start it, or correct the URL" in ended.err
    assert "secret" not in ended.err
