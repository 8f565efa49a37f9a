"""The page of one code: its balance as a picture and its history as a statement, now or at any moment."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from api.messages import refusal_title
from api.problems import ProblemError
from api.support.access import Staff, SupportRoute, TheDesk, Viewer
from api.support.desk import Desk
from api.support.picture import picture_of
from api.support.rendering import language_of, support_page
from api.support.unmasking import unmasked_until
from api.support.views import LineView, kind_name, line_views, masked, staff_ids, state_name
from domain import reservation
from domain.events import EVENT_TYPES, Event, ReservationEvent, UseReserved
from domain.ports import Language
from domain.redeem_code import RedeemCode
from domain.values import shown_code
from projections.codec import topics_of
from projections.statements import StatementLine

LINES_PER_PAGE: Final = 25
GROUPS_PER_PAGE: Final = 8
REFUSALS_SHOWN: Final = 20
VERSION_MAX: Final = 2**62

KINDS: Final[dict[str, type[Event]]] = {kind.__name__: kind for kind in EVENT_TYPES}

router = APIRouter(prefix="/support/codes", route_class=SupportRoute)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What of a code is asked for. `place` is where the page before this one ended."""

    code_id: UUID
    as_of: datetime | None
    newest_first: bool
    kind: str | None
    reservation_id: UUID | None
    is_grouped: bool
    place: int | None

    @property
    def is_live(self) -> bool:
        """Whether new events belong on top of this page."""
        plain = self.as_of is None and self.kind is None and self.reservation_id is None and self.place is None
        return plain and self.newest_first and not self.is_grouped

    def query(self, **changes: object) -> str:
        """The address of this page with something changed; the page's place is kept only if it is said."""
        words: dict[str, Any] = {
            "as_of": self.as_of.isoformat() if self.as_of else None,
            "order": None if self.newest_first else "oldest",
            "kind": self.kind,
            "reservation": self.reservation_id,
            "group": "yes" if self.is_grouped else None,
            **changes,
        }
        return "?" + urlencode({name: word for name, word in words.items() if word is not None})


class Asked(BaseModel):
    """The address's query, as forms and links write it."""

    as_of: Annotated[str, Field(max_length=40)] = ""
    at_event: Annotated[int | None, Field(ge=1, le=VERSION_MAX)] = None
    order: Annotated[str, Field(max_length=10)] = "newest"
    kind: Annotated[str, Field(max_length=40)] = ""
    reservation: Annotated[str, Field(max_length=40)] = ""
    group: Annotated[str, Field(max_length=3)] = ""
    place: Annotated[int | None, Field(ge=0, le=VERSION_MAX)] = None

    def wish(self, code_id: UUID) -> Wish:
        """What is asked for.

        Raises:
            ProblemError: MALFORMED, a moment or an id can't be read.
        """
        return Wish(
            code_id=code_id,
            as_of=_moment(self.as_of),
            newest_first=self.order != "oldest",
            kind=self.kind if self.kind in KINDS else None,
            reservation_id=_uuid(self.reservation),
            is_grouped=self.group == "yes" and not self.reservation,
            place=self.place,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One reservation's lines."""

    reservation_id: UUID
    address: str | None
    state: str
    lines: list[LineView]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The lines of a page, in its order, and where the next page goes on."""

    lines: list[StatementLine]
    groups: dict[UUID, list[int]]
    next: int | None


@router.get("/{code_id}")
async def code_page(
    request: Request, desk: TheDesk, staff: Viewer, code_id: UUID, asked: Annotated[Asked, Query()]
) -> Response:
    """The statement."""
    wish, at_event = asked.wish(code_id), asked.at_event
    if at_event is not None:
        at = await desk.services.read(lambda: _at_of(desk, code_id, at_event))
        return RedirectResponse(wish.query(as_of=at.isoformat()), 303)
    language = language_of(request)
    view = await desk.services.read(lambda: _view(desk, wish, staff, language))
    return support_page(request, "code.html", staff, wish=wish, **view)


@router.get("/{code_id}/version")
async def version(desk: TheDesk, _: Viewer, code_id: UUID) -> Response:
    """How many events there are: an open page asks again and again, so this is one row."""
    head = await desk.services.read(lambda: desk.statements.head(code_id))
    return JSONResponse({"version": head}, headers={"Cache-Control": "no-store"})


def _view(desk: Desk, wish: Wish, staff: Staff, language: Language) -> dict[str, Any]:
    """Everything that the page shows."""
    now, statements = desk.services.now(), desk.statements
    head = statements.head(wish.code_id)
    if head == 0:
        raise ProblemError("NOT_FOUND")
    moment = wish.as_of or now
    until = head if wish.as_of is None else statements.version_at(wish.code_id, wish.as_of)
    code = statements.code_at(wish.code_id, until)
    issued = code or statements.code_at(wish.code_id, 1)
    if issued is None:
        raise ProblemError("NOT_FOUND")
    found = _lines(desk, wish, until)
    lines = _shown(desk, found.lines, language)
    shown_until = unmasked_until(desk, staff, "unmasked_code", wish.code_id, now)
    return {
        "head": head,
        "until": until,
        "moment_at": moment,
        "code": code,
        "picture": picture_of(code) if code else None,
        "state": state_name(code, moment, language) if code else None,
        "owner": _owner(desk, code),
        "hint": desk.find.hint(wish.code_id),
        "text": shown_code(desk.find.code_text(wish.code_id) or "") if shown_until else None,
        "shown_until": shown_until,
        "issued_at": issued.issued_at,
        "lines": lines,
        "groups": _groups(desk, wish, found, lines, until),
        "next": found.next,
        "refusals": _refusals(desk, wish.code_id, moment, language),
        "kinds": [(name, kind_name(name, language)) for name in KINDS],
    }


def _lines(desk: Desk, wish: Wish, until: int) -> Found:
    statements = desk.statements
    if wish.reservation_id is not None:
        return _lines_of_reservation(desk, wish, wish.reservation_id, until)
    kind = UseReserved if wish.is_grouped else KINDS[wish.kind] if wish.kind else None
    limit = GROUPS_PER_PAGE if wish.is_grouped else LINES_PER_PAGE
    versions = statements.versions(
        wish.code_id,
        until=until,
        place=wish.place,
        newest_first=wish.newest_first,
        limit=limit + 1,
        topics=topics_of(kind) if kind else None,
    )
    page = versions[:limit]
    following = page[-1] if len(versions) > limit else None
    if wish.is_grouped:
        return _lines_of_groups(desk, wish, page, until, following)
    return Found(lines=statements.lines(wish.code_id, page), groups={}, next=following)


def _lines_of_groups(desk: Desk, wish: Wish, page: list[int], until: int, following: int | None) -> Found:
    """All lines of the reservations that were opened by these events, as far as they fit a page."""
    opened = [(line.version, line.event) for line in desk.statements.lines(wish.code_id, page)]
    ids = {version: event.reservation_id for version, event in opened if isinstance(event, UseReserved)}
    histories = desk.find.reservation_events(list(ids.values()))
    groups: dict[UUID, list[int]] = {}
    last = 0
    for version, key in ids.items():
        own = [each for each, _ in histories[key].events if each <= until]
        if groups and sum(map(len, groups.values())) + len(own) > LINES_PER_PAGE:
            following = last
            break
        groups[key], last = own, version
    wanted = [version for own in groups.values() for version in own]
    return Found(lines=desk.statements.lines(wish.code_id, wanted), groups=groups, next=following)


def _lines_of_reservation(desk: Desk, wish: Wish, reservation_id: UUID, until: int) -> Found:
    """All events of one reservation: they are few."""
    known = desk.statements.versions_of_reservation(reservation_id)
    if known is None or known[0] != wish.code_id:
        return Found(lines=[], groups={}, next=None)
    versions = sorted((version for version in known[1] if version <= until), reverse=wish.newest_first)
    return Found(lines=desk.statements.lines(wish.code_id, versions), groups={}, next=None)


def _shown(desk: Desk, lines: list[StatementLine], language: Language) -> list[LineView]:
    ids = list({line.event.reservation_id for line in lines if isinstance(line.event, ReservationEvent)})
    addresses: dict[UUID, str | None] = dict(desk.find.addresses(ids)) if ids else {}
    people = desk.staff.addresses_of_staff(staff_ids(line.event for line in lines))
    return line_views(lines, language, addresses, {str(key): address for key, address in people.items()})


def _groups(desk: Desk, wish: Wish, found: Found, lines: list[LineView], until: int) -> list[Group]:
    """The page's lines by reservation, each with its state at that moment."""
    by_version = {line.version: line for line in lines}
    histories = desk.find.reservation_events(list(found.groups)) if found.groups else {}
    groups = []
    for key, versions in found.groups.items():
        events = [(version, event) for version, event in histories[key].events if version <= until]
        item = reservation.fold(wish.code_id, events)
        own = [by_version[version] for version in versions]
        groups.append(Group(reservation_id=key, address=own[0].address, state=item.public_state, lines=own))
    return groups


def _owner(desk: Desk, code: RedeemCode | None) -> str | None:
    return masked(desk.find.recipient_address(code.owner_id)) if code and code.owner_id else None


def _refusals(desk: Desk, code_id: UUID, until: datetime, language: Language) -> list[dict[str, Any]]:
    """Refused tries: the answer to "why did my code not work?"."""
    return [
        {"at": row.at, "reason": refusal_title(row.reason, language), "address": masked(row.address)}
        for row in desk.find.refusals(code_id, until, REFUSALS_SHOWN)
    ]


def _at_of(desk: Desk, code_id: UUID, at_event: int) -> datetime:
    """When an event took effect; the last one if there are fewer."""
    version = min(at_event, desk.statements.head(code_id))
    lines = desk.statements.lines(code_id, [version])
    if not lines:
        raise ProblemError("NOT_FOUND")
    return lines[0].event.at


def _moment(text: str) -> datetime | None:
    """A moment as the address or the form writes it, UTC unless it says otherwise; None for now."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as bad:
        raise ProblemError("MALFORMED") from bad


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError as bad:
        raise ProblemError("MALFORMED") from bad
