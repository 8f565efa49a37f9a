"""What the ledger is measured against over HTTP: an empty endpoint, and three counters built as one usually would.

The counters are fair: same framework, same models, a pool of connections, autocommit where it helps. None of them
keeps a history, seals an address, or knows what an invitation is. `counter_old` does per redeem what the old system's
code did: its look-ups, the row lock, the count, the commit, reading the row back as its mapper does after
a commit, and a task published with a result backend, which subscribes to the task's channel first.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from psycopg import Connection
from psycopg_pool import ConnectionPool
from pydantic import BaseModel

from benchmarks.baselines.celery_noop import noop, noop_with_result
from benchmarks.harness.load_generators import REDEEM

TABLES = """
CREATE TABLE IF NOT EXISTS bench_codes (code text PRIMARY KEY, used bigint NOT NULL, max_uses bigint NOT NULL);
CREATE TABLE IF NOT EXISTS bench_uses (id bigserial PRIMARY KEY, code text NOT NULL, email text NOT NULL);
CREATE INDEX IF NOT EXISTS bench_uses_idx ON bench_uses (email);
CREATE TABLE IF NOT EXISTS bench_counter (n bigint NOT NULL);
CREATE TABLE IF NOT EXISTS bench_rows (id bigserial PRIMARY KEY, n bigint NOT NULL);
INSERT INTO bench_codes VALUES ('HOT', 0, 1000000000) ON CONFLICT DO NOTHING;
INSERT INTO bench_counter SELECT 0 WHERE NOT EXISTS (SELECT FROM bench_counter);
"""
DROP = "DROP TABLE bench_codes, bench_uses, bench_counter, bench_rows"
CONNECTIONS = 16


class RedeemBody(BaseModel):
    """A redeem."""

    email: str
    code: str


class RedeemAnswer(BaseModel):
    """What the ledger answers."""

    success: bool
    message: str
    reservation_id: str
    state: str
    status_url: str


ANSWER = RedeemAnswer(
    success=True, message="queued", reservation_id="x" * 36, state="reserved", status_url="/r/" + "x" * 36
)


def empty() -> FastAPI:
    """Takes a redeem and does nothing with it."""
    app = FastAPI()

    @app.post(REDEEM, status_code=202)
    async def redeem(asked: RedeemBody) -> RedeemAnswer:  # noqa: ARG001 - validated by the framework, then dropped
        return ANSWER

    return app


def counter_old() -> FastAPI:
    """Like the old system: look the code and the person up, lock, count, commit, read again, then publish."""
    app, pool = _with_pool()

    @app.post(REDEEM, status_code=202)
    def redeem(asked: RedeemBody) -> RedeemAnswer:
        with pool.connection() as conn, conn.transaction():
            conn.execute("SELECT code, used, max_uses FROM bench_codes WHERE code = 'HOT'").fetchone()
            conn.execute("SELECT id FROM bench_uses WHERE email = %s AND code = 'HOT'", (asked.email,)).fetchone()
            _count(conn, asked.email)
        with pool.connection() as conn, conn.transaction():
            conn.execute("SELECT code, used, max_uses FROM bench_codes WHERE code = 'HOT'").fetchone()
        noop_with_result.delay(asked.email)
        return ANSWER

    return app


def counter_publish() -> FastAPI:
    """Row lock, count, commit, publish."""
    app, pool = _with_pool()

    @app.post(REDEEM, status_code=202)
    def redeem(asked: RedeemBody) -> RedeemAnswer:
        with pool.connection() as conn, conn.transaction():
            _count(conn, asked.email)
        noop.delay(asked.email)
        return ANSWER

    return app


def counter_cte() -> FastAPI:
    """One statement: the check and the count in an UPDATE, the use in an INSERT of the same transaction."""
    app, pool = _with_pool()

    @app.post(REDEEM, status_code=202)
    def redeem(asked: RedeemBody) -> RedeemAnswer:
        with pool.connection() as conn:
            conn.execute(
                "WITH taken AS (UPDATE bench_codes SET used = used + 1 WHERE code = 'HOT' AND used < max_uses"
                " RETURNING code) INSERT INTO bench_uses (code, email) SELECT code, %s FROM taken",
                (asked.email,),
            )
        return ANSWER

    return app


def _count(conn: Connection[Any], email: str) -> None:
    used = conn.execute("SELECT used FROM bench_codes WHERE code = 'HOT' FOR UPDATE").fetchone()
    conn.execute("INSERT INTO bench_uses (code, email) VALUES ('HOT', %s)", (email,))
    conn.execute("UPDATE bench_codes SET used = %s WHERE code = 'HOT'", ((used or (0,))[0] + 1,))


def _with_pool() -> tuple[FastAPI, ConnectionPool]:
    pool = ConnectionPool(os.environ["DATABASE_URL"], min_size=CONNECTIONS, open=False, kwargs={"autocommit": True})

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with pool:
            yield

    return FastAPI(lifespan=lifespan), pool
