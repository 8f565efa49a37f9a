"""The checks of `ledger doctor` for assistants: PostgreSQL may refuse every write, and they answer the same."""

import psycopg

from api.cli.doctor.served_checks import check_server
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.ledger.settings import settings_for

WRITING = {"commit", "engine", "times"}


def test_checks_of_assistants_write_nothing(bench: LedgerBench) -> None:
    """A database that refuses every write changes no result. The checks that write are left out."""
    settings = settings_for(bench.database_url)
    before = {result.name: result.status for result in check_server(settings)}
    name = bench.database_url.rsplit("/", 1)[1]
    with psycopg.connect(bench.database_url, autocommit=True) as conn:
        conn.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())

    after = {result.name: result.status for result in check_server(settings)}

    assert after == before
    assert before["vault"] == "ok"
    assert not WRITING & after.keys()
