"""Connections on which every answer is awaited for a bounded time, whatever the server does."""

from typing import TypeVar

import psycopg
from psycopg import Connection
from psycopg.abc import RV, PQGen

# psycopg's own number: how often a waiting operation checks whether it was interrupted.
WAIT_INTERVAL_S = 0.1

Row = TypeVar("Row")


class BoundedConnection(Connection[Row]):
    """A connection that is closed if an answer does not come in time.

    The server's own timeouts do not help against a server that is frozen or cut off: its kernel still acknowledges
    what is sent to it, so TCP finds nothing wrong either.

    Attributes:
        answer_timeout_s: Longest wait for an answer, in seconds. None: without a limit.
    """

    answer_timeout_s: float | None = None

    def wait(self, gen: PQGen[RV], interval: float = WAIT_INTERVAL_S, timeout: float | None = None) -> RV:
        """Drive a psycopg operation to its end.

        Raises:
            psycopg.OperationalError: No answer came in time, or the connection failed.
        """
        try:
            return super().wait(gen, interval, self.answer_timeout_s if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if self.answer_timeout_s is not None and not _is_reported(error):
                self.close()
            raise


def _is_reported(error: psycopg.OperationalError) -> bool:
    """Tell whether the server reported an error, which leaves the connection usable."""
    return error.sqlstate is not None or isinstance(error, psycopg.errors.PipelineAborted)
