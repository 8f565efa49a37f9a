"""Commands over a real ledger, as the tests of the command line have them, and imports of a legacy database."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients.terminal import Terminal
from tests.support.ledger import legacy_database as old
from tests.support.ledger.ledger_bench import LedgerBench

Import = Callable[..., Any]


@pytest.fixture
def bench(own_bench: LedgerBench) -> LedgerBench:
    """Imports bring the same codes again and again."""
    return own_bench


@pytest.fixture
def imports(tmp_path: Path, terminal: Terminal) -> Import:
    """Import a legacy database; gives the report as JSON. With `--apply`, unless `apply` is false."""

    def run(
        codes: Sequence[old.Row],
        records: Sequence[old.Row],
        *options: str,
        queue: Sequence[old.Row] = (),
        apply: bool = True,
    ) -> Any:  # noqa: ANN401 - whatever the document holds
        path = tmp_path / "legacy.db"
        path.unlink(missing_ok=True)
        dsn = old.sqlite(path, codes, records, queue=queue)
        arguments = ("--apply", *options) if apply else options
        return terminal.ledger("import-legacy", "--dsn", dsn, "--json", *arguments).json

    return run
