"""What happened to a campaign, and which uses make its number, now or as of a time; for API and command line."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from msgspec import structs
from pydantic import BaseModel

from api.i18n.catalogs import Translator, translator
from api.i18n.messages import event_sentence
from api.schemas.campaigns import CampaignExplanation, CampaignHistoryEvent, CampaignUse
from api.schemas.csv_cells import csv_line
from domain.events import Event
from domain.events.campaign import CampaignCreated, CampaignTermsChanged, CampaignUseEvent, CampaignUseTaken
from domain.model.campaign import Campaign
from domain.ports import Language
from projections.read_models.campaign_list import CampaignEntry, CampaignReader
from projections.read_models.statements import HistoryReader

USES_MAX: Final = 1000
"""Most uses that an explanation lists, the newest."""


class _SumOfUses(NamedTuple):
    """What the events of a campaign add up to.

    Attributes:
        last: The newest event.
        terms: The event that set the terms.
        takes: How often a use was taken.
        uses: The newest of those that count, in order.
    """

    last: CampaignEntry
    terms: CampaignEntry
    takes: int
    uses: list[CampaignUse]


def list_history(
    histories: HistoryReader[Campaign],
    campaign_id: UUID,
    language: Language,
    as_of: datetime | None = None,
    *,
    after: int = 0,
    limit: int | None = None,
) -> Iterator[CampaignHistoryEvent]:
    """Yield events of a campaign that had taken effect, oldest first; nothing if there is no such campaign.

    Args:
        histories: Where to read.
        campaign_id: The campaign.
        language: Of the sentences.
        as_of: Leave out what takes effect later.
        after: Leave out events up to this version.
        limit: Most events; None for all.
    """
    for entry in histories.read_page(campaign_id, after, limit):
        if as_of is not None and entry.event.at > as_of:
            return
        use = entry.event if isinstance(entry.event, CampaignUseEvent) else None
        yield CampaignHistoryEvent(
            position=entry.position,
            version=entry.version,
            type=type(entry.event).__name__,
            at=entry.event.at,
            code_id=None if use is None else use.code_id,
            reservation_id=None if use is None else use.reservation_id,
            occupied=entry.state.occupied,
            sentence=_say_event(entry.event, language),
        )


def explain_campaign(
    reader: CampaignReader,
    campaign_id: UUID,
    now: datetime,
    language: Language,
    *,
    as_of: datetime | None = None,
    most: int = USES_MAX,
) -> CampaignExplanation | None:
    """Name each use that is in the number of a campaign; None if the campaign did not exist then.

    Args:
        reader: Where to read.
        campaign_id: The campaign.
        now: Database time.
        language: Of the sentences.
        as_of: Leave out what takes effect later.
        most: How many uses to keep and name.
    """
    sum_of_uses = _collect_uses(reader.read_campaign_history(campaign_id, as_of), most)
    if sum_of_uses is None:
        return None
    last, terms, takes, shown = sum_of_uses
    at, campaign, say = as_of or now, last.campaign, translator(language)
    return CampaignExplanation(
        id=campaign_id,
        as_of=at,
        version=last.version,
        position=last.position,
        state=campaign.state(at),
        max_uses=campaign.terms.max_uses,
        max_per_person=campaign.terms.max_per_person,
        max_per_day=campaign.terms.max_per_day,
        occupied=campaign.occupied,
        available=campaign.available,
        available_today=campaign.find_available_on_day(at),
        takes=takes,
        returns=takes - campaign.occupied,
        terms_version=terms.version,
        terms=_say_event(terms.event, language),
        sentence=_say_sum(say, campaign, takes),
        uses=shown,
        left_out=campaign.occupied - len(shown),
    )


def csv_of_campaign_history(lines: Iterable[CampaignHistoryEvent]) -> Iterator[str]:
    """Yield events of a campaign as CSV lines with a header."""
    return _csv_of(CampaignHistoryEvent, lines)


def csv_of_campaign_uses(explanation: CampaignExplanation) -> Iterator[str]:
    """Yield the uses that an explanation lists as CSV lines with a header."""
    return _csv_of(CampaignUse, explanation.uses)


def _csv_of(kind: type[BaseModel], rows: Iterable[BaseModel]) -> Iterator[str]:
    columns = list(kind.model_fields)
    yield csv_line(columns)
    for row in rows:
        cells = (getattr(row, name) for name in columns)
        yield csv_line(cell.isoformat() if isinstance(cell, datetime) else cell for cell in cells)


def _collect_uses(entries: Iterator[CampaignEntry], most: int) -> _SumOfUses | None:
    """Return which uses count after some events of a campaign; None without events."""
    uses: dict[UUID, CampaignUse] = {}
    takes, last, terms = 0, None, None
    for entry in entries:
        last, event = entry, entry.event
        if isinstance(event, CampaignCreated | CampaignTermsChanged):
            terms = entry
        elif isinstance(event, CampaignUseTaken):
            takes += 1
            uses[event.reservation_id] = CampaignUse(
                code_id=event.code_id,
                reservation_id=event.reservation_id,
                since=event.at,
                version=entry.version,
                position=entry.position,
            )
            if len(uses) > 2 * most:
                uses = dict(list(uses.items())[-most:])
        elif isinstance(event, CampaignUseEvent):
            uses.pop(event.reservation_id, None)
    if last is None or terms is None:
        return None
    return _SumOfUses(last, terms, takes, list(uses.values())[-most:])


def _say_event(event: Event, language: Language) -> str:
    return event_sentence(type(event).__name__, structs.asdict(event), language)


def _say_sum(say: Translator, campaign: Campaign, takes: int) -> str:
    if not campaign.counts_uses:
        return say("explain.campaign.uncounted")
    returns = takes - campaign.occupied
    return say("explain.campaign.sum", occupied=campaign.occupied, takes=takes, returns=returns)
