"""Tiles of the Merkle log against events, while the log grows."""

from uuid import uuid4

import pytest

from domain.command_bus import Command
from domain.commands.code.issue import IssueCode
from domain.values.identifiers import generate_code
from projections.database.connection import connect
from projections.replay.tile_check import check_tiles
from projections.transparency_log.tile_log import TILE, append_new_events, read_tree_size
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.ledger_bench import LedgerBench


@pytest.mark.parametrize("event_count", [TILE, TILE + 1], ids=["full", "followed by another"])
def test_tile_that_fills_during_the_check_is_right(bench: LedgerBench, event_count: int) -> None:
    """The size of the tree was read before the last tile became full."""
    context, commands = bench.context("operator"), list[Command]()
    for _ in range(event_count):
        text, code_id = generate_code(bench.random_source), uuid4()
        draft = bench.storage.vault.draft_code(text, code_id)
        commands.append(IssueCode(context=context, code_id=code_id, text=draft, terms=make_terms(), bound=True))
    bench.storage.ledger.execute(commands)
    with connect(bench.database_url) as conn:
        append_new_events(conn, TILE - 56)
        tree = read_tree_size(conn)
        append_new_events(conn, TILE)

        findings = list(check_tiles(conn, 0, 0, tree))

    assert tree.size == TILE - 56
    assert findings == []
