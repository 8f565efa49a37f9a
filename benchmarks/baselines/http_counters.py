"""What the ledger is measured against over HTTP: an empty endpoint, and three counters built as one usually would.

The counters are fair: same framework, same models, a pool of connections, autocommit where it helps. None of them
keeps a history, encrypts an email address or sends an invitation. `counter_old` does per redeem what the legacy system
did: its lookups, the row lock, the count, the commit, reading the row again as its mapper does after a commit, and a
task published with a result backend, which subscribes to the task's channel first.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
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
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class BaselineBody(BaseModel):
    """Body of a redeem request."""

    email: str
    code: str


class BaselineAnswer(BaseModel):
    """Body of the ledger's answer."""

    success: bool
    message: str
    reservation_id: str
    state: str
    status_url: str


ANSWER = BaselineAnswer(
    success=True, message="queued", reservation_id="x" * 36, state="reserved", status_url="/r/" + "x" * 36
)


def empty() -> FastAPI:
    """Create an app that validates a redeem request and does nothing with it."""
    app = FastAPI()

    @app.post(REDEEM, status_code=202)
    async def redeem(body: BaselineBody) -> BaselineAnswer:  # noqa: ARG001 - validated by the framework, then dropped
        return ANSWER

    return app


def bare_asgi() -> Callable[..., Awaitable[None]]:
    """Create an ASGI application that reads the body and answers, without any framework: what the server can do."""
    body = ANSWER.model_dump_json().encode()
    length = (b"content-length", str(len(body)).encode())
    start = {"type": "http.response.start", "status": 202, "headers": [(b"content-type", b"application/json"), length]}

    async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        while (await receive()).get("more_body"):
            pass
        await send(start)
        await send({"type": "http.response.body", "body": body})

    return application


def counter_old() -> FastAPI:
    """Create an app like the legacy system: look up code and recipient, lock, count, commit, read again, publish."""
    app, pool = _with_pool()

    @app.post(REDEEM, status_code=202)
    def redeem(body: BaselineBody) -> BaselineAnswer:
        with pool.connection() as conn, conn.transaction():
            conn.execute("SELECT code, used, max_uses FROM bench_codes WHERE code = 'HOT'").fetchone()
            conn.execute("SELECT id FROM bench_uses WHERE email = %s AND code = 'HOT'", (body.email,)).fetchone()
            _count(conn, body.email)
        with pool.connection() as conn, conn.transaction():
            conn.execute("SELECT code, used, max_uses FROM bench_codes WHERE code = 'HOT'").fetchone()
        noop_with_result.delay(body.email)
        return ANSWER

    return app


def counter_publish() -> FastAPI:
    """Create an app with a row lock, a count, a commit and a published task."""
    app, pool = _with_pool()

    @app.post(REDEEM, status_code=202)
    def redeem(body: BaselineBody) -> BaselineAnswer:
        with pool.connection() as conn, conn.transaction():
            _count(conn, body.email)
        noop.delay(body.email)
        return ANSWER

    return app


def counter_cte() -> FastAPI:
    """Create an app with one statement: an UPDATE checks and counts, an INSERT of the same statement adds the use."""
    app, pool = _with_pool()

    @app.post(REDEEM, status_code=202)
    def redeem(body: BaselineBody) -> BaselineAnswer:
        with pool.connection() as conn:
            conn.execute(
                "WITH taken AS (UPDATE bench_codes SET used = used + 1 WHERE code = 'HOT' AND used < max_uses"
                " RETURNING code) INSERT INTO bench_uses (code, email) SELECT code, %s FROM taken",
                (body.email,),
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
