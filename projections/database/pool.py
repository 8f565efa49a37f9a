"""The pool of connections: it gives out only live ones, and never those of another process."""

import os
import select

from eventsourcing.postgres import ConnectionPool
from psycopg import Connection
from psycopg.rows import DictRow


class ForkedPoolError(RuntimeError):
    """This pool was made before a fork, and its connections belong to the parent: open the ledger after the fork."""


class LedgerPool(ConnectionPool[Connection[DictRow]]):
    """Looks at a connection before it gives it out.

    A server that was restarted leaves a pool full of dead connections. psycopg's own check costs a round trip, and
    waits a second after each dead one; looking whether the socket has something to say costs a microsecond.
    """

    _made_by = 0

    def claim_for_this_process(self) -> None:
        """From now on it is this process's.

        Raises:
            ForkedPoolError: It is another's already. Its locks may be held by threads that this process hasn't got.
        """
        if self._made_by and self._made_by != os.getpid():
            raise ForkedPoolError(ForkedPoolError.__doc__)
        self._made_by = os.getpid()

    def getconn(self, timeout: float | None = None) -> Connection[DictRow]:
        """A connection whose server has not hung up.

        Raises:
            psycopg_pool.PoolTimeout: None came free, or could be opened, in time.
            ForkedPoolError: The pool is another process's.
        """
        self.claim_for_this_process()
        for _ in range(self.max_size):
            conn = super().getconn(timeout)
            if not _has_hung_up(conn):
                return conn
            conn.close()
            self.putconn(conn)
        return super().getconn(timeout)


def _has_hung_up(conn: Connection[DictRow]) -> bool:
    """Whether something arrived that nobody asked for: the end, or a notice that it comes."""
    if conn.closed:
        return True
    news = select.poll()
    news.register(conn.fileno(), select.POLLIN)
    return bool(news.poll(0))
