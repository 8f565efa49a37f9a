"""What happened to a campaign, and what makes its numbers, now or as of a time; for API and command line."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from pydantic import BaseModel

from api.i18n.catalogs import Translator, translator
from api.i18n.messages import say_event
from api.schemas.campaigns import CampaignExplanation, CampaignHistoryEvent, CampaignUse
from api.schemas.csv_cells import csv_line
from api.use_cases.explain_balance import view_reached
from domain.events.campaign import CampaignCreated, CampaignTermsChanged
from domain.model.campaign import Campaign
from domain.ports import Language
from domain.values.timestamps import text_of, utc_day
from domain.working_set import PersonKey
from projections.hand_outs.hand_out_reader import HandOutReader
from projections.read_models.campaign_list import CampaignReader
from projections.read_models.statements import HistoryReader

USES_MAX: Final = 1000
"""Most uses that an explanation lists, the newest."""
DAY: Final = timedelta(days=1)
LATEST: Final = datetime.max.replace(tzinfo=UTC)


class _SumOfUses(NamedTuple):
    """What the uses of a campaign add up to.

    Attributes:
        takes: How often a use was taken.
        used: Uses that count, whose invitation was sent.
        most_per_person: The most uses that one person has, as the campaign counts persons.
        most_per_mailbox: The most that one mailbox has; 0 without a limit per person.
        uses: The newest of those that count or are reserved, in order.
    """

    takes: int
    used: int
    most_per_person: int
    most_per_mailbox: int
    uses: list[CampaignUse]


def list_history(
    histories: HistoryReader[Campaign],
    hand_outs: HandOutReader,
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
        hand_outs: Where names of hand-outs are found.
        campaign_id: The campaign.
        language: Of the sentences.
        as_of: Leave out what takes effect later.
        after: Leave out events up to this version.
        limit: Most events; None for all.
    """
    names: dict[UUID, str] = {}
    for entry in histories.read_page(campaign_id, after, limit):
        if as_of is not None and entry.event.at > as_of:
            return
        hand_out_id: UUID | None = getattr(entry.event, "hand_out_id", None)
        if hand_out_id is not None and hand_out_id not in names:
            names |= hand_outs.find_names([hand_out_id])
        yield CampaignHistoryEvent(
            position=entry.position,
            version=entry.version,
            type=type(entry.event).__name__,
            at=entry.event.at,
            code_id=getattr(entry.event, "code_id", None),
            reservation_id=entry.event.named_reservation,
            occupied=entry.state.occupied,
            sentence=say_event(entry.event, language, hand_out_name=names.get(hand_out_id) if hand_out_id else None),
        )


def explain_campaign(
    histories: HistoryReader[Campaign],
    reader: CampaignReader,
    campaign_id: UUID,
    now: datetime,
    language: Language,
    *,
    as_of: datetime | None = None,
    most: int = USES_MAX,
) -> CampaignExplanation | None:
    """Explain each number of a campaign, and name the uses; None if the campaign did not exist then.

    Args:
        histories: Where events are read.
        reader: Where uses are read.
        campaign_id: The campaign.
        now: Database time.
        language: Of the sentences.
        as_of: Leave out what takes effect later.
        most: How many uses to keep and name.
    """
    campaign = histories.fold_until(campaign_id, LATEST if as_of is None else as_of)
    if campaign is None:
        return None
    at = as_of or max(now, campaign.last_at)
    landmarks = histories.list_landmarks(campaign_id, campaign.version)
    setting = max(mark.last for mark in landmarks if mark.event_type in {CampaignCreated, CampaignTermsChanged})
    terms, last = histories.read_entries(campaign_id, [setting, campaign.version])
    counted = _count_uses(reader, campaign, at, most)
    on_day = campaign.count_on_day(max(at, campaign.last_at))
    used, reserved = counted.used, campaign.occupied - counted.used
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
        used=used if campaign.counts_uses else None,
        reserved=reserved if campaign.counts_uses else None,
        available=campaign.available,
        most_per_person=counted.most_per_person if campaign.counts_uses else None,
        taken_today=on_day if campaign.counts_uses else None,
        available_today=campaign.find_available_on_day(at),
        takes=counted.takes,
        returns=counted.takes - campaign.occupied,
        terms_version=terms.version,
        terms=say_event(terms.event, language),
        sentence=_say_sum(translator(language), campaign, counted.takes),
        numbers=_say_numbers(translator(language), campaign, counted, at),
        uses=counted.uses,
        left_out=campaign.occupied - len(counted.uses),
        thresholds=view_reached(campaign.reached_thresholds, reader.list_crossings(campaign), language),
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


def _count_uses(reader: CampaignReader, campaign: Campaign, at: datetime, most: int) -> _SumOfUses:
    """Count what makes the numbers of a campaign in a state, page by page from the newest use."""
    takes, used = 0, 0
    by_address, by_mailbox = Counter[PersonKey](), Counter[PersonKey]()
    newest: list[CampaignUse] = []
    for page in reader.walk_uses_back(campaign):
        takes += len(page)
        counting = [use for use in page if use.counts]
        sent = reader.find_sent([use.event.reservation_id for use in counting], at) if counting else set()
        used += len(sent)
        people = [use.event.recipient_id for use in counting]
        by_address.update(people)
        if campaign.terms.max_per_person is not None:
            mailboxes = reader.find_mailboxes({*people})
            by_mailbox.update(mailboxes.get(person, person) for person in people)
        newest += [
            CampaignUse(
                code_id=use.event.code_id,
                reservation_id=use.event.reservation_id,
                since=use.event.at,
                version=use.version,
                position=use.position,
                state="used" if use.event.reservation_id in sent else "reserved",
            )
            for use in counting[: most - len(newest)]
        ]
    of_address, of_mailbox = (max(people.values(), default=0) for people in (by_address, by_mailbox))
    most_per_person = of_mailbox if campaign.counts_by_mailbox else of_address
    return _SumOfUses(takes, used, most_per_person, of_mailbox, newest[::-1])


def _say_sum(say: Translator, campaign: Campaign, takes: int) -> str:
    if not campaign.counts_uses:
        return say("explain.campaign.uncounted")
    returns = takes - campaign.occupied
    return say("explain.campaign.sum", occupied=campaign.occupied, takes=takes, returns=returns)


def _say_numbers(say: Translator, campaign: Campaign, counted: _SumOfUses, at: datetime) -> list[str]:
    """Return a sentence about each number of a campaign that counts its uses."""
    if not campaign.counts_uses:
        return []
    terms, used, reserved = campaign.terms, counted.used, campaign.occupied - counted.used
    numbers = [say("explain.campaign.used", used=used), say("explain.campaign.reserved", reserved=reserved)]
    if campaign.counts_from is not None:
        numbers.insert(0, say("explain.campaign.counts_from", since=text_of(campaign.counts_from)))
    if campaign.available is not None:
        facts = {"available": campaign.available, "limit": terms.max_uses, "used": used, "reserved": reserved}
        numbers.append(say("explain.campaign.available", **facts))
    waiting = campaign.without_expired_offers(at)
    if waiting.waiting:
        people = {"waiting": len(waiting.waiting), "offers": waiting.offers}
        numbers.append(
            say("explain.campaign.waiting", **people, left=max(0, (waiting.available or 0) - people["waiting"]))
        )
    if terms.max_per_person is not None:
        person = {"limit": terms.max_per_person, "most": counted.most_per_person}
        numbers.append(say("explain.campaign.per_person", **person))
        rule = "by_mailbox" if campaign.counts_by_mailbox else "by_address"
        numbers.append(say(f"explain.campaign.{rule}", most=counted.most_per_mailbox))
    if terms.max_per_day is not None:
        counted_at = max(at, campaign.last_at)
        today = utc_day(counted_at)
        day = {"day": today.isoformat(), "next": text_of(datetime.combine(today + DAY, time(), UTC))}
        on_day, left = campaign.count_on_day(counted_at), campaign.find_available_on_day(at)
        numbers.append(say("explain.campaign.per_day", **day, limit=terms.max_per_day, taken=on_day, left=left))
    return numbers
