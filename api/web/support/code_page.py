"""The page of one code: its balance as a picture and its history as a statement, now or at any moment."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from api.errors import ApplicationError
from api.i18n.messages import refusal_title
from api.web.staff_auth.context import Desk
from api.web.staff_auth.rendering import language_of, support_page
from api.web.staff_auth.sessions import ActingViewer, Staff, SupportRoute, TheDesk, Viewer, new_nonce
from api.web.support.actions.commands import DONE, TYPED_LENGTH_MAX, ActionForm, Ask, about_code, acts_of_code
from api.web.support.actions.notes import NOTE_LENGTH_MAX
from api.web.support.actions.preview import Preview, glance
from api.web.support.actions.unmask import unmasked_until
from api.web.support.balance_bar import picture_of
from api.web.support.statement_query import KINDS, Asked, Wish
from api.web.support.view_models import LineView, kind_name, line_views, masked, note_ids, staff_ids, state_name
from domain.commands.context import CommandContext
from domain.events import RebindReserved, ReservationEvent, ReservationStarted, UseReserved
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import fold_reservation
from domain.ports import Language
from domain.values.identifiers import EmailAddress, MalformedEmailError, format_code
from projections.event_store.codec import topics_of
from projections.read_models.statements import HistoryQuery, StatementEntry

LINES_PER_PAGE: Final = 25
GROUPS_PER_PAGE: Final = 8
REFUSALS_SHOWN: Final = 20
OPENING: Final = (UseReserved, RebindReserved)
"""Types of the events that begin a reservation."""
TICK: Final = timedelta(microseconds=1)

router = APIRouter(prefix="/support/codes", route_class=SupportRoute)


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

    lines: list[StatementEntry]
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
    done = asked.done if asked.done in DONE else None
    bounds = {"note_length_max": NOTE_LENGTH_MAX, "typed_length_max": TYPED_LENGTH_MAX}
    view["keep_but_moment"] = wish.hidden("as_of")
    view["keep_but_filter"] = wish.hidden("order", "kind", "since", "until", "group")
    return support_page(request, "code.html", staff, wish=wish, done=done, nonce=new_nonce(), **{**bounds, **view})


@router.post("/{code_id}/person")
async def only_person(
    desk: TheDesk,
    _: ActingViewer,
    code_id: UUID,
    asked: Annotated[Asked, Query()],
    email: Annotated[str, Form(max_length=TYPED_LENGTH_MAX)] = "",
) -> Response:
    """Only what is about one person. Their address is in the form, never in ours, which logs may keep."""
    wish = asked.wish(code_id)
    found = await desk.services.read(lambda: _recipient(desk, email))
    query = wish.query(person=found or UUID(int=0), reservation=None, group=None)
    return RedirectResponse(f"/support/codes/{code_id}{query}#lines", 303, {"Cache-Control": "no-store"})


@router.get("/{code_id}/version")
async def version(desk: TheDesk, _: Viewer, code_id: UUID) -> Response:
    """How many events there are: an open page asks again and again, so this is one row."""
    head = await desk.services.read(lambda: desk.statements.find_newest_version(code_id))
    return JSONResponse({"version": head}, headers={"Cache-Control": "no-store"})


def _view(desk: Desk, wish: Wish, staff: Staff, language: Language) -> dict[str, Any]:
    """Everything that the page shows."""
    now, statements = desk.services.now(), desk.statements
    head = statements.find_newest_version(wish.code_id)
    if head == 0:
        raise ApplicationError("NOT_FOUND")
    moment = wish.as_of or now
    until = head if wish.as_of is None else statements.find_version_at(wish.code_id, wish.as_of)
    code = statements.find_code_at(wish.code_id, until)
    issued = code or statements.find_code_at(wish.code_id, 1)
    if issued is None:
        raise ApplicationError("NOT_FOUND")
    found = _lines(desk, wish, until)
    lines = _shown(desk, found.lines, language, staff)
    shown_until = unmasked_until(desk, staff, "unmasked_code", wish.code_id, now)
    return {
        "head": head,
        "until": until,
        "moment_at": moment,
        "code": code,
        "picture": picture_of(code) if code else None,
        "state": state_name(code, moment, language) if code else None,
        "owner": _owner(desk, code),
        "hint": desk.find.find_suffix(wish.code_id),
        "text": format_code(desk.find.find_code_text(wish.code_id) or "") if shown_until else None,
        "shown_until": shown_until,
        "issued_at": issued.issued_at,
        "lines": lines,
        "groups": _groups(desk, wish, found, lines, until),
        "next": found.next,
        "refusals": _refusals(desk, wish.code_id, moment, language),
        "kinds": [(name, kind_name(name, language)) for name in KINDS],
        "person": masked(desk.find.find_email_address(wish.recipient_id)) if wish.recipient_id else None,
        "acts": _offered(desk, code, language) if code and wish.as_of is None else [],
    }


def _offered(desk: Desk, code: RedeemCode, language: Language) -> list[Preview]:
    services = desk.services
    ask = Ask(CommandContext(now=services.now(), actor="staff"), services.storage.vault, services.new_id)
    form = ActionForm()
    return [
        glance(desk, act, about_code(act, code.code_id, form, ask), code, None, language) for act in acts_of_code(code)
    ]


def _recipient(desk: Desk, email: str) -> UUID | None:
    try:
        return desk.find.find_recipient(EmailAddress.parse(email))
    except MalformedEmailError:
        return None


def _lines(desk: Desk, wish: Wish, until: int) -> Found:
    statements = desk.statements
    if wish.reservation_id is not None:
        return _lines_of_reservation(desk, wish, wish.reservation_id, until)
    kinds = OPENING if wish.is_grouped else [KINDS[wish.kind]] if wish.kind else []
    limit = GROUPS_PER_PAGE if wish.is_grouped else LINES_PER_PAGE
    stretch = HistoryQuery(
        code_id=wish.code_id,
        after=0 if wish.since is None else statements.find_version_at(wish.code_id, wish.since - TICK),
        until=until if wish.until is None else min(until, statements.find_version_at(wish.code_id, wish.until)),
        topics=[topic for kind in kinds for topic in topics_of(kind)] or None,
        recipient_id=wish.recipient_id,
    )
    versions = statements.list_versions(stretch, after=wish.place, newest_first=wish.newest_first, limit=limit + 1)
    page = versions[:limit]
    following = page[-1] if len(versions) > limit else None
    if wish.is_grouped:
        return _lines_of_groups(desk, wish, page, until, following)
    return Found(lines=statements.read_entries(wish.code_id, page), groups={}, next=following)


def _lines_of_groups(desk: Desk, wish: Wish, page: list[int], until: int, following: int | None) -> Found:
    """All lines of the reservations that were opened by these events, as far as they fit a page."""
    opened = [(line.version, line.event) for line in desk.statements.read_entries(wish.code_id, page)]
    ids = {version: event.reservation_id for version, event in opened if isinstance(event, ReservationStarted)}
    histories = desk.find.read_reservation_events(list(ids.values()))
    groups: dict[UUID, list[int]] = {}
    last = 0
    for version, key in ids.items():
        own = [each for each, _ in histories[key].events if each <= until]
        if groups and sum(map(len, groups.values())) + len(own) > LINES_PER_PAGE:
            following = last
            break
        groups[key], last = own, version
    wanted = [version for own in groups.values() for version in own]
    return Found(lines=desk.statements.read_entries(wish.code_id, wanted), groups=groups, next=following)


def _lines_of_reservation(desk: Desk, wish: Wish, reservation_id: UUID, until: int) -> Found:
    """All events of one reservation: they are few."""
    known = desk.statements.find_versions_of_reservation(reservation_id)
    if known is None or known[0] != wish.code_id:
        return Found(lines=[], groups={}, next=None)
    versions = sorted((version for version in known[1] if version <= until), reverse=wish.newest_first)
    return Found(lines=desk.statements.read_entries(wish.code_id, versions), groups={}, next=None)


def _shown(desk: Desk, lines: list[StatementEntry], language: Language, staff: Staff) -> list[LineView]:
    ids = list({line.event.reservation_id for line in lines if isinstance(line.event, ReservationEvent)})
    addresses: dict[UUID, str | None] = dict(desk.find.find_email_addresses(ids)) if ids else {}
    people = desk.staff.find_email_addresses(staff_ids(line.event for line in lines))
    texts = desk.find.read_private_texts(note_ids(lines, replies_too=False)) if staff.may("support") else {}
    return line_views(lines, language, addresses, {str(key): address for key, address in people.items()}, texts)


def _groups(desk: Desk, wish: Wish, found: Found, lines: list[LineView], until: int) -> list[Group]:
    """The page's lines by reservation, each with its state at that moment."""
    by_version = {line.version: line for line in lines}
    histories = desk.find.read_reservation_events(list(found.groups)) if found.groups else {}
    groups = []
    for key, versions in found.groups.items():
        events = [(version, event) for version, event in histories[key].events if version <= until]
        item = fold_reservation(wish.code_id, events)
        own = [by_version[version] for version in versions]
        groups.append(Group(reservation_id=key, address=own[0].address, state=item.public_state, lines=own))
    return groups


def _owner(desk: Desk, code: RedeemCode | None) -> str | None:
    return masked(desk.find.find_email_address(code.owner_id)) if code and code.owner_id else None


def _refusals(desk: Desk, code_id: UUID, until: datetime, language: Language) -> list[dict[str, Any]]:
    """Refused tries: the answer to "why did my code not work?"."""
    return [
        {"at": row.at, "reason": refusal_title(row.reason, language), "address": masked(row.address)}
        for row in desk.find.list_rejected_requests(code_id, until, REFUSALS_SHOWN)
    ]


def _at_of(desk: Desk, code_id: UUID, at_event: int) -> datetime:
    """When an event took effect; the last one if there are fewer."""
    version = min(at_event, desk.statements.find_newest_version(code_id))
    lines = desk.statements.read_entries(code_id, [version])
    if not lines:
        raise ApplicationError("NOT_FOUND")
    return lines[0].event.at
