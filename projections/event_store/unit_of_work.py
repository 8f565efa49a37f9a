"""One transaction of `execute`: lock, look up, and later append with the read models (docs/explanation/internals.md).

Locks in this order: the writer lock (shared, or alone where a campaign may begin to count uses), streams (sorted), the
lock of lists, new recipients (sorted), rows of hand-outs' lists (sorted), the append order. A holder of a later lock
never waits for an earlier one.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any, cast
from uuid import UUID

from eventsourcing.persistence import OperationalError
from psycopg import Connection, Cursor
from psycopg.rows import tuple_row

from domain.asks import Asks, Names
from domain.command_bus import COMMANDS, AnyCommand, Command, group_by_class
from domain.commands.reads import Reads, ask_for_what_follows
from domain.model.campaign import Campaign
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.ports import PipelineSteps
from domain.working_set import Recorded, WorkingSet
from projections.database.pipeline import BufferingConnection, fetch_pipelined, send_pipelined
from projections.database.table_arrays import encode_rows
from projections.definitions.registry import STATE_PROJECTIONS
from projections.definitions.row_writer import insert_rows, merge_event_rows, write_rows
from projections.event_store import side_tables, vault_rows
from projections.event_store.aliases import AliasResolver, Located
from projections.event_store.batch_reads import BatchReads
from projections.event_store.caches import StoreCaches
from projections.event_store.codec import encode
from projections.event_store.snapshots import CAMPAIGNS, CODES, StreamKind, StreamState, snapshot_due, write_snapshots
from projections.event_store.stream_loader import StreamLoader
from projections.sql.event_store import EVENTS, EventStoreSql
from projections.telemetry.after_commit import after_commit

ROUNDS_MAX = 4
"""Rounds of a batch: the named states, what these lead to, and twice what that leads to. The last one reads nothing."""
REDEEMS_PER_CODE_MIN = 4
"""Redeems per code in a batch that waits for its locks alone, so that more redeems of the same codes can join it."""

TakeWaiting = Callable[[Callable[[Command], bool]], Sequence[AnyCommand]]
"""Takes the commands that wait and may be decided in a transaction, which a function tells."""


class PostgresUnitOfWork:
    """`domain.application.UnitOfWork` in one open transaction of a connection in pipeline mode.

    Queries are sent immediately and their rows read later, so a batch of new redeems costs two round trips: the
    queries, and the rows with the commit. A failed write raises at the next read, at the latest on commit.

    Args:
        conn: The connection.
        caches: States that this process has seen.
        take_waiting: Takes commands that arrived in the meantime into the batch; None: it stays as it is.
        is_preview: Whether nothing is written: then no stream is locked, and no command waits.
    """

    def __init__(
        self,
        conn: Connection[Any],
        caches: StoreCaches,
        take_waiting: TakeWaiting | None = None,
        *,
        is_preview: bool = False,
    ) -> None:
        self._conn = conn
        self._is_preview = is_preview
        self._take_waiting = take_waiting
        self._cursor = conn.cursor(row_factory=tuple_row, binary=True)
        # No bound method: in a cycle, every batch with all its states would wait for the garbage collector.
        self._send = partial(send_pipelined, conn)
        self._caches = caches
        self._asked = Asks()
        self._working_set = WorkingSet(asked=self._asked)
        self._loaded: dict[UUID, int] = {}
        self._locked: set[UUID] = set()

    def load(self, commands: list[AnyCommand]) -> PipelineSteps[WorkingSet]:
        """Lock and read what the commands read, by what their classes declare, with a round trip for each round.

        Commands that arrive while the locks of few codes are awaited are added, if the locks are those they need.
        """
        working_set = self._working_set
        batch, names = group_by_class(commands), Names()
        for reads, group in batch:
            reads.name(group, names)
        if not self._is_preview and not all(map(self._is_known_to_count, names.newly_limited)):
            self._send(EventStoreSql.lock_exclusive_writer)
        server = self._send(EventStoreSql.lock_shared_writer)
        aliases = AliasResolver(self._send, self._caches, working_set.code_ids)
        located = yield from aliases.locate(names)
        self._locked = located.codes | names.changed_campaigns | self._select_locked(located.campaigns, names)
        lock = None if self._is_preview else self._lock(self._locked)
        if lock is not None and self._take_waiting is not None and may_be_joined(batch, located.codes):
            yield from fetch_pipelined(lock)
            commands += self._take_waiting(partial(_needs_only, located.codes, aliases))
            batch = group_by_class(commands)
        yield from self._read(batch, names, located)
        if not self._is_preview:
            yield from self._check_server(server)
        return working_set

    def _read(
        self, batch: Sequence[tuple[Reads[Any], Sequence[AnyCommand]]], names: Names, located: Located
    ) -> PipelineSteps[None]:
        """Read the named states and, in rounds, what is asked for in addition."""
        working_set, caches = self._working_set, self._caches
        commands = [command for _, group in batch for command in group]
        now = max(command.context.now for command in commands)
        codes = StreamLoader(self._send, CODES, caches.codes)
        campaigns = StreamLoader(self._send, CAMPAIGNS, caches.campaigns)
        named_campaigns = located.campaigns | names.campaigns | names.changed_campaigns
        more = BatchReads(self._send, working_set, self._asked, locks_lists=not self._is_preview)
        codes.request(located.codes, names.new_codes)
        campaigns.request(named_campaigns)
        folds = [*more.send_named_reservations(located.codes_of_reservations, caches.claimed)]
        asks = self._ask(batch, names)
        asks.recipients = {
            digest for reads, group in batch for draft in reads.drafts_in(group) for digest in draft.digests
        }
        folds += more.send_new(asks, now)
        yield from codes.request_events()
        yield from campaigns.request_events()
        working_set.codes.update((yield from codes.load()))
        if named_campaigns:
            yield from self._add_campaigns(campaigns)
        self._check_membership()
        if not self._is_preview:
            self._check_counting(located.campaigns - self._locked)
        self._loaded.update((code_id, code.version) for code_id, code in working_set.codes.items())
        for _ in range(ROUNDS_MAX):
            for fold in folds:
                yield from fold
            folds = more.send_new(self._ask(batch, names), now)
            if not folds:
                working_set.note_known_persons()
                return
        raise AssertionError(f"a batch still asks for more after {ROUNDS_MAX} rounds")

    def _ask(self, batch: Sequence[tuple[Reads[Any], Sequence[AnyCommand]]], names: Names) -> Asks:
        """Return what all commands ask for by now, and what the loaded states lead to."""
        asks = Asks()
        for reads, group in batch:
            reads.ask(group, self._working_set, asks)
        ask_for_what_follows(asks, self._working_set, names.reservations, names.joins)
        return asks

    def _add_campaigns(self, campaigns: StreamLoader[Campaign]) -> PipelineSteps[None]:
        yield from campaigns.request_events()
        states = yield from campaigns.load()
        self._working_set.campaigns.update(states)
        self._loaded.update((campaign_id, campaign.version) for campaign_id, campaign in states.items())

    def _select_locked(self, campaign_ids: Iterable[UUID], names: Names) -> set[UUID]:
        """Return the campaigns to lock: all but those that are known to count no uses and that no code joins."""
        joined = set().union(*names.joins.values())
        return {campaign_id for campaign_id in campaign_ids if campaign_id in joined or self._counts_uses(campaign_id)}

    def _counts_uses(self, campaign_id: UUID) -> bool:
        try:
            return self._caches.campaigns.get(campaign_id).counts_uses
        except KeyError:
            return True

    def _is_known_to_count(self, campaign_id: UUID) -> bool:
        """Return whether uses of a campaign are taken under its lock already: it never stops to count."""
        try:
            return self._caches.campaigns.get(campaign_id).counts_uses
        except KeyError:
            return False

    def _check_counting(self, unlocked: Iterable[UUID]) -> None:
        """Check that no campaign of a loaded code counts uses without its lock: one may have begun to since then.

        Raises:
            OperationalError: One does; the batch is decided again with its lock.
        """
        for campaign_id in unlocked:
            campaign = self._working_set.campaigns.get(campaign_id)
            if campaign is not None and campaign.counts_uses:
                self._caches.campaigns.put(campaign_id, campaign)
                raise OperationalError(f"campaign {campaign_id} was not locked")

    def _check_membership(self) -> None:
        """Check that every campaign of a loaded code was found before the locks were taken.

        Raises:
            OperationalError: A read model named another one; the batch is decided again with what the log says.
        """
        for code in self._working_set.codes.values():
            if code.campaign_id is not None and code.campaign_id not in self._working_set.campaigns:
                self._caches.campaigns_of_codes.put(code.code_id, code.campaign_id)
                raise OperationalError(f"the campaign of code {code.code_id} was not locked")

    def save(self, working_set: WorkingSet) -> PipelineSteps[None]:
        """Append the new events and write every row that follows from them, and what decisions leave besides."""
        writes = working_set.writes
        drafts = [writes.recipients[digest] for digest in sorted(writes.recipients)]
        vault_rows.insert_recipients(self._cursor, drafts)
        vault_rows.insert_texts(self._cursor, working_set)
        if working_set.new_events:
            if working_set.handed_out:
                side_tables.insert_given_codes(self._cursor, writes.given_codes)
                side_tables.make_hand_out_mails_due(self._cursor, working_set)
            side_tables.save_hand_out_texts(self._cursor, writes.hand_out_texts)
            self._append(working_set)
            side_tables.insert_outbox(self._cursor, working_set)
            if working_set.changed_campaigns:
                side_tables.keep_waiting_places(self._cursor, working_set)
            side_tables.enqueue_revocation_followups(self._cursor, working_set)
        side_tables.suppress_addresses(self._cursor, writes.suppressions)
        side_tables.save_idempotency_keys(self._cursor, writes.keys)
        yield from side_tables.record_rejections(self._cursor, self._caches, writes)

    def commit(self) -> PipelineSteps[None]:
        """Commit. The commit is certain once the transaction was left without an error, not earlier."""
        yield from cast("BufferingConnection", self._conn).commit_pipelined()

    def publish_to_caches(self) -> None:
        """Put the committed states into the caches. Never raises: the transaction is committed."""
        working_set, caches = self._working_set, self._caches
        with after_commit("publishing to caches"):
            for code_id, code in working_set.codes.items():
                caches.codes.put(code_id, code)
            for campaign_id, campaign in working_set.campaigns.items():
                caches.campaigns.put(campaign_id, campaign)
            caches.publish_claims(working_set.reservations[key] for key in working_set.changed_reservations)
            for digest, code_id in working_set.code_ids.items():
                caches.code_ids.put(digest, code_id)

    def _check_server(self, answered: Cursor[Any]) -> PipelineSteps[None]:
        """Check that the states of the caches are those of the server that this transaction runs on.

        Raises:
            OperationalError: It is another one; the batch is decided again with what that server holds.
        """
        rows = yield from fetch_pipelined(answered)
        if cast("BufferingConnection", self._conn).is_led_elsewhere(rows[0][2]):
            raise OperationalError("another database server answers on this connection")

    def _lock(self, streams: Iterable[UUID]) -> Cursor[Any] | None:
        """Take advisory locks in ascending order. Two streams with the same key only wait for each other."""
        keys = sorted({int.from_bytes(code_id.bytes[:8], "big", signed=True) for code_id in streams})
        return self._send(EventStoreSql.lock_streams, keys) if keys else None

    def _append(self, working_set: WorkingSet) -> None:
        cursor = self._cursor
        cursor.execute(EventStoreSql.lock_append_order)
        cursor.execute(EventStoreSql.insert_events, encode_rows(EVENTS, map(_event_row, working_set.new_events)))
        codes, new_reservations, changed_reservations = working_set.changed()
        for projection in STATE_PROJECTIONS[RedeemCode]:
            write_rows(cursor, projection, list(map(projection.row, codes)))
        campaigns = [working_set.campaigns[key] for key in working_set.changed_campaigns]
        for projection in STATE_PROJECTIONS[Campaign]:
            write_rows(cursor, projection, list(map(projection.row, campaigns)))
        for projection in STATE_PROJECTIONS[Reservation]:
            insert_rows(cursor, projection, list(map(projection.row, new_reservations)))
            write_rows(cursor, projection, list(map(projection.row, changed_reservations)))
        for event_projection, merger in merge_event_rows(working_set.transitions).items():
            write_rows(cursor, event_projection, merger.take())
        self._write_due_snapshots(CODES, codes)
        self._write_due_snapshots(CAMPAIGNS, campaigns)

    def _write_due_snapshots(self, kind: StreamKind[StreamState], states: Iterable[StreamState]) -> None:
        loaded = self._loaded
        write_snapshots(
            self._cursor,
            kind,
            (state for state in states if snapshot_due(loaded.get(kind.read_id(state), 0), state.version)),
        )


def may_be_joined(batch: Sequence[tuple[Reads[Any], Sequence[AnyCommand]]], codes: Collection[UUID]) -> bool:
    """Return whether a batch waits for its locks alone, so that more commands can join it: those of few codes."""
    count = sum(len(group) for _, group in batch)
    are_few = len(codes) <= max(1, count // REDEEMS_PER_CODE_MIN)
    return are_few and all(reads.code_text_of is not None for reads, _ in batch)


def _needs_only(codes: Collection[UUID], aliases: AliasResolver, command: Command) -> bool:
    """Return whether a command needs no lock but those of these codes; if so, its code is resolved."""
    code_text_of = COMMANDS[type(command)].reads.code_text_of
    return code_text_of is not None and aliases.find_cached_code(code_text_of(command)) in codes


def _event_row(recorded: Recorded) -> tuple[UUID, int, str, bytes]:
    return (recorded.originator_id, recorded.originator_version, *encode(recorded.event))
