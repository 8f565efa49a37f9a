import inspect
from functools import partial
from types import SimpleNamespace
from typing import cast

import psycopg
import psycopg.generators
from psycopg import Connection, Cursor, Pipeline
from psycopg.pq.abc import PGconn
from psycopg.rows import DictRow

from projections.database.pipeline import BufferedPipeline
from projections.database.servers.bounded_connection import WAIT_INTERVAL_S

SENTENCE = "psycopg {} changed {}: adapt projections/database/pipeline.py"


def sentence(what: str) -> str:
    return SENTENCE.format(psycopg.__version__, what)


def test_connections_wait_with_a_generator_an_interval_and_a_timeout() -> None:
    """`BoundedConnection.wait` replaces this method."""
    parameters = inspect.signature(Connection.wait).parameters

    assert list(parameters) == ["self", "gen", "interval", "timeout"], sentence("Connection.wait")
    assert parameters["interval"].default == WAIT_INTERVAL_S, sentence("how often Connection.wait looks up")


def test_sending_is_a_function_of_the_connection_alone() -> None:
    """`BufferedPipeline` drives it; libpq flushes what the server has to answer."""
    assert callable(psycopg.generators.send), sentence("psycopg.generators.send")
    assert hasattr(PGconn, "send_flush_request"), sentence("PGconn.send_flush_request")
    assert hasattr(Cursor, "pgresult"), sentence("Cursor.pgresult")


def test_pipeline_of_psycopg_has_the_queues_and_steps_that_ours_replaces() -> None:
    """`BufferedPipeline` replaces two steps, and drives the others."""
    conn = cast("Connection[DictRow]", SimpleNamespace(pgconn=None, lock=None))

    assert vars(Pipeline(conn)).keys() >= {"command_queue", "result_queue", "pgconn", "_conn"}, sentence("Pipeline")
    for name in ("_communicate_gen()", "_exit_gen()", "_fetch_gen(flush)", "_enqueue_sync()"):
        method, *parameters = filter(None, name.strip(")").split("("))
        signature = inspect.signature(getattr(Pipeline, method))
        assert list(signature.parameters) == ["self", *parameters], sentence(f"Pipeline.{method}")


def test_statements_of_a_pipeline_are_passed_to_libpq_without_sending() -> None:
    """This connection could not send anything."""
    conn = cast("Connection[DictRow]", SimpleNamespace(pgconn=None, lock=None))
    pipeline, passed = BufferedPipeline(conn), list[int]()
    pipeline.command_queue += [partial(passed.append, number) for number in (1, 2, 3)]

    assert list(pipeline._communicate_gen()) == []
    assert passed == [1, 2, 3]
