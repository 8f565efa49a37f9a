import re
from importlib.resources import files
from typing import Final

import pytest

import projections.sql
from domain.events.code_terms import SINGLE_USE
from projections.definitions.tables.code_balances import TABLE as CODE_BALANCES
from projections.sql.repositories import BATCHES
from projections.sql.term_columns import TERM_COLUMNS, find_column_type, read_terms, term_values

NAMED_FOR_OTHER_REASONS: Final = {"expires_at", "group_name", "starts_at"}
"""Keys and sessions expire too, lists are filtered by group, and emails say from when a code can be redeemed."""


def test_tables_with_terms_have_every_column() -> None:
    for table in (CODE_BALANCES, BATCHES):
        assert TERM_COLUMNS.items() <= table.columns.items(), table.name


def test_kind_of_value_without_a_column_is_refused() -> None:
    with pytest.raises(TypeError, match=r"projections/sql/term_columns\.py: _TYPES .* invented, a complex"):
        find_column_type("invented", complex | None)


def test_terms_are_read_as_they_were_written() -> None:
    assert read_terms(term_values(SINGLE_USE)) == SINGLE_USE
    assert list(term_values(SINGLE_USE)) == list(TERM_COLUMNS)


def test_no_statement_lists_the_columns_of_terms() -> None:
    """A statement says `{batches.names}`, so that a new term is in it. `c` is a campaign, which has its own terms."""
    columns = TERM_COLUMNS.keys() - NAMED_FOR_OTHER_REASONS
    texts = {path.name: path.read_text("utf-8") for path in files(projections.sql).iterdir() if path.suffix == ".sql"}  # type: ignore[attr-defined]  # a folder of files

    term_words = {
        (name, word) for name, text in texts.items() for word in re.findall(r"(?<!\bc\.)\b\w+", text) if word in columns
    }

    assert len(texts) > 5
    assert term_words == set()
