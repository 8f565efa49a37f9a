"""One transaction of `execute`: lock, look up, and later append with the read models (docs/architecture.md).

Locks in this order: the writer lock (shared), streams (sorted), the lock of lists, new recipients (sorted), rows of
hand-outs' lists (sorted), the append order. A holder of a later lock never waits for an earlier one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import partial
from typing import Any, LiteralString, cast
from uuid import UUID

from eventsourcing.persistence import OperationalError
from psycopg import Connection, Cursor
from psycopg.rows import tuple_row

from domain.command_bus import CodeCommand, Command, NewCode, Result, recipient_drafts_in
from domain.commands.access.rebind import RequestRebind
from domain.commands.add_note import NoteOnCode, NoteOnReservation
from domain.commands.campaign.join_campaign import JoinCampaign
from domain.commands.campaign.manage_campaign import CampaignCommand
from domain.commands.code.revoke import ContinueRevocation, RevokeCode
from domain.commands.hand_out.manage_hand_out import HandOutCommand
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.reserve import ReserveUse
from domain.model.campaign import Campaign
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.ports import PipelineSteps, RecipientDraft
from domain.values.timestamps import possible_time
from domain.working_set import Recorded, RememberedKey, WorkingSet
from projections.database.binary_arrays import BYTEAS
from projections.database.pipeline import BufferingConnection, fetch_pipelined, send_pipelined
from projections.database.table_arrays import encode_rows
from projections.definitions.projection import Row
from projections.definitions.registry import STATE_PROJECTIONS
from projections.definitions.row_writer import insert_rows, merge_event_rows, write_rows
from projections.event_store import hand_out_loader, side_tables, vault_rows
from projections.event_store.caches import StoreCaches
from projections.event_store.campaign_loader import CampaignLoader
from projections.event_store.code_loader import CodeLoader
from projections.event_store.codec import encode
from projections.event_store.recipient_lookup import (
    COMMANDS_AFFECTING_REBINDS,
    count_redeems,
    find_linked_reservations,
    find_recountable,
    may_run_out,
    recipients_referenced,
    reservations_referenced,
)
from projections.event_store.reservation_loader import ReservationLoader
from projections.event_store.snapshots import snapshot_due, write_campaign_snapshots, write_snapshots
from projections.sql.event_store import EVENTS, EventStoreSql
from projections.telemetry.after_commit import after_commit

OVERDUE_PER_CODE_MAX = 20
REVOKED_PER_CODE_MAX = 200
"""More than one command settles, so that unknown outcomes without an id for their case do not hide the others."""
REDEEMS_PER_CODE_MIN = 4
"""Redeems per code in a batch that waits for its locks alone, so that more redeems of the same codes can join it."""

TakeWaiting = Callable[[Callable[[Command], bool]], Sequence[Command]]
"""Takes the commands that wait and may be decided in a transaction, which a function tells."""


class PostgresUnitOfWork:
    """`domain.application.UnitOfWork` in one open transaction of a connection in pipeline mode.

    Queries are sent immediately and their rows read later, so a batch of new redeems costs two round trips: the
    queries, and the rows with the commit. A failed write raises at the next read, at the latest on commit.
    """

    def __init__(self, conn: Connection[Any], caches: StoreCaches, take_waiting: TakeWaiting | None = None) -> None:
        self._conn = conn
        self._take_waiting = take_waiting
        self._cursor = conn.cursor(row_factory=tuple_row, binary=True)
        # No bound method: in a cycle, every batch with all its states would wait for the garbage collector.
        self._send = partial(send_pipelined, conn)
        self._caches = caches
        self._working_set = WorkingSet()
        self._loaded: dict[UUID, int] = {}
        self._campaigns = CampaignLoader(self._send, caches)
        self._reservations = ReservationLoader(self._send, caches, self._working_set)

    def load(self, commands: list[Command]) -> PipelineSteps[WorkingSet]:
        """Lock and read what the commands touch, with one round trip for each kind of query.

        Redeems that arrive while the locks of few codes are awaited are added, if the locks are those they need.
        """
        working_set = self._working_set
        server = self._send(EventStoreSql.lock_shared_writer)
        redeems = [command for command in commands if isinstance(command, ReserveUse)]
        others = [command for command in commands if not isinstance(command, ReserveUse)]
        by_code_text = [command for command in others if isinstance(command, CorrectRecipient | RequestRebind)]
        targets = reservations_referenced(others)
        codes_of_targets = yield from self._reservations.find_codes(targets)
        yield from self._resolve_code_ids([*redeems, *by_code_text])
        digests = {tuple(each.code_digests) for each in redeems}
        digests |= {tuple(each.code_digests) for each in others if isinstance(each, RequestRebind)}
        streams = {code_id for each in digests if (code_id := working_set.code_id(each))}
        streams |= set(codes_of_targets.values())
        streams |= {command.code_id for command in others if isinstance(command, CodeCommand)}
        issued = {command.code_id for command in others if isinstance(command, NewCode)}
        joins = {command.code_id: command.campaign_id for command in others if isinstance(command, JoinCampaign)}
        campaigns = yield from self._campaigns.find(streams, joins)
        named_campaigns = {command.campaign_id for command in others if isinstance(command, NewCode)} - {None}
        lock = self._lock(streams | self._campaigns.select_locked(campaigns))
        are_few = len(streams) <= max(1, len(redeems) // REDEEMS_PER_CODE_MIN)
        if lock is not None and self._take_waiting is not None and are_few and not others:
            yield from fetch_pipelined(lock)
            joined = self._take_waiting(lambda command: self._is_redeem_of(streams, command))
            commands += joined
            redeems += cast("Sequence[ReserveUse]", joined)
        codes = CodeLoader(self._send, self._caches.codes)
        yield from codes.request(streams, issued)
        self._reservations.request(codes_of_targets)
        drafts = [draft for command in commands for draft in recipient_drafts_in(command)]
        if drafts:
            yield from self._load_recipients(drafts)
        if campaigns or named_campaigns:
            yield from self._campaigns.load([*campaigns, *filter(None, named_campaigns - campaigns)], working_set)
        working_set.codes.update((yield from codes.load()))
        self._campaigns.check_membership(working_set)
        self._loaded.update((code_id, code.version) for code_id, code in working_set.codes.items())
        if redeems:
            yield from self._load_for_redeems(redeems)
        if codes_of_targets:
            yield from self._reservations.load()
            yield from self._load_rebind_sources()
            yield from self._load_newer_reservations(targets, commands)
        if others:
            yield from self._load_for_other_commands(others, codes_of_targets)
        if campaigns:
            yield from self._load_for_campaigns(redeems, by_code_text, codes_of_targets)
        yield from self._check_server(server)
        return working_set

    def load_campaign(self, command: CampaignCommand | HandOutCommand) -> PipelineSteps[WorkingSet]:
        """Lock and read the campaign of a command, with its hand-out or, for new terms, a recipient's most uses."""
        server = self._send(EventStoreSql.lock_shared_writer)
        self._lock([command.campaign_id])
        yield from self._campaigns.load_target(command, self._working_set)
        yield from self._check_server(server)
        return self._working_set

    def save(
        self, working_set: WorkingSet, commands: Sequence[Command], results: Sequence[Result]
    ) -> PipelineSteps[None]:
        """Append the new events and write every row that follows from them."""
        drafts = [working_set.new_recipients[digest] for digest in sorted(working_set.new_recipients)]
        vault_rows.insert_recipients(self._cursor, drafts)
        if working_set.new_events:
            vault_rows.insert_texts(self._cursor, working_set, commands, results)
            if working_set.handed_out:
                side_tables.insert_given_codes(self._cursor, commands, results)
                side_tables.make_hand_out_mails_due(self._cursor, working_set)
            side_tables.save_hand_out_texts(self._cursor, working_set)
            self._append(working_set)
            side_tables.insert_outbox(self._cursor, working_set)
            side_tables.enqueue_revocation_followups(self._cursor, working_set)
        side_tables.save_idempotency_keys(self._cursor, commands, results)
        yield from side_tables.record_rejections(self._cursor, self._caches, working_set, commands, results)

    def commit(self) -> PipelineSteps[None]:
        """Commit. The commit is certain once the transaction was left without an error, not earlier."""
        yield from cast("BufferingConnection", self._conn).commit_pipelined()

    def publish_to_caches(self) -> None:
        """Put the committed states into the caches. Never raises: the transaction is committed."""
        with after_commit("publishing to caches"):
            for code_id, code in self._working_set.codes.items():
                self._caches.codes.put(code_id, code)
            self._campaigns.publish(self._working_set)
            self._reservations.publish()
            for digest, code_id in self._working_set.code_ids.items():
                self._caches.code_ids.put(digest, code_id)

    def _check_server(self, answered: Cursor[Any]) -> PipelineSteps[None]:
        """Check that the states of the caches are those of the server that this transaction runs on.

        Raises:
            OperationalError: It is another one; the batch is decided again with what that server holds.
        """
        rows = yield from fetch_pipelined(answered)
        if cast("BufferingConnection", self._conn).is_led_elsewhere(rows[0][2]):
            raise OperationalError("another database server answers on this connection")

    def _load_rebind_sources(self) -> PipelineSteps[None]:
        """Load the reservations that rebinds of this batch move, and those that wait for the removal of an access."""
        working_set = self._working_set
        if missing_ids := sorted(find_linked_reservations(working_set) - working_set.reservations.keys()):
            yield from self._reservations.add(EventStoreSql.events_of_reservations, missing_ids)

    def _resolve_code_ids(
        self, commands: Sequence[ReserveUse | CorrectRecipient | RequestRebind]
    ) -> PipelineSteps[None]:
        """Resolve digests of code texts. A text never changes, so a cached id stays valid."""
        missing_ids: set[bytes] = set()
        for command in commands:
            for digest in command.code_digests or ():
                if digest in self._working_set.code_ids:
                    break
                try:
                    self._working_set.code_ids[digest] = self._caches.code_ids.get(digest)
                    break
                except KeyError:
                    missing_ids.add(digest)
        if missing_ids:
            for digest, code_id, campaign_id in (
                yield from self._fetch(EventStoreSql.codes_of_digests, sorted(missing_ids))
            ):
                self._working_set.code_ids[digest] = code_id
                self._caches.campaigns_of_codes.put(code_id, campaign_id)

    def _lock(self, streams: Iterable[UUID]) -> Cursor[Any] | None:
        """Take advisory locks in ascending order. Two streams with the same key only wait for each other."""
        keys = sorted({int.from_bytes(code_id.bytes[:8], "big", signed=True) for code_id in streams})
        return self._send(EventStoreSql.lock_streams, keys) if keys else None

    def _is_redeem_of(self, streams: AbstractSet[UUID], command: Command) -> bool:
        """Return whether a command is a redeem of one of these codes; if so, it is in the working set then."""
        if not isinstance(command, ReserveUse):
            return False
        for digest in command.code_digests or ():
            with suppress(KeyError):
                code_id = self._caches.code_ids.get(digest)
                self._working_set.code_ids[digest] = code_id
                return code_id in streams
        return False

    def _load_recipients(self, drafts: Sequence[RecipientDraft]) -> PipelineSteps[None]:
        digests = sorted({digest for draft in drafts for digest in draft.digests})
        rows = yield from self._fetch(EventStoreSql.recipient_ids_of_digests, BYTEAS.encode(digests))
        self._working_set.recipient_ids.update(rows)

    def _load_for_redeems(self, redeems: Sequence[ReserveUse]) -> PipelineSteps[None]:
        if pairs := sorted(self._find_persons(redeems)):
            yield from self._reservations.add(
                EventStoreSql.events_of_persons, [pair[0] for pair in pairs], [pair[1] for pair in pairs]
            )
        reservation_ids = sorted({command.again for command in redeems if command.again})
        if reservation_ids:
            yield from self._reservations.add(EventStoreSql.events_of_reservations, reservation_ids)
            yield from self._reservations.add(EventStoreSql.events_of_followers, reservation_ids)
        yield from self._load_idempotency_keys(redeems)
        yield from self._load_contended(redeems)

    def _find_persons(self, redeems: Sequence[ReserveUse]) -> set[tuple[UUID, UUID]]:
        """Return code and recipient of the redeems for which the recipient's uses are read."""
        working_set = self._working_set
        known_digests = working_set.recipient_ids.keys()
        return {
            (code_id, working_set.recipient_id(command.recipient))
            for command in redeems
            if (code_id := working_set.code_id(command.code_digests))
            and (not known_digests.isdisjoint(command.recipient.digests) or self._refuses_new(code_id, command))
        }

    def _refuses_new(self, code_id: UUID, command: ReserveUse) -> bool:
        """Return whether a new recipient is refused by the code or its campaign in any case.

        Then the same is read as for a known recipient: a refusal is free, so its time must not tell the two apart.
        """
        code, now = self._working_set.codes.get(code_id), command.context.now
        campaign = None if code is None else self._working_set.campaign_of(code)
        return code is not None and (
            code.state(now) != "active"
            or code.is_bound_to_another(None)
            or (campaign is not None and campaign.state(now) != "active")
        )

    def _load_for_other_commands(
        self, commands: Sequence[Command], codes_of_targets: Mapping[UUID, UUID]
    ) -> PipelineSteps[None]:
        """Load what other commands read: the new recipient's reservations, reserved uses to refund, known notes."""
        working_set = self._working_set
        recipients = recipients_referenced(commands, codes_of_targets, working_set)
        if recipients:
            pairs = sorted(recipients)
            yield from self._reservations.add(
                EventStoreSql.events_of_persons, [pair[0] for pair in pairs], [pair[1] for pair in pairs]
            )
        rebind_targets = sorted(
            {command.reservation_id for command in commands if isinstance(command, COMMANDS_AFFECTING_REBINDS)}
        )
        if rebind_targets:
            yield from self._reservations.add(EventStoreSql.events_of_rebinds, rebind_targets)
        revoked_codes = {
            command.code_id for command in commands if isinstance(command, RevokeCode | ContinueRevocation)
        }
        if revoked_codes:
            yield from self._reservations.add(
                EventStoreSql.events_of_held_reservations, sorted(revoked_codes), REVOKED_PER_CODE_MAX
            )
        yield from hand_out_loader.load_handed_out_codes(self._send, working_set, commands)
        text_ids = {command.note.text_id for command in commands if isinstance(command, NoteOnCode | NoteOnReservation)}
        if text_ids:
            working_set.known_texts.update(
                row[0] for row in (yield from self._fetch(EventStoreSql.known_texts, sorted(text_ids)))
            )

    def _load_for_campaigns(
        self,
        redeems: Sequence[ReserveUse],
        by_code_text: Sequence[CorrectRecipient | RequestRebind],
        codes_of_targets: Mapping[UUID, UUID],
    ) -> PipelineSteps[None]:
        """Load what the limits of campaigns are compared with: uses of recipients, and deadlines of full campaigns."""
        working_set = self._working_set
        corrections = [
            command
            for command in by_code_text
            if isinstance(command, CorrectRecipient) and command.reservation_id in codes_of_targets
        ]
        pairs = [*self._find_persons(redeems)]
        pairs += [
            (codes_of_targets[command.reservation_id], working_set.recipient_id(command.recipient))
            for command in corrections
        ]
        yield from self._campaigns.load_uses_of_persons(working_set, pairs)
        if redeems or corrections:
            counts = count_redeems(redeems, working_set)
            counts.update(codes_of_targets.values())  # a late success may count the last use again
            now = max([command.context.now for command in redeems] + [each.context.now for each in corrections])
            yield from self._campaigns.load_deadlines(working_set, counts, now)

    def _load_newer_reservations(self, targets: Sequence[UUID], commands: Sequence[Command]) -> PipelineSteps[None]:
        """Load the same recipients' newer reservations where a refunded use may be counted again.

        The use is refunded already, or another command of this batch may refund it.
        """
        recountable_ids = find_recountable(targets, commands, self._working_set)
        if recountable_ids:
            yield from self._reservations.add(EventStoreSql.events_of_newer_reservations, recountable_ids)

    def _load_idempotency_keys(self, redeems: Sequence[ReserveUse]) -> PipelineSteps[None]:
        keys = (key for command in redeems if command.key for key in command.key.spellings())
        scopes = sorted({key.scope_digest for key in keys})
        if not scopes:
            return
        rows = yield from self._fetch(EventStoreSql.idempotency_keys, scopes, redeems[0].context.now)
        for scope, body, reservation_id in rows:
            self._working_set.remembered[scope] = RememberedKey(body, reservation_id)
        ids = [remembered.reservation_id for remembered in self._working_set.remembered.values()]
        if ids:
            yield from self._reservations.add(EventStoreSql.events_of_reservations, ids)

    def _load_contended(self, redeems: Sequence[ReserveUse]) -> PipelineSteps[None]:
        """Load overdue reservations and the next deadline of codes that this batch may exhaust."""
        working_set = self._working_set
        now = max(command.context.now for command in redeems)
        redeem_counts = count_redeems(redeems, working_set)
        contended_codes = sorted(
            code_id
            for code_id, count in redeem_counts.items()
            if (code := working_set.codes.get(code_id)) and may_run_out(code, count)
        )
        if contended_codes:
            overdue_max = OVERDUE_PER_CODE_MAX + max(redeem_counts[code_id] for code_id in contended_codes)
            # A stream may be a little ahead of this clock, and decides by its own time then.
            due_times = [possible_time(now, working_set.codes[code_id].last_at) for code_id in contended_codes]
            overdue = self._send(EventStoreSql.events_of_overdue, contended_codes, due_times, overdue_max)
            earliest = self._send(EventStoreSql.earliest_deadlines, contended_codes, due_times)
            yield from self._reservations.fold(overdue)
            rows = yield from fetch_pipelined(earliest)
            working_set.earliest_deadlines.update({code_id: deadline for code_id, deadline in rows if deadline})

    def _append(self, working_set: WorkingSet) -> None:
        cursor = self._cursor
        cursor.execute(EventStoreSql.lock_append_order)
        cursor.execute(EventStoreSql.insert_events, encode_rows(EVENTS, map(_event_row, working_set.new_events)))
        codes, reservations = working_set.changed()
        for projection in STATE_PROJECTIONS[RedeemCode]:
            write_rows(cursor, projection, list(map(projection.row, codes)))
        campaigns = [working_set.campaigns[key] for key in working_set.changed_campaigns]
        for projection in STATE_PROJECTIONS[Campaign]:
            write_rows(cursor, projection, list(map(projection.row, campaigns)))
        for projection in STATE_PROJECTIONS[Reservation]:
            rows: dict[bool, list[Row]] = {True: [], False: []}
            for state in reservations:
                rows[state.reservation_id in working_set.new_reservations].append(projection.row(state))
            insert_rows(cursor, projection, rows[True])
            write_rows(cursor, projection, rows[False])
        for event_projection, merger in merge_event_rows(working_set.transitions).items():
            write_rows(cursor, event_projection, merger.take())
        write_snapshots(
            cursor, (code for code in codes if snapshot_due(self._loaded.get(code.code_id, 0), code.version))
        )
        loaded = self._campaigns.loaded_versions
        write_campaign_snapshots(
            cursor, (each for each in campaigns if snapshot_due(loaded.get(each.campaign_id, 0), each.version))
        )

    def _fetch(self, query: LiteralString, *params: Any) -> PipelineSteps[list[Any]]:
        return (yield from fetch_pipelined(self._send(query, *params)))


def _event_row(recorded: Recorded) -> tuple[UUID, int, str, bytes]:
    return (recorded.originator_id, recorded.originator_version, *encode(recorded.event))
