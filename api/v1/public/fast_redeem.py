"""The fast path of POST /redeem: a simple, well-formed request is answered without the framework's routing.

Routing, dependencies and validation of a small request cost more CPU than everything the ledger does for it. So nearly
all requests go directly to the function that the documented route calls too. Every other request, malformed ones
included, goes through the route.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from pydantic import ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ApplicationError
from api.http.dependencies import caller_of
from api.http.problems import MEDIA_TYPE, problem_answer
from api.i18n.catalogs import pick_language
from api.schemas.resources import KEY_LENGTH_MAX, RedeemRequest
from api.use_cases.services import Caller, Services
from domain.ports import Language

Headers = tuple[tuple[bytes, bytes], ...]


ACCEPTED = 202
"""Status of a redeem that made a reservation."""


class RedeemResponse(NamedTuple):
    """A status and a JSON body, and the id of the reservation for the log."""

    status: int
    body: bytes
    headers: Headers
    reservation_id: str

    def annotate_scope(self, scope: Scope) -> None:
        """Store in the request's scope what its log line says."""
        scope["ledger_reservation_id"] = self.reservation_id
        scope["ledger_outcome"] = "accepted" if self.status == ACCEPTED else "known"


class AnswerRedeem(Protocol):
    """The route's own function."""

    def __call__(
        self, services: Services, body: RedeemRequest, language: Language, caller: Caller, key: str | None
    ) -> Awaitable[RedeemResponse]:
        """Redeem.

        Raises:
            ApplicationError: A refusal or error.
        """


AnswerDefect = Callable[[Exception, Scope, Receive, Send], Awaitable[None]]


class RedeemHeaders(NamedTuple):
    """The headers that a redeem request uses."""

    is_plain: bool
    accept_language: str | None
    key: str | None


class FastRedeemMiddleware:
    """Answers simple requests to one path, and passes all others to the application inside.

    Args:
        app: The application inside.
        path: The route's path.
        answer: The route's function.
        services: Returns the services of this process, once it is started.
        defect: Answers a request that failed because of a bug.
    """

    def __init__(
        self, app: ASGIApp, *, path: str, answer: AnswerRedeem, services: Callable[[], Services], defect: AnswerDefect
    ) -> None:
        self.app = app
        self.path = path
        self.answer = answer
        self.services = services
        self.defect = defect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or scope["path"] != self.path or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        asked = _read_headers(scope)
        if not asked.is_plain:
            await self.app(scope, receive, send)
            return
        first = await receive()
        body = _read_body(first)
        if body is None:
            await self.app(scope, _replay(first, receive), send)
            return
        scope["ledger_route"] = self.path
        await self._answer(body, asked, scope, receive, send)

    async def _answer(
        self, body: RedeemRequest, asked: RedeemHeaders, scope: Scope, receive: Receive, send: Send
    ) -> None:
        services = self.services()
        language = pick_language(asked.accept_language, services.settings.default_language)
        try:
            response = await self.answer(services, body, language, caller_of(scope), asked.key)
        except ApplicationError as error:
            scope["ledger_outcome"] = error.code
            status, document, named = problem_answer(error, language, scope.get("ledger_request_id"))
            headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in named.items()]
            await _send(send, status, document, (_PROBLEM, *headers))
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, a client waits for the answer
            await self.defect(error, scope, receive, send)
            return
        response.annotate_scope(scope)
        await _send(send, response.status, response.body, (_JSON, *response.headers))


async def _send(send: Send, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


_JSON = (b"content-type", b"application/json")
_PROBLEM = (b"content-type", MEDIA_TYPE.encode())


def _read_headers(scope: Scope) -> RedeemHeaders:
    """Read the headers. A simple request is JSON of a declared length, with each header at most once."""
    is_json = has_length = False
    language = key = None
    for name, value in scope["headers"]:
        if name == b"content-type":
            is_json = value == b"application/json"
        elif name == b"content-length":
            has_length = True
        elif name == b"accept-language":
            language = value.decode("latin-1")
        elif name == b"idempotency-key":
            if key is not None or len(value) > KEY_LENGTH_MAX:
                return RedeemHeaders(is_plain=False, accept_language=None, key=None)
            key = value.decode("latin-1")
    return RedeemHeaders(is_json and has_length, language, key)


def _read_body(message: Message) -> RedeemRequest | None:
    """Return the request if this message holds all of it and it is well-formed; else None."""
    if message["type"] != "http.request" or message.get("more_body", False):
        return None
    try:
        return RedeemRequest.model_validate_json(message.get("body", b""))
    except ValidationError:
        return None


def _replay(first: Message, receive: Receive) -> Receive:
    """Return a `receive` that returns a message again before it continues."""
    waiting = [first]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again
