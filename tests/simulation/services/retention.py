"""Erasure of addresses that are past their retention: the walk of production, and `why_kept` as the SQL has it."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, cast
from uuid import UUID

from domain.events.event import Event
from domain.model.campaign import Campaign
from domain.model.reservation import Reservation
from projections.event_store.codec import decode
from projections.privacy.address_retention import PAGE_SIZE, START, AddressRetention
from projections.privacy.erasure import WhyKept
from projections.storage.bootstrap import LedgerStore
from tests.simulation.services.store import MemoryStore

RETENTION: Final = timedelta(seconds=60)
"""Days in production; a run of the simulation has minutes."""


class MemoryRetention(AddressRetention):
    """The walk of production over the store in memory: its statements and transactions are here."""

    __slots__ = ("_after", "_store")
    _store: MemoryStore
    _after: list[UUID]

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(cast("LedgerStore", store), RETENTION.days, lambda: START)
        object.__setattr__(self, "_store", store)
        object.__setattr__(self, "_after", [START])

    def _erase(self, recipient_ids: list[UUID], now: datetime) -> int:
        """Erase those that are still due, as `PersonEraser.erase_unaccepted` does in one transaction."""
        due = [key for key in recipient_ids if self._is_due(key, now)]
        for recipient_id in due:
            self._store.erase_recipient(recipient_id)
        return len(due)

    def _is_due(self, recipient_id: UUID, now: datetime) -> bool:
        is_there = recipient_id in self._store.addresses
        return is_there and find_why_kept(self._store, recipient_id, now, self._before(now)) is None

    def _before(self, now: datetime) -> datetime:
        return now - RETENTION

    def _find_why_kept(self, page: list[UUID], now: datetime) -> dict[UUID, WhyKept | None]:
        return {key: find_why_kept(self._store, key, now, self._before(now)) for key in page}

    def _read_page(self, after: UUID) -> list[UUID]:
        return sorted(key for key in self._store.addresses if key > after)[:PAGE_SIZE]

    def _read_progress(self) -> UUID:
        return self._after[0]

    def _write_progress(self, after: UUID) -> None:
        self._after[0] = after


def find_why_kept(store: MemoryStore, recipient_id: UUID, now: datetime, before: datetime) -> WhyKept | None:
    """Return why an address is kept; opt-outs are not in the simulation."""
    uses = [each for each in store.reservations.values() if each.recipient_id == recipient_id]
    if any(use.accepted_at is not None for use in uses):
        return "accepted"
    if any(use.case_id is not None for use in uses):
        return "case"
    if any(_is_open(store, use) for use in uses) or _waits_in_a_list(store, recipient_id, before):
        return "open"
    places = [(event.waits_from, key) for key, event in store.places.values() if event.recipient_id == recipient_id]
    if places and _waits_for_a_use(store, recipient_id, before):
        return "open"
    codes = [store.codes[each.code_id] for each in store.handed_out.values() if each.recipient_id == recipient_id]
    if any(
        _may_have_arrived(store, code.code_id)
        and not code.is_revoked
        and code.occupied == 0
        and not code.is_expired(before)
        and not _has_ended(store, code.campaign_id, before)
        for code in codes
    ):
        return "code"
    if any(_is_counted(store, use, before) for use in uses):
        return "limit"
    if any(key == recipient_id and until > now for (key, _), until in store.suppressed.items()):
        return "opt_out"
    times = [_newest_event(store, use).at for use in uses]
    newest = max([*times, *_list_ends_of_waiting(store, places, now), *(code.last_at for code in codes)], default=now)
    return "recent" if newest > before else None


def _is_open(store: MemoryStore, use: Reservation) -> bool:
    is_due = any(due_at is not None for due_at in (use.due_at, use.access_due_at))
    rows = (row for (reservation_id, _), row in store.outbox.items() if reservation_id == use.reservation_id)
    return use.is_live or use.lease is not None or is_due or any(row.due_at is not None for row in rows)


def _newest_event(store: MemoryStore, use: Reservation) -> Event:
    newest = use.versions[-1]
    [stored] = store.select_events(use.code_id, gt=newest - 1, lte=newest)
    return decode(stored.topic, stored.state)


def _waits_in_a_list(store: MemoryStore, recipient_id: UUID, before: datetime) -> bool:
    """Return whether a line is to get a code; the codes of these hand-outs have no end."""
    return any(
        row.recipient_id == recipient_id
        and store.lists.has_ended(row.upload_id)
        and code_id not in store.handed_out
        and store.hand_outs[row.hand_out_id].state != "ended"
        and not _has_ended(store, row.campaign_id, before)
        for code_id, row in store.lists.rows.items()
    )


def _waits_for_a_use(store: MemoryStore, recipient_id: UUID, before: datetime) -> bool:
    return any(
        place.recipient_id == recipient_id and not _has_ended(store, campaign.campaign_id, before)
        for campaign in store.campaigns.values()
        for place in campaign.waiting
    )


def _list_ends_of_waiting(
    store: MemoryStore, places: Sequence[tuple[datetime, UUID]], now: datetime
) -> Iterator[datetime]:
    """Yield when people joined, and the ends of the campaigns; staff end one, and so do the terms."""
    for at, campaign_id in places:
        yield at
        yield from (end for end in _list_ends(store.campaigns[campaign_id]) if end <= now)


def _may_have_arrived(store: MemoryStore, code_id: UUID) -> bool:
    """Return whether an email with a code may have arrived; the first code of a line has the emails of all."""
    code = store.handed_out[code_id]
    first = store.handed_out.get(code.line_id or code_id)
    return first is not None and (first.mail > 1 or first.mail_state not in {"failed", "bounced", "skipped"})


def _is_counted(store: MemoryStore, use: Reservation, before: datetime) -> bool:
    campaign = _campaign_of(store, store.codes[use.code_id].campaign_id)
    if campaign is None or use.status == "refunded":
        return False
    return campaign.terms.max_per_person is not None and not _has_ended(store, campaign.campaign_id, before)


def _has_ended(store: MemoryStore, campaign_id: UUID | None, at: datetime) -> bool:
    campaign = _campaign_of(store, campaign_id)
    if campaign is None:
        return False
    return any(end <= at for end in _list_ends(campaign))


def _list_ends(campaign: Campaign) -> list[datetime]:
    ends = (campaign.terms.ends_at, campaign.last_at if campaign.ended_by is not None else None)
    return [end for end in ends if end is not None]


def _campaign_of(store: MemoryStore, campaign_id: UUID | None) -> Campaign | None:
    return None if campaign_id is None else store.campaigns[campaign_id]
