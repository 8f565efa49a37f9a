"""The pages over made-up answers: no ledger, no database."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal
from uuid import UUID

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.testclient import TestClient
from starlette.exceptions import HTTPException

from api.i18n.messages import refusal_detail, refusal_title, state_message
from api.web.public import (
    AcceptAnswer,
    PageDeps,
    RedeemAnswer,
    RefusalAnswer,
    StatusView,
    build_pages,
    error_page,
    mount_static,
    wants_html,
)
from api.web.public.visitor import Visitor
from domain.events import RefundCause
from domain.model.reservation import PublicState
from domain.ports import Language

AT: Final = datetime(2026, 11, 25, 14, 2, 11, tzinfo=UTC)
RESERVATION: Final = UUID("3f2a9c01-7b6e-4d18-85aa-19c2d04e7703")
GOOD_TOKEN: Final = "good-token"


def status_view(
    state: PublicState, language: Language, cause: RefundCause | None = None, next_attempt_at: datetime | None = None
) -> StatusView:
    """A reservation in this state."""
    sent_at = AT + timedelta(seconds=1) if state == "sent" else None
    return StatusView(
        reservation_id=RESERVATION,
        state=state,
        message=state_message(state, language, cause=cause, sent_at=sent_at),
        detail_code=cause,
        masked_email="l***@example.com",
        group="Design",
        reserved_at=AT,
        deadline=AT + timedelta(minutes=30),
        next_attempt_at=next_attempt_at,
        sent_at=sent_at,
        refunded_at=AT + timedelta(seconds=2) if state == "refunded" else None,
    )


@dataclass
class StubUseCases:
    """Answers as set, and what was asked.

    Attributes:
        refusal: Code that a redeem is refused with; None to accept it.
        created: Whether an accepted redeem made its reservation.
        state: State of the one reservation there is, with `cause`, `next_attempt_at` and other times.
        is_away: The database does not answer.
        asked: E-mail, code, language and visitor of each redeem.
        corrected: Reservation, e-mail, code and language of each correction.
        moved: Reservation, code, group and language of each move.
        token: Correction token of the reservation, for the request that made it.
        target: Where an accepted invitation leads to.
        accepted: Tokens of the links that were accepted.
        looked: Who asked for the status.
    """

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
    is_away: bool = False
    asked: list[tuple[str, str, Language, Visitor]] = field(default_factory=list)
    corrected: list[tuple[UUID, str, str, Language]] = field(default_factory=list)
    moved: list[tuple[UUID, str, str, Language]] = field(default_factory=list)
    token: str | None = None
    target: str | None = None
    accepted: list[str] = field(default_factory=list)
    looked: list[Visitor] = field(default_factory=list)

    async def redeem(self, email: str, code: str, language: Language, visitor: Visitor) -> RedeemAnswer | RefusalAnswer:
        """As set."""
        self.asked.append((email, code, language, visitor))
        if self.refusal is None:
            return RedeemAnswer(
                reservation_id=RESERVATION,
                message="",
                state=self.state,
                created=self.created,
                correction_token=self.token if self.created else None,
            )
        return RefusalAnswer(
            code=self.refusal,
            title=refusal_title(self.refusal, language),
            detail=refusal_detail(self.refusal, language),
            retry_after_s=self.retry_after_s,
        )

    async def correct(
        self, reservation_id: UUID, email: str, code: str, language: Language, visitor: Visitor
    ) -> RedeemAnswer | RefusalAnswer:
        """As set."""
        self.corrected.append((reservation_id, email, code, language))
        return await self.redeem(email, code, language, visitor)

    async def move(
        self, reservation_id: UUID, code: str, group: str, language: Language, visitor: Visitor
    ) -> RedeemAnswer | RefusalAnswer:
        """Note what was asked for; answer as for a redeem."""
        self.moved.append((reservation_id, code, group, language))
        return await self.redeem("li.wei@example.com", code, language, visitor)

    async def status(self, reservation_id: UUID, language: Language, visitor: Visitor) -> StatusView | None:
        """The one reservation."""
        self.looked.append(visitor)
        if self.is_away:
            raise HTTPException(503)
        if reservation_id != RESERVATION:
            return None
        view = status_view(self.state, language, self.cause, self.next_attempt_at)
        return replace(
            view,
            may_correct=self.may_correct,
            sent_at=self.sent_at or view.sent_at,
            accepted_at=self.accepted_at,
            access_ended_at=self.access_ended_at,
        )

    async def look_at_link(self, token: str) -> AcceptAnswer:
        """One token is good."""
        state: Literal["open", "accepted"] = "accepted" if self.accepted else "open"
        return AcceptAnswer(state=state if token == GOOD_TOKEN else "invalid", group="Design", target=self.target)

    async def accept(self, token: str) -> AcceptAnswer:
        """Keep which token was accepted."""
        self.accepted.append(token)
        return await self.look_at_link(token)


def client_of(use_cases: StubUseCases, mailbox: Path | None = None) -> TestClient:
    """A browser in front of the pages; redirects are shown, not followed."""
    app = FastAPI()
    deps = PageDeps(
        redeem=use_cases.redeem,
        correct=use_cases.correct,
        move=use_cases.move,
        status=use_cases.status,
        look_at_link=use_cases.look_at_link,
        accept=use_cases.accept,
        mailbox=mailbox,
        default_language="zh",
        kept_s=3600,
    )
    app.include_router(build_pages(deps))
    mount_static(app)

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        if not wants_html(request):
            return JSONResponse({}, error.status_code)
        code = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 503: "UNAVAILABLE"}.get(error.status_code, "INTERNAL")
        return error_page(request, error.status_code, code, "zh")

    return TestClient(app, follow_redirects=False, headers={"Accept": "text/html"})
