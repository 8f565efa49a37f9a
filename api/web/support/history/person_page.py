"""The page of one recipient: reservations of all codes, their events as one timeline, and rejected requests."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.pagination import Page, format_cursor, parse_cursor
from api.use_cases.hand_outs.hand_out_actions import list_handed_out
from api.use_cases.waiting_lists.places import list_places_of
from api.web.masking import mask_if_known
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.sessions import SupportContextDep, SupportRoute, Viewer
from api.web.staff_auth.staff import Staff
from api.web.support.actions.erase_person import is_erased
from api.web.support.actions.unmask import unmasked_until
from api.web.support.history.folding import fold_lines
from api.web.support.rejected_requests import show_section
from api.web.support.statement_query import ACTORS, KINDS, LineQuery, PersonParams, RejectionParams
from api.web.support.view_models import (
    build_cards,
    build_lines,
    name_event_kind,
)
from domain.events.event import Importance
from domain.events.registry import LEVELS
from domain.ports import EMAIL_CHANNELS, Language
from projections.event_store.codec import topics_of
from projections.privacy.opt_outs import OptOutRepository
from projections.read_models.pagination import NEWEST
from projections.read_models.person_timeline import RESERVATIONS_MAX, TimelineFilter, count_topics, list_events
from projections.read_models.support_queries import RejectionPlace
from projections.repositories.staff_accounts import list_views

RESERVATIONS_PER_PAGE: Final = 10
HAND_OUTS_PER_PAGE: Final = 10
PLACES_SHOWN: Final = 50
"""Most places on waiting lists; the pages of the campaigns have the others."""
LINES_PER_PAGE: Final = 20

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")

router = APIRouter(prefix="/support", route_class=SupportRoute)


@router.get("/people/{recipient_id}")
def show_person(
    request: Request,
    support: SupportContextDep,
    staff: Viewer,
    recipient_id: UUID,
    params: Annotated[PersonParams, Query()],
) -> Response:
    """Show one recipient's reservations and events of all codes."""
    before, language, query = parse_cursor(params.cursor, NEWEST), get_language(request), params.to_lines()
    positions = support.reader.list_reservations_of_recipient(recipient_id, before, RESERVATIONS_PER_PAGE + 1)
    page = Page.of(positions, RESERVATIONS_PER_PAGE, lambda position: format_cursor(*position))
    cards = support.reader.list_summaries([position[1] for position in page.rows])
    now, address = support.services.now(), support.reader.find_email_address(recipient_id)
    if address is None and not is_erased(support, recipient_id):
        raise ApplicationError("NOT_FOUND")
    handed_out = list_handed_out(support.services, recipient_id, params.before, HAND_OUTS_PER_PAGE + 1)
    hand_out_page = Page.of(handed_out, HAND_OUTS_PER_PAGE, lambda row: row.person.number)
    shown_until = unmasked_until(support, staff, "unmasked_email", recipient_id, now)
    return support_page(
        request,
        "person.html",
        staff,
        query=query,
        cards=build_cards(support.reader, cards, now),
        address=address if shown_until else mask_if_known(address),
        path=None if address is None else f"/support/people/{recipient_id}",
        shown_until=shown_until if address else None,
        is_erased=params.done == "forgotten" and address is None,
        next=page.next,
        handed_out=[
            (
                row,
                support.reader.find_suffix(row.person.code_id),
                row.person.may_get_email and staff.has_role("support"),
                row.person.may_have_bounced and staff.has_role("support"),
            )
            for row in hand_out_page.rows
        ],
        next_hand_outs=hand_out_page.next,
        waiting=[
            (
                campaign,
                number,
                place,
                support.reader.find_suffix(place.code_id),
                campaign.find_reserved_until(place, now),
            )
            for campaign, number, place in list_places_of(support.services, recipient_id, PLACES_SHOWN)
        ],
        done=params.done,
        recipient_id=recipient_id,
        opt_outs=OptOutRepository(support.services.storage).list_of(recipient_id),
        suppressed=OptOutRepository(support.services.storage).list_suppressions(recipient_id),
        **_show_rejections(support, support.reader.list_digests(recipient_id), query.rejections, language),
        **_load_timeline(support, staff, query, recipient_id, language),
    )


@router.get("/tries/{digest}")
def show_rejected_attempts(
    request: Request,
    support: SupportContextDep,
    staff: Viewer,
    digest: str,
    params: Annotated[RejectionParams, Query()],
) -> Response:
    """Show rejected requests of an email address without a reservation; the URL does not hold the address."""
    if not _DIGEST.fullmatch(digest):
        raise ApplicationError("NOT_FOUND")
    section = _show_rejections(support, [bytes.fromhex(digest)], params.to_rejections(), get_language(request))
    if not section["rejected_attempts"]:
        raise ApplicationError("NOT_FOUND")
    return support_page(
        request,
        "person.html",
        staff,
        cards=[],
        address=None,
        next=None,
        handed_out=[],
        waiting=[],
        done="",
        opt_outs=[],
        suppressed=[],
        path=None,
        is_erased=False,
        **section,
    )


def _show_rejections(
    support: SupportContext, digests: Sequence[bytes], place: RejectionPlace | None, language: Language
) -> dict[str, Any]:
    """Return rejected requests of a recipient, which answer "why did my code not work?"."""
    read = partial(support.reader.list_rejected_requests_of_recipient, digests)
    return show_section(place, support.services.now(), read, language)


def _load_timeline(
    support: SupportContext, staff: Staff, query: LineQuery, recipient_id: UUID, language: Language
) -> dict[str, Any]:
    types = query.shown_types
    events = list_events(
        support.services.storage,
        _filter_of(query, recipient_id),
        None if types is None else [topic for kind in types for topic in topics_of(kind)],
        after=query.place,
        newest_first=query.newest_first,
        limit=LINES_PER_PAGE + 1,
    )
    page = Page.of(events, LINES_PER_PAGE, lambda row: row[0].position)
    suffixes = {entry.stream_id: suffix for entry, suffix in page.rows}
    return {
        "rows": fold_lines(build_lines(support, staff, [entry for entry, _ in page.rows], language, suffixes=suffixes)),
        "next_place": page.next,
        "hidden": _count_hidden(support, query, recipient_id),
        "levels": LEVELS,
        "actors": ACTORS,
        "channels": sorted({*EMAIL_CHANNELS, *support.services.channel_kinds}),
        "kinds": [(name, name_event_kind(name, language)) for name in KINDS],
        "saved_views": list_views(support.services.storage, staff.staff_id),
        "reservations_max": RESERVATIONS_MAX,
    }


def _count_hidden(support: SupportContext, query: LineQuery, recipient_id: UUID) -> dict[Importance, int]:
    """Count what the level hides, by importance."""
    if not query.hidden_types:
        return {}
    topics = count_topics(support.services.storage, _filter_of(query, recipient_id))
    counts = {
        importance: sum(topics[topic] for kind in kinds for topic in topics_of(kind))
        for importance, kinds in query.hidden_types.items()
    }
    return {importance: count for importance, count in counts.items() if count}


def _filter_of(query: LineQuery, recipient_id: UUID) -> TimelineFilter:
    return TimelineFilter(recipient_id, query.actor, query.channel, query.since, query.until)
