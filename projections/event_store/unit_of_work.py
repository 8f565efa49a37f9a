"""One transaction of `execute`: lock, look up, and later append with the read models (docs/architecture.md).

Locks, in this order: the entrance (shared), streams (sorted), new recipients (sorted), then the order lock; nobody
who holds a later one waits for an earlier one.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, LiteralString, cast
from uuid import UUID

from psycopg import Connection, Cursor
from psycopg.rows import tuple_row

from domain.application import PipelineSteps
from domain.command_bus import CodeCommand, Command, NewCode, Result, recipient_drafts_in
from domain.commands.access.rebind import RequestRebind
from domain.commands.add_note import NoteOnCode, NoteOnReservation
from domain.commands.code.revoke import ContinueRevocation, RevokeCode
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.reserve import ReserveUse
from domain.events import ReservationEvent
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import fold_reservation
from domain.ports import RecipientDraft
from domain.working_set import Recorded, RememberedKey, WorkingSet
from projections.database.binary_arrays import BYTEAS, UUIDS, columns
from projections.database.connection import rows_of
from projections.event_store import side_tables, vault_rows
from projections.event_store.caches import StoreCaches
from projections.event_store.code_loader import CodeLook
from projections.event_store.codec import decode, encode
from projections.event_store.recipient_lookup import (
    LOOKS_AT_MOVES,
    may_be_retaken,
    recipients_referenced,
    reservations_referenced,
    tied_to,
)
from projections.event_store.row_mapping import (
    BALANCE_KINDS,
    CASE_KINDS,
    CLOSED_CASE_KINDS,
    EVENT_KINDS,
    RESERVATION_KINDS,
    balance_row,
    case_rows,
    reservation_row,
)
from projections.event_store.snapshots import snapshot_due, write_snapshots
from projections.sql.event_store import EventStoreSql

OVERDUE_PER_CODE_MAX = 20
REVOKED_PER_CODE_MAX = 200
"""More than one command settles, so that those in doubt without an id for their case don't hide the others."""


class PostgresUnitOfWork:
    """`domain.application.UnitOfWork` in one open transaction of a connection in pipeline mode.

    What is asked goes out at once and is read later, so a batch of new redeems costs two round trips: the
    look-ups, and the rows with the commit. A fault of a write shows with the next read, at the latest on commit.
    """

    def __init__(self, conn: Connection[Any], caches: StoreCaches) -> None:
        self._conn = conn
        self._cursor = self._new_cursor()
        self._caches = caches
        self._book = WorkingSet()
        self._loaded: dict[UUID, int] = {}

    def load(self, commands: Sequence[Command]) -> PipelineSteps[WorkingSet]:
        """Lock what the commands touch and read it, in as few round trips as there are kinds of look-up."""
        book = self._book
        self._cursor.execute(EventStoreSql.enter)
        redeems = [command for command in commands if isinstance(command, ReserveUse)]
        others = [command for command in commands if not isinstance(command, ReserveUse)]
        by_text = [command for command in others if isinstance(command, CorrectRecipient | RequestRebind)]
        targets = reservations_referenced(others)
        targeted = yield from self._codes_of_reservations(targets)
        yield from self._find_codes([*redeems, *by_text])
        rebinds = [command for command in others if isinstance(command, RequestRebind)]
        digests = [command.code_digests for command in redeems] + [command.code_digests for command in rebinds]
        streams = {code_id for each in digests if (code_id := book.code_id(each))}
        streams |= set(targeted.values())
        streams |= {command.code_id for command in others if isinstance(command, CodeCommand)}
        issued = {command.code_id for command in others if isinstance(command, NewCode)}
        self._lock(streams)
        codes = CodeLook(self._ask, self._caches.codes)
        yield from codes.ask(streams, issued)
        held = self._ask(EventStoreSql.events_of_reservations, UUIDS.array(sorted(targeted))) if targeted else None
        drafts = [draft for command in commands for draft in recipient_drafts_in(command)]
        if drafts:
            yield from self._load_recipients(drafts)
        book.codes.update((yield from codes.take()))
        self._loaded.update((code_id, code.version) for code_id, code in book.codes.items())
        if redeems:
            yield from self._load_for_redeems(redeems)
        if held is not None:
            yield from self._take_reservations(held)
            yield from self._load_rebind_sources()
            yield from self._load_newer(targets, commands)
        if others:
            yield from self._load_for_staff(others, targeted)
        return book

    def save(self, book: WorkingSet, commands: Sequence[Command], results: Sequence[Result]) -> PipelineSteps[None]:
        """Append events and write every row that follows from them."""
        drafts = [book.new_recipients[digest] for digest in sorted(book.new_recipients)]
        vault_rows.insert_recipients(self._cursor, drafts)
        if book.new_events:
            vault_rows.insert_texts(self._cursor, book, commands, results)
            self._append(book)
            side_tables.insert_outbox(self._cursor, book)
            side_tables.insert_revocations(self._cursor, book)
        side_tables.save_idempotency_keys(self._cursor, commands, results)
        yield from side_tables.keep_refusals(self._cursor, self._caches, book, commands, results)

    def commit(self) -> PipelineSteps[None]:
        """Commit. It is done when the transaction was left without a fault, not earlier."""
        yield from rows_of(self._conn.execute("COMMIT"), expected=False)

    def committed(self) -> None:
        """Take committed states into the caches."""
        for code_id, code in self._book.codes.items():
            self._caches.codes.put(code_id, code)
        for digest, code_id in self._book.code_ids.items():
            self._caches.code_ids.put(digest, code_id)

    def _codes_of_reservations(self, reservation_ids: Sequence[UUID]) -> PipelineSteps[dict[UUID, UUID]]:
        """The streams of reservations, which never change; whoever records an attempt has claimed it just before."""
        found: dict[UUID, UUID] = {}
        missing: set[UUID] = set()
        for reservation_id in reservation_ids:
            try:
                found[reservation_id] = self._caches.codes_of_reservations.get(reservation_id)
            except KeyError:
                missing.add(reservation_id)
        if missing:
            for reservation_id, code_id in (
                yield from self._all(EventStoreSql.code_ids_of_reservations, UUIDS.array(sorted(missing)))
            ):
                found[reservation_id] = code_id
                self._caches.codes_of_reservations.put(reservation_id, code_id)
        return found

    def _load_rebind_sources(self) -> PipelineSteps[None]:
        """What rebinds of this batch move, for it ends with their success; and what waits for a removal to be sent."""
        book = self._book
        if missing := sorted(tied_to(book) - book.reservations.keys()):
            yield from self._hold(EventStoreSql.events_of_reservations, missing)

    def _find_codes(self, commands: Sequence[ReserveUse | CorrectRecipient | RequestRebind]) -> PipelineSteps[None]:
        """Resolve digests of code texts; texts never change, so what is cached stays right."""
        missing: set[bytes] = set()
        for command in commands:
            for digest in command.code_digests or ():
                try:
                    self._book.code_ids[digest] = self._caches.code_ids.get(digest)
                    break
                except KeyError:
                    missing.add(digest)
        if missing:
            self._book.code_ids.update((yield from self._all(EventStoreSql.code_ids_of_digests, sorted(missing))))

    def _lock(self, streams: Iterable[UUID]) -> None:
        """Advisory locks in one order for everybody; two streams on one key only wait for one another."""
        keys = sorted({int.from_bytes(code_id.bytes[:8], "big", signed=True) for code_id in streams})
        if keys:
            self._cursor.execute(EventStoreSql.lock_streams, (keys,))

    def _load_recipients(self, drafts: Sequence[RecipientDraft]) -> PipelineSteps[None]:
        digests = sorted({digest for draft in drafts for digest in draft.digests})
        found = yield from self._all(EventStoreSql.recipient_ids_of_digests, BYTEAS.array(digests))
        self._book.recipient_ids.update(found)

    def _load_for_redeems(self, redeems: Sequence[ReserveUse]) -> PipelineSteps[None]:
        book = self._book
        persons = {
            (code_id, book.recipient_id(command.recipient))
            for command in redeems
            if (code_id := book.code_id(command.code_digests))
            and any(digest in book.recipient_ids for digest in command.recipient.digests)
        }
        if persons:
            pairs = sorted(persons)
            yield from self._hold(
                EventStoreSql.events_of_persons, [pair[0] for pair in pairs], [pair[1] for pair in pairs]
            )
        named = sorted({command.again for command in redeems if command.again})
        if named:
            yield from self._hold(EventStoreSql.events_of_reservations, named)
            yield from self._hold(EventStoreSql.events_of_followers, named)
        yield from self._load_keys(redeems)
        yield from self._load_tight(redeems)

    def _load_for_staff(self, commands: Sequence[Command], targeted: Mapping[UUID, UUID]) -> PipelineSteps[None]:
        """What the rarer commands look at besides: the new person's reservations, held ones to undo, known notes."""
        book = self._book
        persons = recipients_referenced(commands, targeted, book)
        if persons:
            pairs = sorted(persons)
            yield from self._hold(
                EventStoreSql.events_of_persons, [pair[0] for pair in pairs], [pair[1] for pair in pairs]
            )
        moved = sorted({command.reservation_id for command in commands if isinstance(command, LOOKS_AT_MOVES)})
        if moved:
            yield from self._hold(EventStoreSql.events_of_moves, moved)
        revoked = {command.code_id for command in commands if isinstance(command, RevokeCode | ContinueRevocation)}
        if revoked:
            yield from self._hold(EventStoreSql.events_of_held, sorted(revoked), REVOKED_PER_CODE_MAX)
        noted = {command.note.text_id for command in commands if isinstance(command, NoteOnCode | NoteOnReservation)}
        if noted:
            book.known_texts.update(row[0] for row in (yield from self._all(EventStoreSql.known_texts, sorted(noted))))

    def _load_newer(self, targets: Sequence[UUID], commands: Sequence[Command]) -> PipelineSteps[None]:
        """The same persons' newer reservations, where a use that was given back may be counted again.

        That is where it is given back already, or may be so by another command of this batch.
        """
        wanted = may_be_retaken(targets, commands, self._book)
        if wanted:
            yield from self._hold(EventStoreSql.events_of_newer, wanted)

    def _load_keys(self, redeems: Sequence[ReserveUse]) -> PipelineSteps[None]:
        keys = (key for command in redeems if command.key for key in command.key.spellings())
        scopes = sorted({key.scope_digest for key in keys})
        if not scopes:
            return
        rows = yield from self._all(EventStoreSql.remembered_keys, scopes, redeems[0].context.now)
        for scope, body, reservation_id in rows:
            self._book.remembered[scope] = RememberedKey(body, reservation_id)
        ids = [known.reservation_id for known in self._book.remembered.values()]
        if ids:
            yield from self._hold(EventStoreSql.events_of_reservations, ids)

    def _load_tight(self, redeems: Sequence[ReserveUse]) -> PipelineSteps[None]:
        """Overdue reservations and the next deadline, for codes where this batch may need them."""
        book = self._book
        now = max(command.context.now for command in redeems)
        wanted = Counter(book.code_id(command.code_digests) for command in redeems)
        tight = sorted(
            code_id
            for code_id, count in wanted.items()
            if code_id and (code := book.codes.get(code_id)) and _may_run_out(code, count)
        )
        if tight:
            overdue = self._ask(EventStoreSql.events_of_overdue, tight, now, OVERDUE_PER_CODE_MAX)
            earliest = self._ask(EventStoreSql.earliest_deadlines, now, tight)
            yield from self._take_reservations(overdue)
            found = yield from rows_of(earliest)
            book.earliest_deadlines.update({code_id: first for code_id, first in found if first})

    def _hold(self, query: LiteralString, *params: Any) -> PipelineSteps[None]:
        """Fold the reservations that a look-up finds and take them into the book."""
        yield from self._take_reservations(self._ask(query, *params))

    def _take_reservations(self, asked: Cursor[Any]) -> PipelineSteps[None]:
        for _, rows in groupby((yield from rows_of(asked)), key=lambda row: row[0]):
            events = [(row[1], row[2], decode(row[3], row[4])) for row in rows]
            history = [(version, cast("ReservationEvent", event)) for _, version, event in events]
            self._book.add_reservation(fold_reservation(events[0][0], history))

    def _append(self, book: WorkingSet) -> None:
        self._cursor.execute(EventStoreSql.lock_order)
        self._cursor.execute(EventStoreSql.insert_events, columns(EVENT_KINDS, map(_stored, book.new_events)))
        codes, reservations = book.changed()
        self._cursor.execute(EventStoreSql.upsert_balances, columns(BALANCE_KINDS, map(balance_row, codes)))
        write_snapshots(
            self._cursor, (code for code in codes if snapshot_due(self._loaded.get(code.code_id, 0), code.version))
        )
        rows = list(map(reservation_row, reservations))
        if rows:
            self._cursor.execute(EventStoreSql.upsert_reservations, columns(RESERVATION_KINDS, rows))
        opened, closed = case_rows((recorded.originator_id, recorded.event) for recorded in book.new_events)
        if opened:
            self._cursor.execute(EventStoreSql.insert_cases, columns(CASE_KINDS, opened))
        if closed:
            self._cursor.execute(EventStoreSql.close_cases, columns(CLOSED_CASE_KINDS, closed))

    def _all(self, query: LiteralString, *params: Any) -> PipelineSteps[list[Any]]:
        return (yield from rows_of(self._ask(query, *params)))

    def _ask(self, query: LiteralString, *params: Any) -> Cursor[Any]:
        """Send a question; its rows are read when they are wanted."""
        return self._new_cursor().execute(query, params)

    def _new_cursor(self) -> Cursor[Any]:
        return self._conn.cursor(row_factory=tuple_row, binary=True)


def _stored(recorded: Recorded) -> tuple[UUID, int, str, bytes]:
    return (recorded.originator_id, recorded.originator_version, *encode(recorded.event))


def _may_run_out(code: RedeemCode, commands: int) -> bool:
    """Whether commands on this code may be refused because of reservations that are not settled."""
    if not code.reserved:
        return code.available is not None and code.available < commands
    return code.bound or (code.available is not None and code.available < commands)
