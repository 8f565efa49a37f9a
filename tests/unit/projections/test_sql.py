import re
from importlib.resources import files
from typing import Final

import pytest

import projections.sql
from domain.events.code_terms import SINGLE_USE
from projections import sql
from projections.definitions.tables.code_balances import TABLE as CODE_BALANCES
from projections.sql import Statements
from projections.sql.repositories import BATCHES
from projections.sql.table import Table
from projections.sql.term_columns import TERM_COLUMNS, find_column_type, read_terms, term_values

SUMS = Table(
    "sums", key=("group_name", "day"), columns={"group_name": "text", "day": "date", "sent": "bigint", "seen": "uuid"}
)


def test_statements_list_the_declared_columns() -> None:
    insert = (
        "INSERT INTO sums AS old (group_name, day, sent, seen)"
        " SELECT * FROM unnest(%s::text[], %s::date[], %s::bigint[], %s::uuid[])"
    )

    assert SUMS.insert == insert
    assert SUMS.upsert == (
        f"{insert} ON CONFLICT (group_name, day) DO UPDATE SET sent = excluded.sent, seen = excluded.seen"
    )
    assert SUMS.add.endswith("SET sent = old.sent + excluded.sent, seen = old.seen + excluded.seen")
    assert SUMS.complete.endswith("WHERE old.group_name = n.group_name AND old.day = n.day")


def test_arrays_in_a_row_are_sent_as_text() -> None:
    table = Table("lists", key=("id",), columns={"id": "uuid", "versions": "bigint[]"})

    assert "%s::text[]" in table.insert
    assert "n.versions::bigint[]" in table.insert


def test_fixed_columns_are_inserted_and_not_updated() -> None:
    table = Table("codes", key=("id",), columns={"id": "uuid", "at": "date", "used": "bigint"}, fixed=("at",))

    assert table.upsert.endswith("SET used = excluded.used")


def test_row_is_made_by_name() -> None:
    assert SUMS.row(sent=3) == (None, None, 3, None)
    with pytest.raises(TypeError, match="sums has no column send"):
        SUMS.row(send=3)


@pytest.mark.parametrize("part", [{"key": ("id",)}, {"key": ("day",), "fixed": ("id",)}])
def test_key_or_fixed_column_must_be_declared(part: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ValueError, match="days has no column id"):
        Table("days", columns={"day": "date"}, **part)


@pytest.mark.parametrize(
    ("statement", "message"),
    [("{sums.insert}", None), ("{sum.insert}", "no sum.insert is declared"), ("{sums.nams}", "no sums.nams is")],
)
def test_statements_resolve_declared_tables_at_import(
    statement: str, message: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "_statements", lambda _text: iter([("add_sum", statement)]))

    def declare() -> type[Statements]:
        return type("Sql", (Statements,), {"__annotations__": {"add_sum": str}}, file="database.sql", tables=(SUMS,))

    if message is None:
        assert declare().add_sum == SUMS.insert  # type: ignore[attr-defined]  # set from the file
    else:
        with pytest.raises(LookupError, match=message):
            declare()


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
