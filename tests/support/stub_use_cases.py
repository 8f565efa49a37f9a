"""The pages over made-up answers: no ledger, no database."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Literal, Self, TypeVar, cast
from uuid import UUID

import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.testclient import TestClient
from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

from api.errors import ApplicationError
from api.http.problems import status_of
from api.i18n.messages import state_message
from api.settings import ApiSettings
from api.use_cases.heavy_reads import HeavyReads
from api.use_cases.redeem import Redemption
from api.use_cases.services import Caller
from api.web.errors import error_page, wants_html
from api.web.public import mailbox as mailbox_pages
from api.web.public.accept import InvitationLink
from api.web.public.router import include_pages
from api.web.public.status_view import StatusView
from api.web.public.visitor import Visitor
from api.web.static_files import mount_static
from domain.events.event import REPEATABLE_CAUSES, RefundCause
from domain.model.reservation import PublicState, Reservation
from domain.ports import Language

T = TypeVar("T")
AT: Final = datetime(2026, 11, 25, 14, 2, 11, tzinfo=UTC)
RESERVATION: Final = UUID("3f2a9c01-7b6e-4d18-85aa-19c2d04e7703")
GOOD_TOKEN: Final = "good-token"


def status_view(
    state: PublicState, language: Language, cause: RefundCause | None = None, next_attempt_at: datetime | None = None
) -> StatusView:
    sent_at = AT + timedelta(seconds=1) if state == "sent" else None
    return StatusView(
        reservation_id=RESERVATION,
        state=state,
        message=state_message(state, language, cause=cause, sent_at=sent_at),
        detail_code=cause,
        may_repeat=cause in REPEATABLE_CAUSES,
        email="l***@example.com",
        group="Design",
        reserved_at=AT,
        deadline=AT + timedelta(minutes=30),
        next_attempt_at=next_attempt_at,
        sent_at=sent_at,
        refunded_at=AT + timedelta(seconds=2) if state == "refunded" else None,
    )


def make_settings(**values: Any) -> ApiSettings:
    """Return settings without a check, in which everything that is required may be missing."""
    return ApiSettings.model_construct(None, **values)


@dataclass
class StubUseCases:
    """Answers as set, and what was asked.

    Attributes:
        refusal: Code that a redeem is refused with; None to accept it.
        created: Whether an accepted redeem made its reservation.
        state: State of the one reservation there is, with `cause`, `next_attempt_at` and other times.
        successor: The reservation with the corrected address.
        is_unavailable: The database does not answer.
        asked: Email, code, language and visitor of each redeem.
        corrected: Reservation, email and code of each correction.
        moved: Email, code and group of each move.
        token: Correction token of the reservation, for the request that made it.
        target: Where an accepted invitation leads to.
        accepted: Tokens of the links that were accepted.
        looked: Who asked for the status.
        codes: Texts of the codes that exist.
    """

    settings: ApiSettings = field(default_factory=make_settings)
    heavy_reads: HeavyReads = field(default_factory=HeavyReads)
    refusal: str | None = None
    retry_after_s: int | None = None
    created: bool = True
    state: PublicState = "reserved"
    cause: RefundCause | None = None
    next_attempt_at: datetime | None = None
    sent_at: datetime | None = None
    accepted_at: datetime | None = None
    access_ended_at: datetime | None = None
    may_correct: bool = True
    successor: UUID | None = None
    is_unavailable: bool = False
    asked: list[tuple[str, str, Language, Visitor]] = field(default_factory=list)
    corrected: list[tuple[UUID, str, str]] = field(default_factory=list)
    moved: list[tuple[str, str, str]] = field(default_factory=list)
    token: str | None = None
    target: str | None = None
    accepted: list[str] = field(default_factory=list)
    looked: list[Visitor] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)

    async def redeem(self, _: object, caller: Caller, email: str, code: str, *, language: Language) -> Redemption:
        self.asked.append((email, code, language, Visitor(caller.request_id, caller.client_ip)))
        return self._answer()

    async def correct(
        self, _: object, __: Caller, reservation_id: UUID, email: str, code: str, **___: object
    ) -> Redemption:
        self.corrected.append((reservation_id, email, code))
        return self._answer()

    async def rebind(self, _: object, __: Caller, email: str, code: str, group: str, **___: object) -> Redemption:
        self.moved.append((email, code, group))
        return self._answer()

    def _answer(self) -> Redemption:
        if self.refusal is not None:
            raise ApplicationError(self.refusal, retry_after_s=self.retry_after_s)
        reservation = cast("Reservation", SimpleNamespace(reservation_id=RESERVATION))
        return Redemption(reservation, self.created, self.token if self.created else None)

    async def run_blocking(self, function: Callable[..., T], *args: object) -> T:
        return function(*args)

    def find_email_addresses(self, ids: list[UUID]) -> dict[UUID, str]:
        return dict.fromkeys(ids, "li.wei@example.com")

    def find_possible_codes(self, typed: list[str]) -> list[UUID | None]:
        return [RESERVATION if text in self.codes else None for text in typed]

    @property
    def reader(self) -> Self:
        return self

    def find_status_view(self, _: object, typed_id: str, language: Language, visitor: Visitor) -> StatusView | None:
        self.looked.append(visitor)
        if self.is_unavailable:
            raise ApplicationError("UNAVAILABLE", retry_after_s=2)
        if typed_id != str(RESERVATION):
            return None
        view = status_view(self.state, language, self.cause, self.next_attempt_at)
        return replace(
            view,
            may_correct=self.may_correct,
            successor=self.successor,
            sent_at=self.sent_at or view.sent_at,
            accepted_at=self.accepted_at,
            access_ended_at=self.access_ended_at,
        )

    def find_invitation(self, _: object, token: str) -> InvitationLink:
        """Return an invitation for the one token that is good."""
        state: Literal["open", "accepted"] = "accepted" if self.accepted else "open"
        return InvitationLink(state=state if token == GOOD_TOKEN else "invalid", group="Design", target=self.target)

    async def accept_invitation(self, _: object, token: str) -> InvitationLink:
        self.accepted.append(token)
        return self.find_invitation(_, token)


@cache
def build_page_routes() -> Sequence[BaseRoute]:
    """The routes of the public pages, which FastAPI prepares once for all tests."""
    router = APIRouter()
    include_pages(router)
    return router.routes


def client_of(use_cases: StubUseCases, monkeypatch: pytest.MonkeyPatch, mailbox: Path | None = None) -> TestClient:
    """A browser in front of the pages; redirects are shown, not followed."""
    public = "api.web.public"
    for module in ("status", "reservation_forms"):
        monkeypatch.setattr(f"{public}.{module}.find_status_view", use_cases.find_status_view)
    monkeypatch.setattr(f"{public}.invite.redeem", use_cases.redeem)
    monkeypatch.setattr(f"{public}.reservation_forms.correct_own_recipient", use_cases.correct)
    monkeypatch.setattr(f"{public}.reservation_forms.rebind_own_access", use_cases.rebind)
    monkeypatch.setattr(f"{public}.accept.find_invitation", use_cases.find_invitation)
    monkeypatch.setattr(f"{public}.accept.accept_invitation", use_cases.accept_invitation)
    use_cases.settings = make_settings(secret_key=SecretStr("test-secret-key"), mailbox=mailbox)
    app = FastAPI()
    app.state.services = use_cases
    app.router.routes.extend(build_page_routes())
    if mailbox is not None:
        app.include_router(mailbox_pages.build_router(mailbox, use_cases.settings.default_language))
    mount_static(app)

    @app.exception_handler(ApplicationError)
    async def on_error(request: Request, error: ApplicationError) -> Response:
        return error_page(request, status_of(error.code), error.code, "zh")

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        if not wants_html(request):
            return JSONResponse({}, error.status_code)
        code = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 503: "UNAVAILABLE"}.get(error.status_code, "INTERNAL")
        return error_page(request, error.status_code, code, "zh")

    return TestClient(app, follow_redirects=False, headers={"Accept": "text/html"})
