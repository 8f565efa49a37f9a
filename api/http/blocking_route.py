"""Routes of plain functions: a `def` endpoint may wait for the database, since it runs in a thread.

`APIRouter(route_class=BlockingRoute)` is all that a router needs. Its `def` endpoints call readers, repositories and
use cases directly. They are answered UNAVAILABLE when the database is unavailable, or when they take longer than
`LEDGER_REQUEST_WAIT_S`; `@answer_within(seconds)` sets another bound. `@heavy_read` is required where the work grows
with a history: such an endpoint waits for one of few slots, and is answered OVERLOADED if none becomes free. Only the
endpoint itself is bounded: reading the request's body is not. `async def` endpoints run in the event loop as usual, and
call `services.run_blocking`.

A JSON body in which an object names a member twice is refused. `JsonRoute` does that alone.
"""

import json
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import Any, Final, ParamSpec, TypeVar

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from api.errors import malformed
from api.schemas.json_members import IS_REPEATED, RepeatedMemberError, read_members
from api.use_cases.heavy_reads import HeavyReads
from api.use_cases.run_blocking import run_blocking

P = ParamSpec("P")
T = TypeVar("T")
HEAVY_READ_MARK: Final = "is_heavy_read"
"""Attribute of endpoints that `heavy_read` decorates; a test looks for endpoints that lack it."""
_HEAVY_READS: ContextVar[HeavyReads] = ContextVar("slots of the application that serves this request")
_REQUEST_WAIT_S: ContextVar[float] = ContextVar("LEDGER_REQUEST_WAIT_S of the application that serves this request")


class JsonRoute(APIRoute):
    """A route that refuses a JSON body in which an object names a member twice."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the route."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await inner(_JsonRequest(request.scope, request.receive))
            except HTTPException as error:  # FastAPI's answer to anything that fails while it reads a body
                if isinstance(error.__cause__, RepeatedMemberError):
                    raise malformed(f"body.{error.__cause__.name}", IS_REPEATED) from error
                raise

        return handle


class BlockingRoute(JsonRoute):
    """A route whose endpoint runs in a thread if it is a plain function."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint if iscoroutinefunction(endpoint) else _in_thread(endpoint), **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the route."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            services = request.app.state.services
            _REQUEST_WAIT_S.set(services.settings.request_wait_s)
            _HEAVY_READS.set(services.heavy_reads)
            return await inner(request)

        return handle


class _JsonRequest(Request):
    """A request whose JSON body names no member twice."""

    async def json(self) -> Any:  # noqa: ANN401 - whatever JSON holds there
        """Return the body.

        Raises:
            RepeatedMemberError: An object names a member twice.
        """
        return json.loads(await self.body(), object_pairs_hook=read_members)


def answer_within(wait_s: float) -> Callable[[Callable[P, T]], Callable[P, Coroutine[Any, Any, T]]]:
    """Decorate the plain function of a route whose work takes longer than others.

    Args:
        wait_s: Seconds until it is answered UNAVAILABLE; its thread continues.
    """
    return lambda endpoint: _in_thread(endpoint, wait_s)


def heavy_read(wait_s: float | None = None) -> Callable[[Callable[P, T]], Callable[P, Coroutine[Any, Any, T]]]:
    """Decorate the plain function of a route that reads a history of any length.

    Args:
        wait_s: Seconds to wait for a slot, and as many for the result; `LEDGER_REQUEST_WAIT_S` if left out.
    """

    def decorate(endpoint: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
        @wraps(endpoint)
        async def run(*args: P.args, **kwargs: P.kwargs) -> T:
            seconds = _REQUEST_WAIT_S.get() if wait_s is None else wait_s
            return await _HEAVY_READS.get().run(seconds, partial(endpoint, *args, **kwargs))

        setattr(run, HEAVY_READ_MARK, True)
        return run

    return decorate


def _in_thread(endpoint: Callable[P, T], wait_s: float | None = None) -> Callable[P, Coroutine[Any, Any, T]]:
    @wraps(endpoint)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return await run_blocking(_REQUEST_WAIT_S.get() if wait_s is None else wait_s, endpoint, *args, **kwargs)

    return run
