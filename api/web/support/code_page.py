"""The page of one code: its balance as a chart and its history as a statement, now or at a past time."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import JSONResponse, Response

from api.errors import ApplicationError
from api.http.pagination import Page
from api.schemas.parsing import find_email
from api.use_cases.services import Caller
from api.web.forms import new_nonce
from api.web.masking import mask_if_known
from api.web.rendering import see_other
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.sessions import SupportContextDep, SupportRoute, Viewer, ViewerWithForm
from api.web.staff_auth.staff import Staff
from api.web.support.actions.action_forms import DONE, TYPED_LENGTH_MAX, ActionForm, code_command, list_code_actions
from api.web.support.actions.notes import NOTE_LENGTH_MAX
from api.web.support.actions.preview import Preview, preview_offer
from api.web.support.actions.unmask import unmasked_until
from api.web.support.campaign_of_code import describe_campaign_of
from api.web.support.charts import draw_balance_bar
from api.web.support.history.balance_page import load_chart
from api.web.support.history.folding import FoldedRun, PageLines, complete_last_run, fold_lines
from api.web.support.history.proof_page import load_panel
from api.web.support.history.saved_views import NAME_LENGTH_MAX as VIEW_NAME_LENGTH_MAX
from api.web.support.history.time_axis import name_other_scale
from api.web.support.rejected_requests import show_section
from api.web.support.statement_query import ACTORS, KINDS, StatementParams, StatementQuery
from api.web.support.view_models import (
    EventLine,
    ShownStream,
    build_lines,
    name_code_state,
    name_event_kind,
)
from domain.events.event import Importance
from domain.events.registry import LEVELS
from domain.events.reservation import (
    CaseClosed,
    CaseOpened,
    RebindReserved,
    ReservationStarted,
    UseReserved,
)
from domain.model.redeem_code import RedeemCode
from domain.model.reservation_transitions import fold_reservation
from domain.ports import EMAIL_CHANNELS, Language
from domain.values.identifiers import format_code
from projections.event_store.codec import topics_of
from projections.read_models.statements import HistoryQuery
from projections.read_models.stream_entry import Entry
from projections.read_models.support_queries import RejectedRequest, RejectionPlace
from projections.repositories.staff_accounts import list_views

LINES_PER_PAGE: Final = 15
GROUPS_PER_PAGE: Final = 8
SEARCHED_MAX: Final = 100_000
"""Most events that one page is searched for those of an actor or a channel, which have no index."""
HIDDEN_COUNTED_MAX: Final = 1_000
OPENING: Final = (UseReserved, RebindReserved)
"""Types of the events that begin a reservation."""
TICK: Final = timedelta(microseconds=1)

router = APIRouter(prefix="/support/codes", route_class=SupportRoute)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationGroup:
    """The lines of one reservation, runs of equal ones folded."""

    reservation_id: UUID
    address: str | None
    state: str
    rows: list[EventLine[RedeemCode] | FoldedRun[RedeemCode]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementPage:
    """The lines of a page in order, and where the next page begins."""

    lines: list[Entry[RedeemCode]]
    groups: dict[UUID, list[int]]
    next: int | None


@router.get("/{code_id}")
def show_code(
    request: Request,
    support: SupportContextDep,
    staff: Viewer,
    code_id: UUID,
    params: Annotated[StatementParams, Query()],
) -> Response:
    """Show the statement, or the event that a line's short link names."""
    if params.event is not None:
        return see_other(f"/support/codes/{code_id}/events/{params.event}")
    query, at_event = params.to_query(code_id), params.at_event
    if at_event is not None:
        at = _find_time(support, code_id, at_event, is_before=params.step == "earlier")
        return see_other(query.url(as_of=at.isoformat()))
    language = get_language(request)
    done = params.done if params.done in DONE else None
    view = build_code_view(support, query, staff, language)
    return support_page(request, "code.html", staff, done=done, nonce=new_nonce(), **view)


@router.post("/{code_id}/person")
def filter_by_person(
    support: SupportContextDep,
    _: ViewerWithForm,
    code_id: UUID,
    params: Annotated[StatementParams, Query()],
    email: Annotated[str, Form(max_length=TYPED_LENGTH_MAX)] = "",
) -> Response:
    """Show only lines about one recipient.

    The email address is in the form, never in the URL, which logs may keep.
    """
    query = params.to_query(code_id)
    address = find_email(email)
    recipient_id = None if address is None else support.reader.find_recipient(address)
    url = query.url(person=recipient_id or UUID(int=0), reservation=None, group=None)
    return see_other(f"/support/codes/{code_id}{url}#lines")


@router.get("/{code_id}/version")
def show_version(support: SupportContextDep, _: Viewer, code_id: UUID) -> Response:
    """Return how many events there are; an open page polls this, so it reads one row."""
    head = support.statements.find_newest_version(code_id)
    return JSONResponse({"version": head})


def build_code_view(support: SupportContext, query: StatementQuery, staff: Staff, language: Language) -> dict[str, Any]:
    """Return everything that the page shows to a member of staff, but for its forms' tokens."""
    filter_fields = ("order", "kind", "since", "until", "group", "level", "actor", "channel")
    return {
        "query": query,
        "code_id": query.code_id,
        "view_name_length_max": VIEW_NAME_LENGTH_MAX,
        "note_length_max": NOTE_LENGTH_MAX,
        "typed_length_max": TYPED_LENGTH_MAX,
        "fields_but_time": query.hidden_fields("as_of"),
        "fields_but_filter": query.hidden_fields(*filter_fields),
        **_read(support, query, staff, language),
    }


def _read(support: SupportContext, query: StatementQuery, staff: Staff, language: Language) -> dict[str, Any]:
    """Return what the page shows of the code at the time of the query.

    Raises:
        ApplicationError: NOT_FOUND.
    """
    now, statements = support.services.now(), support.statements
    head = statements.find_newest_version(query.code_id)
    if head == 0:
        raise ApplicationError("NOT_FOUND")
    at = query.as_of or now
    until = head if query.as_of is None else statements.find_version_at(query.code_id, query.as_of)
    code = statements.find_code_at(query.code_id, until)
    issued = code or statements.find_code_at(query.code_id, 1)
    if issued is None:
        raise ApplicationError("NOT_FOUND")
    suffix = support.reader.find_suffix(query.code_id)
    shown_until = unmasked_until(support, staff, "unmasked_code", query.code_id, now)
    chart = load_chart(statements, query.code_id, now, is_true_scale=query.is_true_scale, at=at)
    return {
        "head": head,
        "until": until,
        "at": at,
        "code": code,
        "chart": chart,
        "scale_url": query.url(scale=name_other_scale(is_true_scale=chart.is_true_scale)),
        "balance_bar": draw_balance_bar(code) if code else None,
        "state": name_code_state(code, at, language) if code else None,
        "owner": _mask_owner(support, code),
        "of_campaign": describe_campaign_of(support, code, now) if query.as_of is None else None,
        "suffix": suffix,
        "show": ShownStream.of_code(query.code_id, suffix, language),
        "code_text": format_code(support.reader.find_code_text(query.code_id) or "") if shown_until else None,
        "shown_until": shown_until,
        "issued_at": issued.issued_at,
        "proof": load_panel(support, f"/support/codes/{query.code_id}"),
        **_read_lines(support, query, staff, language, code, until),
        "hidden": _count_hidden(support, query, until),
        "saved_views": list_views(support.services.storage, staff.staff_id),
        "levels": LEVELS,
        "actors": ACTORS,
        "channels": sorted({*EMAIL_CHANNELS, *support.services.channel_kinds}),
        "open_cases": _count_open_cases(support, query.code_id, until),
        **_show_rejections(support, query, at, language),
        "kinds": [(name, name_event_kind(name, language)) for name in KINDS],
        "person_email": mask_if_known(support.reader.find_email_address(query.recipient_id))
        if query.recipient_id
        else None,
        "actions": _offered(support, code, language) if code and query.as_of is None else [],
    }


def _read_lines(
    support: SupportContext,
    query: StatementQuery,
    staff: Staff,
    language: Language,
    code: RedeemCode | None,
    until: int,
) -> dict[str, Any]:
    """Return the lines of the page up to a version, as its rows show them, and where the next page begins."""
    page = _load_lines(support, query, until)
    campaign_name = support.reader.find_campaign_name(query.code_id) if code and code.campaign_id else None

    def build(entries: list[Entry[RedeemCode]]) -> list[EventLine[RedeemCode]]:
        addresses = _find_addresses(support, entries)
        return build_lines(support, staff, entries, language, addresses=addresses, campaign_name=campaign_name)

    def read_more(place: int, limit: int) -> PageLines[RedeemCode]:
        following = _load_lines(support, replace(query, place=place), until, limit)
        return PageLines(build(following.lines), following.next)

    shown = PageLines(build(page.lines), page.next)
    if not query.is_grouped:
        shown = complete_last_run(shown, read_more, lambda line: line.version)
    before = build(support.statements.read_entries(query.code_id, [query.place])) if query.place else []
    return {
        "lines": shown.lines,
        "rows": fold_lines(
            shown.lines, named=_find_named(query), before=before[0] if before else None, is_cut=shown.is_cut
        ),
        "groups": _build_groups(support, query, page, shown.lines, until),
        "next": shown.next,
    }


def _offered(support: SupportContext, code: RedeemCode, language: Language) -> list[Preview]:
    services = support.services
    form = ActionForm()
    return [
        preview_offer(
            support, action, code_command(services, Caller("staff"), action, code.code_id, form), code, language
        )
        for action in list_code_actions(code)
    ]


def _find_named(query: StatementQuery) -> list[int]:
    """Return the version of the event that a link to its place in the history names, if there is one."""
    return [] if query.place is None or query.newest_first else [query.place + 1]


def _load_lines(
    support: SupportContext, query: StatementQuery, until: int, lines_max: int | None = None
) -> StatementPage:
    statements = support.statements
    if query.reservation_id is not None:
        return _lines_of_reservation(support, query, query.reservation_id, until)
    limit = lines_max or (GROUPS_PER_PAGE if query.is_grouped else LINES_PER_PAGE)
    line_range, cut = _find_range(support, query, until)
    versions = statements.list_versions(line_range, after=query.place, newest_first=query.newest_first, limit=limit + 1)
    page = Page.of(versions, limit, lambda version: version)
    next_place = cut if page.next is None else page.next
    if query.is_grouped:
        return _lines_of_groups(support, query, page.rows, until, next_place)
    return StatementPage(lines=statements.read_entries(query.code_id, page.rows), groups={}, next=next_place)


def _find_range(support: SupportContext, query: StatementQuery, until: int) -> tuple[HistoryQuery, int | None]:
    """Return where the lines of a page are searched, and where the next page goes on if there is more to search."""
    statements = support.statements
    types = OPENING if query.is_grouped else query.shown_types
    after = 0 if query.since is None else statements.find_version_at(query.code_id, query.since - TICK)
    if query.until is not None:
        until = min(until, statements.find_version_at(query.code_id, query.until))
    cut: int | None = None
    if query.actor is not None or query.channel is not None:
        if query.newest_first:
            top = until if query.place is None else min(until, query.place - 1)
            if top - SEARCHED_MAX > after:
                after, cut = top - SEARCHED_MAX, top - SEARCHED_MAX + 1
        elif (bottom := max(after, query.place or 0)) + SEARCHED_MAX < until:
            until = cut = bottom + SEARCHED_MAX
    line_range = HistoryQuery(
        code_id=query.code_id,
        after=after,
        until=until,
        topics=None if types is None else [topic for kind in types for topic in topics_of(kind)],
        recipient_id=query.recipient_id,
        actor=query.actor,
        channel=query.channel,
    )
    return line_range, cut


def _count_hidden(support: SupportContext, query: StatementQuery, until: int) -> dict[Importance, str]:
    """Count what the level hides, by importance; of a person or an actor `1,000+` says that no more were counted."""
    hidden = query.hidden_types
    if not hidden or query.is_grouped:
        return {}
    line_range, _ = _find_range(support, query, until)
    if query.recipient_id is None and query.actor is None:
        counts = support.statements.count_types(query.code_id, line_range.after, line_range.until)
        totals = {importance: sum(counts[kind] for kind in kinds) for importance, kinds in hidden.items()}
        return {importance: f"{total:,}" for importance, total in totals.items() if total}
    counts_by_importance = {
        importance: len(
            support.statements.list_versions(
                line_range._replace(topics=[topic for kind in kinds for topic in topics_of(kind)]),
                after=None,
                newest_first=True,
                limit=HIDDEN_COUNTED_MAX,
            )
        )
        for importance, kinds in hidden.items()
    }
    return {
        importance: f"{count:,}{'+' if count == HIDDEN_COUNTED_MAX else ''}"
        for importance, count in counts_by_importance.items()
        if count
    }


def _count_open_cases(support: SupportContext, code_id: UUID, until: int) -> int:
    """Count the cases that were opened and not closed up to a version."""
    counts = support.statements.count_types(code_id, 0, until)
    return counts[CaseOpened] - counts[CaseClosed]


def _lines_of_groups(
    support: SupportContext, query: StatementQuery, page: list[int], until: int, next_version: int | None
) -> StatementPage:
    """Return all lines of the reservations that these events began, as far as they fit a page."""
    starts = [(line.version, line.event) for line in support.statements.read_entries(query.code_id, page)]
    ids = {version: event.reservation_id for version, event in starts if isinstance(event, ReservationStarted)}
    histories = support.reader.read_reservation_events(list(ids.values()))
    groups: dict[UUID, list[int]] = {}
    last = 0
    for version, key in ids.items():
        group_versions = [each for each, _ in histories[key].events if each <= until]
        if groups and sum(map(len, groups.values())) + len(group_versions) > LINES_PER_PAGE:
            next_version = last
            break
        groups[key], last = group_versions, version
    page_versions = [version for group_versions in groups.values() for version in group_versions]
    return StatementPage(
        lines=support.statements.read_entries(query.code_id, page_versions), groups=groups, next=next_version
    )


def _lines_of_reservation(
    support: SupportContext, query: StatementQuery, reservation_id: UUID, until: int
) -> StatementPage:
    """Return all events of one reservation, which are few."""
    located = support.statements.find_versions_of_reservation(reservation_id)
    if located is None or located[0] != query.code_id:
        return StatementPage(lines=[], groups={}, next=None)
    versions = sorted((version for version in located[1] if version <= until), reverse=query.newest_first)
    return StatementPage(lines=support.statements.read_entries(query.code_id, versions), groups={}, next=None)


def _find_addresses(support: SupportContext, entries: list[Entry[RedeemCode]]) -> dict[UUID, str | None]:
    """Return the clear addresses of the reservations that some events are about."""
    ids = list({key for entry in entries if (key := entry.event.named_reservation) is not None})
    return dict(support.reader.find_email_addresses(ids)) if ids else {}


def _build_groups(
    support: SupportContext, query: StatementQuery, page: StatementPage, lines: list[EventLine[RedeemCode]], until: int
) -> list[ReservationGroup]:
    """Return the page's lines by reservation, each with its state at that time."""
    by_version = {line.version: line for line in lines}
    histories = support.reader.read_reservation_events(list(page.groups)) if page.groups else {}
    groups = []
    for key, versions in page.groups.items():
        events = [(version, event) for version, event in histories[key].events if version <= until]
        reservation_state = fold_reservation(query.code_id, events)
        group_versions = [by_version[version] for version in versions]
        groups.append(
            ReservationGroup(
                reservation_id=key,
                address=group_versions[0].address,
                state=reservation_state.public_state,
                rows=fold_lines(group_versions),
            )
        )
    return groups


def _mask_owner(support: SupportContext, code: RedeemCode | None) -> str | None:
    return mask_if_known(support.reader.find_email_address(code.owner_id)) if code and code.owner_id else None


def _show_rejections(
    support: SupportContext, query: StatementQuery, at: datetime, language: Language
) -> dict[str, Any]:
    """Return rejected requests, which answer "why did my code not work?", with the limit that held them back."""

    def read(place: RejectionPlace, limit: int) -> list[RejectedRequest]:
        rows = support.reader.list_rejected_requests(query.code_id, place, limit)
        return [row._replace(address=mask_if_known(row.address)) for row in rows]

    return show_section(query.rejections, at, read, language)


def _find_time(support: SupportContext, code_id: UUID, at_event: int, *, is_before: bool = False) -> datetime:
    """Return when an event took effect; that of the last one if there are fewer.

    Args:
        support: Where the history is read.
        code_id: The code.
        at_event: The event's version.
        is_before: Return the time of the last event that took effect before it, if there is one.
    """
    version = min(at_event, support.statements.find_newest_version(code_id))
    if is_before:
        at = _find_time(support, code_id, version)
        version = support.statements.find_version_at(code_id, at - TICK) or version
    lines = support.statements.read_entries(code_id, [version])
    if not lines:
        raise ApplicationError("NOT_FOUND")
    return lines[0].event.at
