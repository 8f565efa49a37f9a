"""What one transaction sends to PostgreSQL, and where it waits, as libpq's own trace of the connection shows it."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final, NamedTuple

import pytest
from psycopg import Connection
from psycopg.pq import Trace

from projections.database.pool import LedgerPool
from projections.definitions.registry import PROJECTIONS
from projections.sql import Statements


class Sent(NamedTuple):
    """A statement by its name, and the whole numbers of its parameter, if that is an array of them."""

    name: str
    numbers: tuple[int, ...] = ()


WAIT: Final = "wait"
"""The client asks for the answers to all that it sent and reads them: one round trip."""
_SENT: Final = re.compile(
    r'^F\t\d+\t(?:Parse\t "[^"\n]*" "(?P<statement>.*?)" \d+(?: \d+)*\n'
    r"F\t\d+\tBind\t (?P<values>[^\n]*)|(?P<asks>Flush|Sync))$",
    re.MULTILINE | re.DOTALL,
)
_KEYS: Final = re.compile(r"'\{([-\d,]+)\}'")
_PLACEHOLDER: Final = re.compile(r"\$\d+|%(?:\(\w+\))?[sbt]")
TABLE_STATEMENTS: Final = ("insert", "upsert", "add", "complete")


@contextmanager
def trace_statements() -> Iterator[list[Sent]]:
    """Trace what goes to the server on the pool's connections; the list is filled when the block ends.

    It holds the statements in order, and `WAIT` wherever the client asks for answers.
    """
    sent: list[Sent] = []
    getconn, putconn = LedgerPool.getconn, LedgerPool.putconn
    with tempfile.TemporaryFile() as trace, pytest.MonkeyPatch.context() as patch:

        def get_traced(pool: LedgerPool, timeout: float | None = None) -> Connection[dict[str, object]]:
            conn = getconn(pool, timeout)
            conn.prepare_threshold = None  # a prepared statement goes to the server without its text
            conn.pgconn.trace(trace.fileno())
            conn.pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
            return conn

        def put_traced(pool: LedgerPool, conn: Connection[dict[str, object]]) -> None:
            conn.pgconn.untrace()
            putconn(pool, conn)

        patch.setattr(LedgerPool, "getconn", get_traced)
        patch.setattr(LedgerPool, "putconn", put_traced)
        yield sent
        trace.seek(0)
        text = trace.read().decode(errors="replace")
    for match in _SENT.finditer(text):
        keys = _KEYS.search(match["values"] or "")
        name = WAIT if match["asks"] else _name(match["statement"])
        sent.append(Sent(name, tuple(map(int, keys[1].split(","))) if keys else ()))


def _name(statement: str) -> str:
    """Return the name of a statement; one that has none is named by its text."""
    if (name := _names().get(_without_placeholders(statement))) is not None:
        return name
    tables = (projection.table for projection in PROJECTIONS.values())
    return next(
        (f"{table.name}.select" for table in tables if statement.startswith(table.select(""))),
        " ".join(statement.split()),
    )


@cache
def _names() -> dict[str, str]:
    names = {
        _without_placeholders(getattr(statements, name)): name
        for statements in Statements.__subclasses__()
        for name in statements.__annotations__
    }
    for projection in PROJECTIONS.values():
        for kind in TABLE_STATEMENTS:
            names[_without_placeholders(getattr(projection.table, kind))] = f"{projection.table.name}.{kind}"
    return names


def _without_placeholders(statement: str) -> str:
    return _PLACEHOLDER.sub("?", statement)
