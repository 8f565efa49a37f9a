"""The page of refunds after an outage: a time range and a cause, what would be refunded, and the refund with progress.

Each request refunds one batch and shows the progress, so nothing runs in the background: closing the page stops it, and
opening it again continues. The correlation id comes from the form, so a request sent twice is one action.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.schemas.parsing import parse_number, parse_optional, parse_time
from api.use_cases.refund_outage import REFUND_BATCH, AffectedReservation, OutageWindow, find_affected, refund_affected
from api.web.forms import new_nonce, request_id_from_nonce
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.rendering import support_page
from api.web.staff_auth.sessions import Support, SupportContextDep, SupportRoute, SupportWithForm
from api.web.staff_auth.staff import Staff
from api.web.support.actions.notes import NOTE_LENGTH_MAX
from api.web.support.view_models import build_cards
from domain.values.number_bounds import POSITIONS

SHOWN_MAX: Final = 25
WORD_LENGTH_MAX: Final = 200
DAY: Final = timedelta(days=1)
WINDOW_FIELDS: Final = ("start", "end", "include", "channel", "server")

router = APIRouter(prefix="/support/outage", route_class=SupportRoute)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """The outage that the form describes: when, which channel, and which server."""

    start: datetime
    end: datetime
    include_sent: bool
    channel: str
    server: str

    @property
    def window(self) -> OutageWindow:
        """The time range as the search uses it."""
        return OutageWindow(start=self.start, end=self.end, channel=self.channel or None, server=self.server or None)

    def fields(self) -> list[tuple[str, str]]:
        """Return the fields that a form carries along."""
        sent = [("include", "sent")] if self.include_sent else []
        return [
            ("start", self.start.isoformat()),
            ("end", self.end.isoformat()),
            *sent,
            ("channel", self.channel),
            ("server", self.server),
        ]


@router.get("")
def look(
    request: Request,
    support: SupportContextDep,
    staff: Support,
    start: Annotated[str, Query(max_length=40)] = "",
    end: Annotated[str, Query(max_length=40)] = "",
    include: Annotated[str, Query(max_length=4)] = "",
    channel: Annotated[str, Query(max_length=WORD_LENGTH_MAX)] = "",
    server: Annotated[str, Query(max_length=WORD_LENGTH_MAX)] = "",
) -> Response:
    """Show the form and the affected reservations. Nothing is changed."""
    outage = _outage(support, start, end, include, channel, server)
    view = _view_affected(support, outage) if start and _is_window(outage) else {}
    is_wrong = bool(start) and not _is_window(outage)
    status = 422 if is_wrong else 200
    return _page(request, staff, outage, status=status, is_wrong=is_wrong, nonce=new_nonce(), **view)


@router.post("")
async def undo(request: Request, support: SupportContextDep, staff: SupportWithForm) -> Response:
    """Refund one batch, and show the progress."""
    form = {name: text for name, text in (await request.form()).items() if isinstance(text, str)}
    outage = _outage(support, *(form.get(name, "")[:WORD_LENGTH_MAX] for name in WINDOW_FIELDS))
    note, nonce, done = (
        form.get("note", ""),
        form.get("nonce", ""),
        parse_number("done", form.get("done") or "0", POSITIONS),
    )
    if not _is_window(outage) or request_id_from_nonce(nonce) is None:
        raise ApplicationError("MALFORMED")
    if not 0 < len(note.strip()) <= NOTE_LENGTH_MAX:
        view = await support.services.run_blocking(_view_affected, support, outage)
        return _page(request, staff, outage, status=422, is_reason_missing=True, nonce=nonce, **view)
    progress = await support.services.run_blocking(_step, support, staff, outage, note, nonce, done)
    return _page(request, staff, outage, nonce=nonce, note=note.strip(), **progress)


def _step(support: SupportContext, staff: Staff, outage: Outage, note: str, nonce: str, done: int) -> dict[str, Any]:
    affected = list(find_affected(support.reader, outage.window, include_sent=outage.include_sent))
    caller, batch = staff.caller(request_id_from_nonce(nonce)), affected[:REFUND_BATCH]
    refunded = refund_affected(
        support.services,
        caller,
        batch,
        _correlation(nonce),
        outage.window.as_request(include_sent=outage.include_sent),
        # The reason concerns no single code, so it is in the audit log, under the correlation id of the refunds.
        reason=note.strip() if done == 0 else "",
        uses=len(affected),
    )
    return {"given_back": done + refunded, "remaining": len(affected) - len(batch)}


def _page(request: Request, staff: Staff, outage: Outage, *, status: int = 200, **context: Any) -> Response:
    defaults: dict[str, Any] = {
        "is_wrong": False,
        "is_reason_missing": False,
        "note": "",
        "affected": None,
        "given_back": None,
        "remaining": 0,
        "note_length_max": NOTE_LENGTH_MAX,
        "word_length_max": WORD_LENGTH_MAX,
    }
    return support_page(request, "outage.html", staff, status=status, outage=outage, **{**defaults, **context})


def _view_affected(support: SupportContext, outage: Outage) -> dict[str, Any]:
    affected = list(find_affected(support.reader, outage.window, include_sent=outage.include_sent))
    now = support.services.now()
    shown_ids = [reservation.reservation_id for reservation in affected[:SHOWN_MAX]]
    cards = build_cards(support.reader, support.reader.list_summaries(shown_ids), now)
    return {
        "affected": affected,
        "cards": cards,
        "by_state": _counted(affected),
        "codes": len({reservation.code_id for reservation in affected}),
    }


def _counted(affected: list[AffectedReservation]) -> dict[str, int]:
    return dict(Counter(reservation.state for reservation in affected))


def _outage(support: SupportContext, start: str, end: str, include: str, channel: str, server: str) -> Outage:
    now = support.services.now().astimezone(UTC).replace(microsecond=0)
    return Outage(
        start=parse_optional(parse_time, "start", start) or now - DAY,
        end=parse_optional(parse_time, "end", end) or now,
        include_sent=include == "sent",
        channel=channel.strip(),
        server=server.strip(),
    )


def _is_window(outage: Outage) -> bool:
    return outage.start < outage.end


def _correlation(nonce: str) -> UUID:
    return UUID(bytes=hashlib.sha256(b"outage\0" + nonce.encode()).digest()[:16], version=4)
