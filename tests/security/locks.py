"""Waits for one thread of a test to be kept waiting by the database."""

from concurrent.futures import Future
from typing import Any

import psycopg

from tests.support.clients.app_client import AppClient
from tests.support.waiting import wait_for

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def wait_for_lock(app: AppClient, call: "Future[Any]") -> None:
    """Wait until a call waits for a lock, or has ended."""
    with psycopg.connect(app.services.settings.database_url.get_secret_value(), autocommit=True) as conn:

        def is_waiting() -> bool:
            row = conn.execute(WAITING).fetchone()
            return call.done() or (row is not None and row[0] > 0)

        wait_for(is_waiting)
