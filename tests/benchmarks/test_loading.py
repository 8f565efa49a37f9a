"""Histories that benchmarks load are such as the ledger writes: everything is in its place and every rule holds."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from benchmarks.harness import bulk_history
from projections.storage.bootstrap import LedgerStore
from projections.verification.verify import verify
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.rebuilds import NoProgress
from tests.support.ledger.settings import settings_for


@pytest.fixture
def bench(database_url: str) -> Iterator[LedgerBench]:
    with LedgerStore.open(settings_for(database_url)) as storage:
        yield LedgerBench(storage, database_url)


@pytest.mark.parametrize(("live", "counts"), [(False, (17, 0)), (True, (0, 17))], ids=["sent", "live"])
def test_loaded_history_passes_verify(
    live: bool, counts: tuple[int, int], bench: LedgerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_history, "CHUNK", 7)
    code = bench.issue(None, bound=False)
    first = done(bench.redeem(code, "first@example.com"))
    bulk_history.load_history(bench.database_url, [(first.code.code_id, 17)], live=live)
    after = done(bench.redeem(code, "last@example.com")).code

    assert (after.used, after.reserved) == (counts[0], counts[1] + 2)
    assert verify(bench.database_url, timedelta(days=2), NoProgress(), 10).wrong == 0
