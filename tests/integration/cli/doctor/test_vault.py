"""`ledger doctor` counts the altered rows of the vault, and names some of them."""

import psycopg

from api.cli.doctor.vault import NAMED_MAX, check_vault
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.settings import settings_for


def test_altered_rows_are_counted_and_a_few_are_named(bench: LedgerBench) -> None:
    """`ledger verify` lists all of them."""
    for number in range(NAMED_MAX + 1):
        done(bench.redeem(bench.issue(), f"person{number}@example.com"))
    before = check_vault(bench.database_url, settings_for(bench.database_url))
    with psycopg.connect(bench.database_url) as conn:
        conn.execute("UPDATE recipients SET digest = sha256(digest)")
    after = check_vault(bench.database_url, settings_for(bench.database_url))

    assert (before.status, after.status) == ("ok", "wrong")
    assert after.found.startswith(f"{NAMED_MAX + 1} of ")
    assert after.found.partition(" are altered: ")[2].count(", ") == NAMED_MAX - 1
