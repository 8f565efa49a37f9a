"""The direct path of POST /redeem: a simple, well-formed request is answered without ASGI and the framework's routing.

Routing, dependencies and validation of a small request cost more CPU than everything the ledger does for it. So nearly
all requests come here from the server's protocol and call what the documented route calls too. Every other request,
malformed ones included, goes through the route.
"""

from collections.abc import Callable, Sequence
from time import perf_counter

from pydantic import ValidationError
from starlette.types import Scope

from api.errors import ApplicationError
from api.http.dependencies import caller_of
from api.http.middleware import REQUEST_ID, RequestEnvelope
from api.http.problems import MEDIA_TYPE, problem_answer
from api.http.server.direct_route import DirectExchange
from api.i18n.catalogs import pick_language
from api.schemas.json_members import RepeatedMemberError, check_members
from api.schemas.resources import KEY_LENGTH_MAX, RedeemRequest
from api.use_cases.redeem import BegunRedeem, begin_redeem
from api.use_cases.services import Services
from api.v1.public.redeem import PATH, redeem_response, with_limits
from domain.results import Result
from projections.telemetry.loop_counter import LoopCounter
from projections.telemetry.metrics import DIRECT_REQUESTS

_ANSWERED = LoopCounter(DIRECT_REQUESTS)


class DirectRedeem:
    """The direct route of redeem requests; see `api.http.server.direct_route`.

    Args:
        body_bytes_max: Longer bodies go to the application, which refuses them.
        envelope: What every request gets.
        permits_host: Tells whether the API answers a Host header.
        read_forwarded: Reads the headers of trusted proxies into a scope; None without trusted proxies.
        services: Returns the services of this process, once it is started.
        defect: Counts and logs a bug.
    """

    path = PATH

    def __init__(
        self,
        *,
        body_bytes_max: int,
        envelope: RequestEnvelope,
        permits_host: Callable[[bytes], bool],
        read_forwarded: Callable[[Scope], None] | None,
        services: Callable[[], Services],
        defect: Callable[[Exception], None],
    ) -> None:
        self.body_bytes_max = body_bytes_max
        self.envelope = envelope
        self.services = services
        self.defect = defect
        self._permits_host = permits_host
        self._read_forwarded = read_forwarded

    def begin(self, exchange: DirectExchange) -> bool:
        """Begin a redeem; False if the request is not a simple one."""
        started = perf_counter()
        scope = exchange.scope
        headers = scope["headers"]
        fields: dict[bytes, bytes] = dict(headers)
        if not _is_simple(headers, fields) or not self._permits_host(fields[b"host"]):
            return False
        try:
            body = RedeemRequest.model_validate_json(exchange.body)
            if exchange.body.count(b":") > len(body.model_fields_set):
                check_members(exchange.body, None)
        except (ValidationError, RepeatedMemberError):
            return False
        _ANSWERED.count()
        if self._read_forwarded is not None:
            self._read_forwarded(scope)
        scope["ledger_route"] = self.path
        self.envelope.name_request(scope, fields.get(REQUEST_ID))
        _DirectRequest(self, exchange, started, fields).redeem(body, fields.get(b"idempotency-key"))
        return True


class _DirectRequest:
    """One redeem request. It waits in the group commit in the place of a future."""

    __slots__ = ("_begun", "_caller", "_exchange", "_language", "_route", "_services", "_started")

    _begun: BegunRedeem

    def __init__(
        self, route: DirectRedeem, exchange: DirectExchange, started: float, fields: dict[bytes, bytes]
    ) -> None:
        self._route = route
        self._exchange = exchange
        self._started = started
        self._services = services = route.services()
        self._caller = caller_of(exchange.scope)
        language = fields.get(b"accept-language")
        default = services.settings.default_language
        self._language = default if language is None else pick_language(language.decode("latin-1"), default)

    def redeem(self, body: RedeemRequest, key: bytes | None) -> None:
        """Put the command into the queue of the group commit, or answer with the error that keeps it out."""
        services = self._services
        try:
            self._begun = begin_redeem(
                services,
                self._caller,
                body.email,
                body.code,
                language=self._language,
                again=body.again,
                key=None if key is None else key.decode("latin-1"),
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, a client waits for the answer
            self._fail(error)
            return
        try:
            services.commit.submit(self._begun.command, self)
        except Exception as error:  # noqa: BLE001 - as above
            self.set_exception(error)

    def done(self) -> bool:
        """Return whether the request was answered."""
        return self._exchange.response_complete

    def set_result(self, result: Result) -> None:
        """Answer with what the command led to."""
        self._settle(result)

    def set_exception(self, error: Exception) -> None:
        """Answer with what kept the command from its result."""
        self._settle(error)

    def _settle(self, outcome: Result | Exception) -> None:
        try:
            redemption = self._begun.finish(outcome)
            response = redeem_response(self._services, self._caller, redemption, self._language)
        except Exception as error:  # noqa: BLE001 - whatever it is, a client waits for the answer
            self._fail(error)
            return
        response.annotate_scope(self._exchange.scope)
        self._respond(response.status, response.body, [_JSON, *response.headers])

    def _fail(self, cause: Exception) -> None:
        try:
            self._respond_with_problem(cause)
        except Exception as error:  # noqa: BLE001 - the other requests of the batch wait for their answers too
            self._route.defect(error)
            self._exchange.abort()

    def _respond_with_problem(self, error: Exception) -> None:
        scope, problem = self._exchange.scope, ApplicationError("INTERNAL")
        if isinstance(error, ApplicationError):
            problem = with_limits(self._services, self._caller, error)
        else:
            self._route.defect(error)
        scope["ledger_outcome"] = problem.code
        status, document, named = problem_answer(problem, self._language, scope["ledger_request_id"])
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in named.items()]
        self._respond(status, document, [_PROBLEM, *headers])

    def _respond(self, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        envelope, scope = self._route.envelope, self._exchange.scope
        envelope.complete_headers(scope, headers)
        self._exchange.respond(status, headers, body)
        envelope.log_request(scope, status, perf_counter() - self._started)


_JSON = (b"content-type", b"application/json")
_PROBLEM = (b"content-type", MEDIA_TYPE.encode())


def _is_simple(headers: Sequence[tuple[bytes, bytes]], fields: dict[bytes, bytes]) -> bool:
    """Return whether a request is JSON of a declared length, with each header at most once."""
    return (
        len(fields) == len(headers)
        and fields.get(b"content-type") == b"application/json"
        and b"content-length" in fields
        and b"host" in fields
        and len(fields.get(b"idempotency-key", b"")) <= KEY_LENGTH_MAX
    )
