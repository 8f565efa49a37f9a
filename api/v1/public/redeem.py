"""The public routes: redeem a code, and read the result."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Header, Request
from fastapi.responses import Response, StreamingResponse
from msgspec import Struct
from starlette.types import Scope

from api.errors import ApplicationError
from api.http.blocking_route import BlockingRoute
from api.http.dependencies import TheLanguage, TheServices, caller_of, client_ip_of
from api.http.openapi import STREAMED, problem_responses
from api.http.problems import HttpError
from api.http.server.stream_slots import SlotStreamingResponse, StreamSlots
from api.i18n.languages import LANGUAGES
from api.i18n.messages import refusal_detail, state_message
from api.rate_limits.headers import limit_headers
from api.schemas.corrections import CorrectionRequest
from api.schemas.resources import RedeemRequest, RedemptionView, WaitingRequest, WaitingView
from api.use_cases.lookups.repeated_redeem import find_repeat_refusal
from api.use_cases.redeem import Redemption, correct_own_recipient
from api.use_cases.redeem import redeem as redeem_code
from api.use_cases.services import Caller, Services
from api.use_cases.waiting_lists.places import join
from domain.commands.campaign.waiting_list import JoinWaitingList
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.reserve import ReserveUse
from domain.model.reservation import Reservation
from domain.ports import Language

ACCEPTED = 202
"""Status of a redeem that made a reservation."""
PATH = "/api/v1/public/redeem"
router = APIRouter(route_class=BlockingRoute, prefix="/api/v1/public", tags=["public"])

STREAM_S_MAX = 300
STREAM_POLL_S = 0.3

REDEEM_PROBLEMS = problem_responses(
    "BODY_TOO_LARGE",
    "MALFORMED",
    "EMAIL_INVALID",
    "CODE_MALFORMED",
    ReserveUse,
    "UNAVAILABLE",
    "OVERLOADED",
    status_413="BODY_TOO_LARGE: more than 64 KB.",
    status_429="RATE_LIMITED, with Retry-After: too many codes that do not exist. Native codes are never limited by "
    "the requests of other clients.",
)
REDEEM_PROBLEMS[400]["content"] = {
    "application/problem+json": {
        "example": {
            "type": "urn:redemption-ledger:code-exhausted",
            "title": "兑换码已用完",
            "status": 400,
            "detail": "兑换码已用完",
            "code": "CODE_EXHAUSTED",
        }
    }
}
REDEEM_PROBLEMS[429]["headers"] = {
    "RateLimit": {"schema": {"type": "string"}, "description": "Remaining quota; also on other responses."},
    "RateLimit-Policy": {"schema": {"type": "string"}, "description": "Quotas of unknown codes, by client IP address."},
}


class RedeemResponse(Struct, frozen=True):
    """A status and a JSON body, and the id of the reservation for the log."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    reservation_id: str

    def annotate_scope(self, scope: Scope) -> None:
        """Store in the request's scope what its log line says."""
        scope["ledger_reservation_id"] = self.reservation_id
        scope["ledger_outcome"] = "accepted" if self.status == ACCEPTED else "known"


def view(
    reservation: Reservation, language: Language, *, created: bool = True, refused: str | None = None
) -> dict[str, object]:
    """Return a reservation as its recipient may see it; `refused` says why its code can't be redeemed again."""
    state, name = reservation.public_state, str(reservation.reservation_id)
    return {
        "success": reservation.status != "refunded",
        "message": state_message(
            state,
            language,
            cause=reservation.refund_cause,
            sent_at=reservation.sent_at,
            created=created,
            refused=refused,
        ),
        "reservation_id": name,
        "state": state,
        "detail_code": reservation.refund_cause,
        "status_url": f"/r/{name}",
    }


def redemption_view(redemption: Redemption, language: Language) -> dict[str, object]:
    """Return the answer to the client that asked for a reservation; only the client that made it gets the token."""
    shown = view(redemption.reservation, language, created=redemption.created)
    if redemption.correction_token is not None:
        shown["correction_token"] = redemption.correction_token
    return shown


def redemption_response(redemption: Redemption, language: Language) -> Response:
    """Return the HTTP answer to a client that asked for a reservation: 202 if the request made it, else 200."""
    status = ACCEPTED if redemption.created else 200
    return json_response(redemption_view(redemption, language), status, {"Content-Language": language})


def json_response(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON response, written by orjson, which knows UUIDs and times."""
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


@router.post(
    "/redeem",
    status_code=202,
    response_model=RedemptionView,
    responses={
        200: {"model": RedemptionView, "description": "This email address has this reservation already."},
        **REDEEM_PROBLEMS,
    },
    summary="Redeem a code for an email address",
)
async def redeem(
    body: RedeemRequest,
    request: Request,
    services: TheServices,
    language: TheLanguage,
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> Response:
    """Reserves one use and sends the invitation.

    The same code and email address always return the same pending reservation.
    """
    caller = caller_of(request.scope)
    try:
        redemption = await redeem_code(
            services, caller, body.email, body.code, language=language, again=body.again, key=idempotency_key
        )
    except ApplicationError as error:
        raise with_limits(services, caller, error) from error
    shown = redeem_response(services, caller, redemption, language)
    shown.annotate_scope(request.scope)
    response = Response(shown.body, shown.status, media_type="application/json")
    response.raw_headers.extend(shown.headers)
    return response


def redeem_response(services: Services, caller: Caller, redemption: Redemption, language: Language) -> RedeemResponse:
    """Return the response to a redeem request, for the route above and for the direct path."""
    shown = redemption_view(redemption, language)
    status = ACCEPTED if redemption.created else 200
    headers = (_CONTENT_LANGUAGE[language], *limit_headers(services.guard, caller.client_ip))
    return RedeemResponse(status, orjson.dumps(shown), headers, str(shown["reservation_id"]))


def with_limits(services: Services, caller: Caller, error: ApplicationError) -> ApplicationError:
    """Return the error of a redeem request with the headers of the rate limits."""
    limits = {name.decode(): value.decode() for name, value in limit_headers(services.guard, caller.client_ip)}
    return HttpError.with_headers(error, limits)


_CONTENT_LANGUAGE = {language: (b"content-language", language.encode()) for language in LANGUAGES}


@router.post(
    "/waiting-list",
    responses={
        **problem_responses("MALFORMED", "EMAIL_INVALID", "CODE_MALFORMED", JoinWaitingList, "UNAVAILABLE"),
        429: REDEEM_PROBLEMS[429],
    },
    summary="Add a person to the waiting list of a full campaign",
)
async def join_waiting_list(
    body: WaitingRequest, request: Request, services: TheServices, language: TheLanguage
) -> WaitingView:
    """Gives the person the last place on the waiting list of the code's campaign. A person who waits keeps their place.

    A use that comes back is offered to the person who waits longest, by an email with a deadline. The answer to a
    repeated request names neither the place nor its page: others may know the address.
    """
    place = await join(services, caller_of(request.scope), body.email, body.code, language=language)
    return WaitingView(
        state=place.state,
        ahead=place.ahead if place.token else None,
        status_url=place.path if place.token else None,
    )


@router.post(
    "/redemptions/{reservation_id}/correct-recipient",
    status_code=202,
    response_model=RedemptionView,
    responses={
        200: {"model": RedemptionView, "description": "The address was corrected to this one before."},
        **problem_responses("MALFORMED", "EMAIL_INVALID", "CODE_MALFORMED", CorrectRecipient, "UNAVAILABLE"),
        429: REDEEM_PROBLEMS[429],
    },
    summary="Correct a mistyped email address",
)
async def correct_recipient(
    reservation_id: UUID, body: CorrectionRequest, request: Request, services: TheServices, language: TheLanguage
) -> Response:
    """Moves the use to the right email address, once, before the invitation is accepted. Returns the new reservation.

    Requires the `correction_token` from the 202 response of the redeem request. After the invitation was sent, it is
    possible for one hour (`LEDGER_CORRECT_WITHIN_S`), and again for one hour after its email bounced. Later, support
    can correct the address.
    """
    caller = caller_of(request.scope)
    redemption = await correct_own_recipient(
        services, caller, reservation_id, body.email, body.code, token=body.correction_token
    )
    return redemption_response(redemption, language)


@router.get(
    "/redemptions/{reservation_id}",
    response_model=RedemptionView,
    responses=problem_responses("NOT_FOUND", "MALFORMED", "UNAVAILABLE"),
    summary="Get the status of a redemption",
)
def redemption(reservation_id: UUID, services: TheServices, language: TheLanguage) -> Response:
    """Returns the current state of the reservation."""
    return json_response(_find_view(services, reservation_id, language), 200, {"Content-Language": language})


def _find_view(services: Services, reservation_id: UUID, language: Language) -> dict[str, object]:
    """Return the view of a reservation as it is now.

    Raises:
        ApplicationError: NOT_FOUND, or the database is unavailable.
    """
    reservation = services.reservation(reservation_id)
    error = find_repeat_refusal(services, reservation)
    refused = None if error is None else refusal_detail(error.code, language, **error.facts)
    return view(reservation, language, refused=refused)


@router.get(
    "/redemptions/{reservation_id}/stream",
    response_class=StreamingResponse,
    responses={
        200: STREAMED,
        **problem_responses(
            *("NOT_FOUND", "MALFORMED", "RATE_LIMITED", "OVERLOADED", "UNAVAILABLE"),
            status_429="RATE_LIMITED: too many open streams from this client; poll instead.",
        ),
    },
    summary="Follow the status of a redemption as server-sent events",
)
async def stream(
    reservation_id: UUID, request: Request, services: TheServices, language: TheLanguage
) -> StreamingResponse:
    """Sends the reservation immediately and when its state changes. Ends when it is settled, or after 5 minutes.

    `data` of each message is what the status of the redemption returns, as JSON.
    """
    await services.run_blocking(services.reservation, reservation_id)
    streams: StreamSlots = request.app.state.streams
    slot = streams.acquire(None if services.guard is None else client_ip_of(request.scope))
    return SlotStreamingResponse(slot, _changes(reservation_id, services, language))


async def _changes(reservation_id: UUID, services: Services, language: Language) -> AsyncIterator[bytes]:
    last: bytes | None = None
    for _ in range(int(STREAM_S_MAX / STREAM_POLL_S)):
        try:
            shown = await services.run_blocking(_find_view, services, reservation_id, language)
        except ApplicationError:
            return
        data = orjson.dumps(shown)
        if data != last:
            last = data
            yield b"data: " + data + b"\n\n"
        if shown["state"] in {"sent", "refunded"}:
            return
        await asyncio.sleep(STREAM_POLL_S)
