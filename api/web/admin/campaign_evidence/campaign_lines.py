"""Events of a campaign as its pages show them, each with the uses after it, its code and its reservation."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from msgspec import structs

from api.http.pagination import Page
from api.i18n.messages import event_sentence
from api.web.admin.context import AdminContext
from api.web.masking import mask_if_known
from api.web.support.view_models import collect_staff_ids
from domain.events.campaign import CampaignUseEvent
from domain.model.campaign import Campaign
from domain.ports import Language
from projections.read_models.history_blocks import StreamEntry

EVENTS_PER_PAGE: Final = 15


class CampaignLine(NamedTuple):
    """One event of a campaign; with code and reservation if it is about a use of one of its codes.

    Attributes:
        suffix: The end of the code's text; None if the code has none.
        occupied: Uses that are counted or reserved, after the event.
    """

    version: int
    position: int
    at: datetime
    sentence: str
    actor: str
    actor_name: str | None
    code_id: UUID | None
    suffix: str | None
    reservation_id: UUID | None
    occupied: int


def page_lines(admin: AdminContext, campaign_id: UUID, until: int, language: Language) -> Page[CampaignLine, int]:
    """Return a page of events up to a version, newest first; the next page is up to the version that it names."""
    after = max(0, until - EVENTS_PER_PAGE - 1)
    entries = admin.campaign_histories.read_page(campaign_id, after, until - after)
    lines = list_lines(admin, reversed(list(entries)), language)
    return Page.of(lines, EVENTS_PER_PAGE, lambda line: line.version - 1)


def list_lines(admin: AdminContext, entries: Iterable[StreamEntry[Campaign]], language: Language) -> list[CampaignLine]:
    """Return lines of events, in their order."""
    rows = list(entries)
    people = admin.support.sessions.find_email_addresses(collect_staff_ids(entry.event for entry in rows))
    names = {str(staff_id): address for staff_id, address in people.items()}
    uses = {entry.version: entry.event for entry in rows if isinstance(entry.event, CampaignUseEvent)}
    texts = admin.codes.find_texts(list({use.code_id for use in uses.values()}), clear=False)
    lines = []
    for entry in rows:
        event, use = entry.event, uses.get(entry.version)
        text = None if use is None else texts.get(use.code_id)
        lines.append(
            CampaignLine(
                version=entry.version,
                position=entry.position,
                at=event.at,
                sentence=event_sentence(type(event).__name__, structs.asdict(event), language),
                actor=event.actor,
                actor_name=mask_if_known(names.get(event.actor_id or "")),
                code_id=None if use is None else use.code_id,
                suffix=None if text is None else text.suffix,
                reservation_id=None if use is None else use.reservation_id,
                occupied=entry.state.occupied,
            )
        )
    return lines
