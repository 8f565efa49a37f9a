"""The internals of psycopg that `projections.database.pipeline` uses are as it expects them."""

import inspect
from collections.abc import Generator

import psycopg
import psycopg.generators
import pytest
from psycopg import Connection, Cursor
from psycopg.pq.abc import PGconn
from psycopg.waiting import Ready, Wait

from projections.database.pipeline import OPTIMISTIC_WRITES, _write_first
from projections.database.servers.bounded_connection import WAIT_INTERVAL_S

SENTENCE = "psycopg {} changed {}: adapt projections/database/pipeline.py"


def sentence(what: str) -> str:
    """Say which change of the library broke us, and where to adapt."""
    return SENTENCE.format(psycopg.__version__, what)


def test_connections_wait_with_a_generator_an_interval_and_a_timeout() -> None:
    """`OptimisticWriteConnection.wait` replaces this method."""
    parameters = inspect.signature(Connection.wait).parameters

    assert list(parameters) == ["self", "gen", "interval", "timeout"], sentence("Connection.wait")
    assert parameters["interval"].default == WAIT_INTERVAL_S, sentence("how often Connection.wait looks up")


def test_the_flags_of_waiting_can_be_combined() -> None:
    """A generator asks for `Wait` and is sent `Ready`."""
    assert (Wait.R | Wait.W, Ready.W) == (Wait.RW, 2), sentence("Wait and Ready of psycopg.waiting")


def test_sending_is_a_function_of_the_connection_alone() -> None:
    """`fetch_pipelined` drives it; libpq flushes what the server has to answer."""
    assert callable(psycopg.generators.send), sentence("psycopg.generators.send")
    assert hasattr(PGconn, "send_flush_request"), sentence("PGconn.send_flush_request")
    assert hasattr(Cursor, "pgresult"), sentence("Cursor.pgresult")


def test_only_the_first_questions_whether_a_write_is_possible_are_skipped() -> None:
    """Reads and later writes are awaited, as psycopg's own loop does it."""

    def operation() -> Generator[Wait, Ready | int, str]:
        answers = [(yield Wait.W)]
        answers += [(yield Wait.W), (yield Wait.R), (yield Wait.W)]
        return "".join(Ready(answer).name or "" for answer in answers)

    waiting = _write_first(operation())

    assert OPTIMISTIC_WRITES == 2
    assert next(waiting) == Wait.R
    with pytest.raises(StopIteration) as end:
        waiting.send(Ready.R)
    assert end.value.value == "WWRW"
