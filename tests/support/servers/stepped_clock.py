"""A database whose clock a test steps, without a change to the clock of the machine."""

import os
import signal
from contextlib import suppress
from datetime import timedelta
from typing import Final

import psycopg

from tests.support.waiting import wait_for

_FUNCTIONS: Final = """
CREATE SCHEMA stepped;
CREATE TABLE stepped.clock (ahead interval NOT NULL);
INSERT INTO stepped.clock VALUES ('0');
CREATE FUNCTION stepped.clock_timestamp() RETURNS timestamptz VOLATILE
    RETURN pg_catalog.clock_timestamp() + (SELECT ahead FROM stepped.clock);
CREATE FUNCTION stepped.now() RETURNS timestamptz STABLE
    RETURN pg_catalog.now() + (SELECT ahead FROM stepped.clock);
GRANT USAGE ON SCHEMA stepped TO PUBLIC;
GRANT SELECT ON stepped.clock TO PUBLIC;
"""


class SteppedClock:
    """The clock of one database of this machine. Its sessions are ended, because only later ones see the steps.

    Functions that are searched before those of PostgreSQL add the step to the time.
    """

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        with psycopg.connect(database_url, autocommit=True) as conn:
            conn.execute(_FUNCTIONS.encode())
            name = psycopg.sql.Identifier(conn.info.dbname)
            search_path = psycopg.sql.SQL("ALTER DATABASE {} SET search_path = public, stepped, pg_catalog")
            conn.execute(search_path.format(name))
            sessions = conn.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            for (pid,) in sessions:  # a role may not end those of another one, and the processes have their own
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)

    def set_ahead(self, ahead: timedelta) -> None:
        """Step the clock, so that it is this far ahead, once the server accepts sessions."""

        def step() -> bool:
            with suppress(psycopg.OperationalError), psycopg.connect(self._database_url, autocommit=True) as conn:
                conn.execute("UPDATE stepped.clock SET ahead = %s", (ahead,))
                return True
            return False

        wait_for(step)
