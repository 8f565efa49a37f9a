"""The emails of hand-outs that are due: leased in small batches, at the rate of their hand-out.

A row is leased before anything is done for it. If a worker ends before it stores an outcome, the row is due again after
the lease: its code has the same id, and its email the same Message-ID.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

import orjson

from domain.model.hand_out import HandOutText, MailState
from domain.ports import Language
from domain.values.quiet_hours import find_end_of_quiet_hours
from domain.values.redeem_window import RedeemWindow
from projections.database.store_queries import Database, ReadableStore
from projections.event_store.hand_out_rows import read_rate
from projections.hand_outs.hand_out_reader import HandOutDetails, HandOutReader
from projections.hand_outs.sending_pace import Claim, SendingPace
from projections.sql.hand_outs import HandOutsSql

CODES_MAX: Final = 1_000
"""Codes of the rows that are leased together, except those of the last row: they are issued in seconds of the lease."""
LEASE_S: Final = 90
"""Least length of a lease in seconds: a worker takes no more than it sends at once."""
SEARCH_INTERVAL: Final = timedelta(minutes=1)
"""Rest of a worker process between searches for reminders: one reads all codes that were sent, 0.3 s for each 100,000
(2026-11-28), and reminders are days ahead."""


class RowEnd(NamedTuple):
    """What becomes of a leased row. `due_at`: when it is tried again; None for never."""

    code_id: UUID
    due_at: datetime | None
    attempts: int
    leased_until: datetime
    may_have_arrived: bool


class DueRow(NamedTuple):
    """A row that a worker has leased.

    Attributes:
        codes: How many codes the row has; `code_id` is the first.
        attempts: Number of this attempt, from 1.
        may_have_arrived: Whether an earlier attempt of its newest email has an unknown outcome, or none was stored.
        leased_until: End of the lease, by which its worker ends it.
        quiet_hours: Of the campaign; None also where staff asked for the email.
    """

    code_id: UUID
    hand_out_id: UUID
    recipient_id: UUID
    language: Language
    variables: Mapping[str, str]
    attempts: int
    may_have_arrived: bool
    leased_until: datetime
    quiet_hours: str | None = None
    codes: int = 1

    def end(self, due_at: datetime | None, attempts: int = 0, *, may_have_arrived: bool = False) -> RowEnd:
        """Return what becomes of the row. `may_have_arrived`: whether this attempt had an unknown outcome."""
        may_have_arrived = may_have_arrived or self.may_have_arrived
        return RowEnd(self.code_id, due_at, attempts, self.leased_until, may_have_arrived)


class QueuedMail(NamedTuple):
    """The newest email of a code that was handed out."""

    number: int
    state: MailState
    reminder: int | None
    written_at: datetime


class CodeValidity(NamedTuple):
    """When a handed-out code can be redeemed, whether it was revoked, and whether it has a reserved or counted use."""

    window: RedeemWindow = RedeemWindow()
    is_revoked: bool = False
    is_used: bool = False

    def is_over(self, now: datetime) -> bool:
        """Return whether no request can redeem the code any more."""
        ends_at = self.window.ends_at
        return self.is_revoked or (ends_at is not None and ends_at <= now)


class HandOutQueue:
    """Leases rows, and stores when they are due again. It reads a hand-out once for each batch: staff may change it.

    A lease, of `lease_s`, is longer than any message takes.
    """

    def __init__(self, storage: ReadableStore, lease_s: float = LEASE_S) -> None:
        self._storage, self._db = storage, Database(storage)
        self._hand_outs = HandOutReader(storage)
        self._lease = timedelta(seconds=lease_s)
        self._details: dict[UUID, HandOutDetails] = {}
        self._texts: dict[UUID, dict[Language, HandOutText]] = {}
        self._next_search: datetime | None = None

    def take(self, now: datetime, most: int) -> list[DueRow]:
        """Lease rows of one hand-out, or some that staff asked for; none if nothing is due now.

        The row of the pace is locked, so that workers claim no more together than the rate of the hand-out.
        """
        self._details.clear()
        self._texts.clear()
        leased_until = now + self._lease
        leased = {"now": now, "leased_until": leased_until, "codes_max": CODES_MAX}
        with self._db.open_transaction() as cursor:
            if asked := cursor.execute(HandOutsSql.take_asked_rows, {**leased, "limit": most}).fetchall():
                return [self._due(row, leased_until) for row in asked]
            while due := cursor.execute(HandOutsSql.take_due_hand_out, {"now": now}).fetchone():
                hand_out_id, quiet_hours, next_at, times, counts, topic, event = due
                pace = SendingPace(next_at, tuple(map(Claim, times, counts)))
                rate = read_rate(topic, event)
                limit = most if rate is None else min(most, pace.count_allowed(rate, now))
                rows = cursor.execute(
                    HandOutsSql.take_due_rows, {**leased, "hand_out_id": hand_out_id, "limit": limit}
                ).fetchall()
                # Without a rate the next batch may follow at once, but after those of hand-outs that waited longer.
                pace = SendingPace(now) if rate is None else pace.add_claim(rate, now, len(rows))
                columns = [pace.next_at, [each.at for each in pace.claims], [each.rows for each in pace.claims]]
                cursor.execute(HandOutsSql.set_pace, (*columns, hand_out_id))
                if limit:
                    return [self._due(row, leased_until, quiet_hours) for row in rows]
        return []

    def details(self, hand_out_id: UUID) -> HandOutDetails:
        """Return the hand-out of a leased row, as it was when this process first needed it for this batch.

        Raises:
            LookupError: There is none: its row is missing until a rebuild.
        """
        details = self._details.get(hand_out_id) or self._hand_outs.find_hand_out(hand_out_id)
        if details is None:
            raise LookupError(f"no row of hand-out {hand_out_id}: run `ledger rebuild --apply`")
        self._details[hand_out_id] = details
        return details

    def text(self, hand_out_id: UUID, language: Language) -> HandOutText:
        """Return the hand-out's own text; an empty one if it has none."""
        texts = self._texts.get(hand_out_id)
        if texts is None:
            (texts,) = self._hand_outs.find_texts([hand_out_id])
            self._texts[hand_out_id] = texts
        return texts.get(language, HandOutText())

    def find_mails(self, code_ids: Sequence[UUID]) -> dict[UUID, QueuedMail]:
        """Return the newest emails of those of these codes that were handed out."""
        return {
            row[0]: QueuedMail(*row[1:]) for row in self._db.fetch_all(HandOutsSql.handed_out_of_ids, list(code_ids))
        }

    def find_codes(self, code_ids: Sequence[UUID]) -> dict[UUID, str]:
        """Return the texts of codes in normal form; broken rows are missing."""
        vault = self._storage.vault
        texts = (
            (row[0], vault.read_text("code", row))
            for row in self._db.fetch_all(HandOutsSql.code_texts_of_ids, list(code_ids))
        )
        return {code_id: text for code_id, text in texts if text is not None}

    def find_validity(self, code_ids: Sequence[UUID]) -> dict[UUID, CodeValidity]:
        """Return when codes can be redeemed, by their terms and those of their campaign, and which were revoked."""
        rows = self._db.fetch_all(HandOutsSql.redeem_windows, list(code_ids))
        return {
            code_id: CodeValidity(RedeemWindow(*times[:2]).intersect(RedeemWindow(*times[2:])), is_revoked, is_used)
            for code_id, is_revoked, is_used, *times in rows
        }

    def find_reminders(self, now: datetime, most: int) -> list[tuple[UUID, UUID]]:
        """Return codes whose reminder is due, each with a code of its line that waits.

        There are none in the quiet hours of their campaign, or soon after a search.

        A search that finds fewer than `most` rests for `SEARCH_INTERVAL`.
        """
        if self._next_search is not None and now < self._next_search <= now + SEARCH_INTERVAL:
            return []
        campaign_ids = [
            campaign_id
            for campaign_id, quiet_hours in self._db.fetch_named(HandOutsSql.reminding_campaigns, now=now)
            if quiet_hours is None or find_end_of_quiet_hours(quiet_hours, now) is None
        ]
        if not campaign_ids:
            return []
        rows = self._db.fetch_named(HandOutsSql.due_reminders, now=now, campaign_ids=campaign_ids, limit=most)
        self._next_search = now + SEARCH_INTERVAL if len(rows) < most else None
        return [(code_id, waiting_id) for code_id, waiting_id in rows]

    def finish(self, ends: Sequence[RowEnd]) -> None:
        """End the leases of rows."""
        if ends:
            self._db.execute(HandOutsSql.finish_rows, tuple(list(column) for column in zip(*ends, strict=True)))

    def ask(self, hand_out_id: UUID, code_id: UUID, now: datetime) -> bool:
        """Have the queued email of a row sent now; return False if the row is not in the hand-out's list any more.

        A row that may be leased is sent when its lease ends. `ResendHandOut` makes the email that it requests due.
        """
        leased_until = now + self._lease
        row = {"now": now, "leased_until": leased_until, "code_id": code_id, "hand_out_id": hand_out_id}
        return self._db.execute(HandOutsSql.ask_for_row, row) > 0

    def _due(self, row: Sequence[Any], leased_until: datetime, quiet_hours: str | None = None) -> DueRow:
        code_id, hand_out_id, recipient_id, language, sealed, key_id, attempts, may_have_arrived, codes = row
        text = None if sealed is None else self._storage.vault.open_text(code_id, sealed, key_id)
        variables = {} if text is None else orjson.loads(text)
        return DueRow(
            code_id,
            hand_out_id,
            recipient_id,
            cast("Language", language),
            variables,
            attempts,
            may_have_arrived,
            leased_until,
            quiet_hours,
            codes,
        )
