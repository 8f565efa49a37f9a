"""What a batch asks for, as statements: each kind of ask is one, and its rows go into the working set."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, LiteralString, cast
from uuid import UUID

from psycopg import Cursor

from domain.asks import Asks, ListedPlace
from domain.events.reservation import ReservationEvent
from domain.model.counted_uses import EXISTING_USES_MAX, ExistingUse
from domain.model.hand_out import HandOut
from domain.model.reservation import Reservation
from domain.model.reservation_transitions import evolve_reservation
from domain.model.suppression import Suppression
from domain.ports import PipelineSteps
from domain.values.timestamps import possible_time
from domain.working_set import MostUses, WorkingSet
from domain.writes import RememberedKey
from projections.database.binary_arrays import BIGS, BYTEAS, UUIDS
from projections.database.pipeline import fetch_pipelined
from projections.definitions.tables.handed_out_codes import PROJECTION as HANDED_OUT_CODES
from projections.event_store.codec import decode
from projections.event_store.hand_out_rows import build_hand_out, read_rate, texts_by_hand_out
from projections.sql.event_store import EventStoreSql
from projections.sql.hand_outs import HandOutsSql

OVERDUE_PER_CODE_MAX = 20
REVOKED_PER_CODE_MAX = 200
"""More than one command settles, so that unknown outcomes without an id for their case do not hide the others."""

Pair = tuple[UUID, UUID]
Fold = PipelineSteps[None]
"""Reads the rows of a statement that was sent."""


class BatchReads:
    """Sends the statements of one transaction's asks, each key of a kind at most once.

    Args:
        send: Sends a statement in pipeline mode.
        working_set: Of the transaction.
        asked: What was asked for before.
        locks_lists: Whether no list of a hand-out may change until the end of the transaction.
    """

    def __init__(
        self, send: Callable[..., Cursor[Any]], working_set: WorkingSet, asked: Asks, *, locks_lists: bool = True
    ) -> None:
        self.send = send
        self.locks_lists = locks_lists
        self.working_set = working_set
        self.named: Sequence[UUID] = ()  # ids of the reservations that the commands name
        self._asked = asked
        self._claimed: dict[UUID, Reservation] = {}

    def send_named_reservations(
        self, reservation_ids: Iterable[UUID], claimed: Mapping[UUID, Reservation]
    ) -> Sequence[Fold]:
        """Send the statement for reservations that commands name; the results are read by running what is returned.

        Args:
            reservation_ids: Their ids. The streams are locked.
            claimed: Reservations as they were when this process claimed them: only newer events of these are read.
        """
        ids = sorted(reservation_ids)
        if not ids:
            return ()
        self.named = ids
        self._claimed = {key: claimed[key] for key in ids if key in claimed}
        versions = [self._claimed[key].versions[-1] if key in self._claimed else 0 for key in ids]
        query = EventStoreSql.newer_events_of_reservations
        return (self._fold_named(self.send(query, UUIDS.encode(ids), BIGS.encode(versions))),)

    def send_new(self, asks: Asks, now: datetime) -> list[Fold]:
        """Send the statements for what was not asked for before; the results are read by running what is returned.

        Args:
            asks: Those of all commands of the batch.
            now: The latest time of a command of the batch.
        """
        folds: list[Fold] = []
        for kind, send in _STATEMENTS.items():
            if (keys := getattr(asks, kind)) and (new := keys - getattr(self._asked, kind)):
                getattr(self._asked, kind).update(new)
                folds += send(self, sorted(new), asks, now)
        return folds

    def _fold_named(self, sent: Cursor[Any]) -> Fold:
        for reservation in self._claimed.values():
            self.working_set.add_reservation(reservation)
        yield from self.fold_reservations(sent)

    def fold_reservations(self, sent: Cursor[Any]) -> Fold:
        """Add the reservations whose events a statement returns, all of them or those since the claim."""
        for reservation_id, rows in groupby((yield from fetch_pipelined(sent)), key=itemgetter(0)):
            reservation: Reservation | None = None
            for _, code_id, version, topic, state in rows:
                if reservation is None and (claimed := self._claimed.get(reservation_id)) is not None:
                    reservation = claimed if version > claimed.versions[-1] else None
                event = cast("ReservationEvent", decode(topic, state))
                reservation = evolve_reservation(reservation, code_id, version, event)
            if reservation is not None:
                self.working_set.add_reservation(reservation)


SendKeys = Callable[[BatchReads, Sequence[Any], Asks, datetime], Sequence[Fold]]
"""Sends the statement of one kind of ask for these sorted keys."""


def _of_reservations(query: LiteralString) -> SendKeys:
    return lambda reads, keys, _, __: (reads.fold_reservations(reads.send(query, keys)),)


def _send_persons(reads: BatchReads, pairs: Sequence[Pair], _asks: Asks, _now: datetime) -> Sequence[Fold]:
    columns = map(list, zip(*pairs, strict=True))
    return (reads.fold_reservations(reads.send(EventStoreSql.events_of_persons, *columns)),)


def _send_reservations(reads: BatchReads, ids: Sequence[UUID], _asks: Asks, _now: datetime) -> Sequence[Fold]:
    missing = [key for key in ids if key not in reads.working_set.reservations]
    return (reads.fold_reservations(reads.send(EventStoreSql.events_of_reservations, missing)),) if missing else ()


def _send_releasable(reads: BatchReads, code_ids: Sequence[UUID], _asks: Asks, _now: datetime) -> Sequence[Fold]:
    sent = reads.send(EventStoreSql.events_of_held_reservations, code_ids, REVOKED_PER_CODE_MAX)
    return (reads.fold_reservations(sent),)


def _send_overdue(reads: BatchReads, code_ids: Sequence[UUID], asks: Asks, now: datetime) -> Sequence[Fold]:
    overdue_max = OVERDUE_PER_CODE_MAX + max(asks.redeems[code_id] for code_id in code_ids)
    # A stream may be a little ahead of this clock, and decides by its own time then.
    due_times = [possible_time(now, reads.working_set.codes[code_id].last_at) for code_id in code_ids]
    overdue = reads.send(EventStoreSql.events_of_overdue, code_ids, due_times, overdue_max)
    earliest = reads.send(EventStoreSql.earliest_deadlines, UUIDS.encode(reads.named), code_ids, due_times)
    return reads.fold_reservations(overdue), _fold_pairs(earliest, reads.working_set.earliest_deadlines)


def _send_recipients(reads: BatchReads, digests: Sequence[bytes], _asks: Asks, _now: datetime) -> Sequence[Fold]:
    sent = reads.send(EventStoreSql.recipient_ids_of_digests, BYTEAS.encode(digests))
    return (_fold_pairs(sent, reads.working_set.recipient_ids),)


def _send_uses(reads: BatchReads, pairs: Sequence[Pair], _asks: Asks, _now: datetime) -> Sequence[Fold]:
    sent = reads.send(EventStoreSql.uses_of_persons, *map(UUIDS.encode, zip(*pairs, strict=True)))
    return (_fold_uses(sent, reads.working_set),)


def _fold_uses(sent: Cursor[Any], working_set: WorkingSet) -> Fold:
    for campaign_id, recipient_id, count in (yield from fetch_pipelined(sent)):
        working_set.uses_of_persons[campaign_id, recipient_id] = count


def _send_mailbox_uses(reads: BatchReads, pairs: Sequence[Pair], asks: Asks, _now: datetime) -> Sequence[Fold]:
    """Send a row for each pepper; a recipient whom no command adds has the digest that is stored."""
    drafts = {recipient_id: draft for (_, recipient_id), draft in asks.drafts.items()}
    rows = [
        (campaign_id, recipient_id, digest)
        for campaign_id, recipient_id in pairs
        for digest in (drafts[recipient_id].mailbox_digests if recipient_id in drafts else (None,))
    ]
    campaign_ids, recipient_ids, digests = zip(*rows, strict=True)
    sent = reads.send(
        EventStoreSql.uses_of_mailboxes,
        UUIDS.encode(campaign_ids),
        UUIDS.encode(recipient_ids),
        BYTEAS.encode(digests),
    )
    return (_fold_mailbox_uses(sent, reads.working_set),)


def _fold_mailbox_uses(sent: Cursor[Any], working_set: WorkingSet) -> Fold:
    rows = yield from fetch_pipelined(sent)
    for (campaign_id, recipient_id), group in groupby(rows, key=itemgetter(0, 1)):
        counted = [(digest, count, spellings) for _, _, digest, count, spellings in group]
        uses = sum(count for _, count, _ in counted)
        others = [other for _, _, spellings in counted for other in spellings]
        working_set.add_mailbox_uses(campaign_id, recipient_id, counted[0][0], uses, others)


def _send_deadlines(reads: BatchReads, campaign_ids: Sequence[UUID], _asks: Asks, now: datetime) -> Sequence[Fold]:
    sent = reads.send(EventStoreSql.earliest_deadlines_of_campaigns, now, UUIDS.encode(campaign_ids))
    return (_fold_pairs(sent, reads.working_set.campaign_deadlines),)


def _fold_pairs(sent: Cursor[Any], values: dict[Any, Any]) -> Fold:
    values.update((key, value) for key, value in (yield from fetch_pipelined(sent)) if value is not None)


def _send_keys(reads: BatchReads, scopes: Sequence[bytes], _asks: Asks, now: datetime) -> Sequence[Fold]:
    return (_fold_keys(reads.send(EventStoreSql.idempotency_keys, scopes, now), reads.working_set),)


def _fold_keys(sent: Cursor[Any], working_set: WorkingSet) -> Fold:
    for scope, body, reservation_id in (yield from fetch_pipelined(sent)):
        working_set.remembered[scope] = RememberedKey(body, reservation_id)


def _send_texts(reads: BatchReads, text_ids: Sequence[UUID], _asks: Asks, _now: datetime) -> Sequence[Fold]:
    return (_fold_texts(reads.send(EventStoreSql.known_texts, text_ids), reads.working_set),)


def _fold_texts(sent: Cursor[Any], working_set: WorkingSet) -> Fold:
    working_set.known_texts.update(row[0] for row in (yield from fetch_pipelined(sent)))


def _send_suppressions(reads: BatchReads, recipient_ids: Sequence[UUID], _asks: Asks, now: datetime) -> Sequence[Fold]:
    sent = reads.send(EventStoreSql.suppressions_of_recipients, UUIDS.encode(recipient_ids), now)
    return (_fold_suppressions(sent, reads.working_set),)


def _fold_suppressions(sent: Cursor[Any], working_set: WorkingSet) -> Fold:
    for recipient_id, cause, group_name, is_of_group in (yield from fetch_pipelined(sent)):
        earlier = working_set.suppressions.get(recipient_id, ())
        working_set.suppressions[recipient_id] = (*earlier, Suppression(cause, group_name or None, is_of_group))


def _send_places(reads: BatchReads, places: Sequence[ListedPlace], _asks: Asks, _now: datetime) -> Sequence[Fold]:
    """Compare the place of each code with the lists."""
    if reads.locks_lists:
        reads.send(HandOutsSql.lock_lists)
    query, working_set = EventStoreSql.listed_places, reads.working_set
    return [
        _fold_place(reads.send(query, place.code_id, place.campaign_id, place.recipient_id), place, working_set)
        for place in places
    ]


def _fold_place(sent: Cursor[Any], place: ListedPlace, working_set: WorkingSet) -> Fold:
    needed = [(place.code_id, place.hand_out_id, place.recipient_id)] if place.is_listed else []
    if (yield from fetch_pipelined(sent)) != needed:
        working_set.listed_codes.add(place.code_id)


def _send_handed_out(reads: BatchReads, code_ids: Sequence[UUID], _asks: Asks, _now: datetime) -> Sequence[Fold]:
    sent = reads.send(HANDED_OUT_CODES.table.select("code_id = ANY(%s)"), UUIDS.encode(code_ids))
    return (_fold_handed_out(sent, reads.working_set),)


def _fold_handed_out(sent: Cursor[Any], working_set: WorkingSet) -> Fold:
    for row in (yield from fetch_pipelined(sent)):
        handed_out = HANDED_OUT_CODES.read_back(row)
        working_set.handed_out[handed_out.code_id] = handed_out


def _send_most_uses(reads: BatchReads, campaign_ids: Sequence[UUID], _asks: Asks, _now: datetime) -> Sequence[Fold]:
    query, working_set = EventStoreSql.most_uses_of_a_person, reads.working_set
    return [_fold_most_uses(reads.send(query, campaign_id), campaign_id, working_set) for campaign_id in campaign_ids]


def _fold_most_uses(sent: Cursor[Any], campaign_id: UUID, working_set: WorkingSet) -> Fold:
    ((*most, working_set.lacks_mailboxes),) = yield from fetch_pipelined(sent)
    working_set.most_per_person[campaign_id] = MostUses(*most)


def _send_existing_uses(reads: BatchReads, campaign_ids: Sequence[UUID], _asks: Asks, _now: datetime) -> Sequence[Fold]:
    query, uses = EventStoreSql.existing_uses, reads.working_set.existing_uses
    return [
        _fold_existing_uses(reads.send(query, campaign_id, None, EXISTING_USES_MAX + 1), campaign_id, uses)
        for campaign_id in campaign_ids
    ]


def _fold_existing_uses(sent: Cursor[Any], campaign_id: UUID, uses: dict[UUID, Sequence[ExistingUse]]) -> Fold:
    uses[campaign_id] = [ExistingUse(*row) for row in reversed((yield from fetch_pipelined(sent)))]


def _send_hand_outs(reads: BatchReads, hand_out_ids: Sequence[UUID], _asks: Asks, _now: datetime) -> Sequence[Fold]:
    query, hand_outs = EventStoreSql.hand_out_of_id, reads.working_set.hand_outs
    return [_fold_hand_out(reads.send(query, hand_out_id), hand_out_id, hand_outs) for hand_out_id in hand_out_ids]


def _fold_hand_out(sent: Cursor[Any], hand_out_id: UUID, hand_outs: dict[UUID, HandOut]) -> Fold:
    for campaign_id, state, starts_at, topic, event in (yield from fetch_pipelined(sent)):
        hand_outs[hand_out_id] = build_hand_out(hand_out_id, campaign_id, state, starts_at, read_rate(topic, event))


def _send_hand_out_texts(
    reads: BatchReads, hand_out_ids: Sequence[UUID], _asks: Asks, _now: datetime
) -> Sequence[Fold]:
    sent = reads.send(EventStoreSql.texts_of_hand_outs, UUIDS.encode(hand_out_ids))
    return (_fold_hand_out_texts(sent, reads.working_set),)


def _fold_hand_out_texts(sent: Cursor[Any], working_set: WorkingSet) -> Fold:
    """Add the texts of the one hand-out that is changed: that command is alone in its batch."""
    for texts in texts_by_hand_out((yield from fetch_pipelined(sent))).values():
        working_set.hand_out_texts = texts


_STATEMENTS: Final[Mapping[str, SendKeys]] = {
    "recipients": _send_recipients,
    "persons": _send_persons,
    "reservations_by_id": _send_reservations,
    "followers": _of_reservations(EventStoreSql.events_of_followers),
    "rebinds": _of_reservations(EventStoreSql.events_of_rebinds),
    "newer": _of_reservations(EventStoreSql.events_of_newer_reservations),
    "releasable": _send_releasable,
    "overdue": _send_overdue,
    "uses": _send_uses,
    "mailbox_uses": _send_mailbox_uses,
    "deadlines": _send_deadlines,
    "keys": _send_keys,
    "places": _send_places,
    "handed_out": _send_handed_out,
    "texts": _send_texts,
    "suppressions": _send_suppressions,
    "most_uses": _send_most_uses,
    "existing_uses": _send_existing_uses,
    "hand_outs_by_id": _send_hand_outs,
    "hand_out_texts": _send_hand_out_texts,
}
"""By the names of `Asks`. What was handed out is read after the lock of the lists."""
