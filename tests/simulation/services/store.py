"""A store in memory behind the same ports as PostgreSQL: the library's own recorder, and tables that are dicts.

It passes the contract suite of tests/contracts. Its `TransactionFaults` decide what goes wrong: a transaction may find
no database, be rolled back, or commit and lose its answer; then it is retried as the real one is.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Literal, NamedTuple, Protocol, cast
from uuid import UUID

from eventsourcing.persistence import IntegrityError, StoredEvent
from eventsourcing.popo import POPOApplicationRecorder

from domain.application import PipelineSteps, UnitOfWork
from domain.command_bus import (
    CodeCommand,
    Command,
    CommandResult,
    NewCode,
    ReservationCommand,
    Result,
    recipient_drafts_in,
)
from domain.commands.access.rebind import RequestRebind
from domain.commands.add_note import NoteOnCode, NoteOnReservation
from domain.commands.code.revoke import ContinueRevocation, RevokeCode
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.reserve import ReserveUse
from domain.commands.reservation.settle_due import is_released_by_revocation
from domain.errors import CodeUnknown, IdempotencyKeyReused, Refusal
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.working_set import RememberedKey, WorkingSet, is_active_rebind
from projections.database.errors import StorageUnavailableError
from projections.definitions.projection import Projection, RowMerger
from projections.definitions.registry import PROJECTIONS, STATE_PROJECTIONS
from projections.definitions.row_writer import merge_event_rows
from projections.event_store.codec import encode
from projections.event_store.recipient_lookup import (
    COMMANDS_AFFECTING_REBINDS,
    find_linked_reservations,
    find_recountable,
)
from projections.event_store.recorder import TRANSACTIONS_PER_BATCH_MAX
from projections.event_store.side_tables import IDEMPOTENCY_DAYS, REFUSALS_PER_CODE_AND_DAY, outbox_entry_for
from projections.event_store.unit_of_work import OVERDUE_PER_CODE_MAX, REVOKED_PER_CODE_MAX, _may_run_out
from projections.event_store.vault_rows import _text_of
from projections.vault.vault import EncryptedText, PrivateText, SearchableDraft
from projections.verification.drift_sample import CODE_PROJECTIONS, Rows

PERSON_RESERVATIONS_MAX = 20
"""As in the statements `events_of_persons` and `events_of_newer`."""

Fate = Literal["committed", "rolled_back", "answer_lost"]


class TransactionFaults(Protocol):
    """What happens to transactions."""

    def begin(self) -> None:
        """Raise StorageUnavailableError if there is no database."""

    def commit(self) -> Fate:
        """What becomes of a commit."""

    def pause(self, tries: int) -> None:
        """Let time pass before another try."""


class NoFaults:
    """Nothing goes wrong."""

    def begin(self) -> None:
        """There is a database."""

    def commit(self) -> Fate:
        """It commits."""
        return "committed"

    def pause(self, tries: int) -> None:
        """Nobody waits."""


class StoredRefusal(NamedTuple):
    """A refused try, as `refusals` holds it."""

    code_id: UUID
    at: datetime
    recipient_digest: bytes
    reason: str


@dataclass
class OutboxEntry:
    """A letter in the outbox; done when `due_at` is None."""

    written_at: datetime
    due_at: datetime | None
    attempts: int = 0
    outcome: str | None = None


class MemoryStore(POPOApplicationRecorder):
    """Log, read models and what lies beside them. One thread; nothing else runs between `load` and the commit."""

    def __init__(self, faults_of_transactions: TransactionFaults | None = None) -> None:
        super().__init__()
        self.faults_of_transactions: TransactionFaults = faults_of_transactions or NoFaults()
        self.codes: dict[UUID, RedeemCode] = {}
        self.reservations: dict[UUID, Reservation] = {}
        self.of_code: dict[UUID, list[UUID]] = {}
        self.read_models = {name: RowMerger(projection) for name, projection in PROJECTIONS.items()}
        self.code_ids: dict[bytes, UUID] = {}
        self.recipient_ids: dict[bytes, UUID] = {}
        self.addresses: dict[UUID, EncryptedText] = {}
        self.texts: dict[UUID, PrivateText] = {}
        self.keys: dict[bytes, tuple[RememberedKey, datetime]] = {}
        self.outbox: dict[tuple[UUID, str], OutboxEntry] = {}
        self.refusals: list[StoredRefusal] = []
        self.unknown_tries: Counter[datetime] = Counter()
        self.on_commit: Callable[[WorkingSet, Sequence[Command], Sequence[Result]], None] = lambda *_: None

    @property
    def log(self) -> Sequence[StoredEvent]:
        """Every event in order of positions."""
        return self._stored_events

    def attempts(self) -> Iterator[AbstractContextManager[UnitOfWork]]:
        """Transactions to try in turn; see `domain.application.LedgerRecorder`."""
        for tries in range(1, TRANSACTIONS_PER_BATCH_MAX + 1):
            attempt = _TransactionAttempt(self, is_last=tries == TRANSACTIONS_PER_BATCH_MAX)
            yield attempt
            if attempt.committed:
                return
            self.faults_of_transactions.pause(tries)

    def apply(self, book: WorkingSet, commands: Sequence[Command], results: Sequence[Result]) -> None:
        """Everything that one transaction writes, or nothing.

        Raises:
            IntegrityError: A version or a person is there already.
        """
        if any(digest in self.recipient_ids for draft in book.new_recipients.values() for digest in draft.digests[:1]):
            raise IntegrityError("a person is known by now")
        self.insert_events(
            [StoredEvent(item.originator_id, item.originator_version, *encode(item.event)) for item in book.new_events]
        )
        self._keep_read_models(book)
        self._keep_vault(book, commands, results)
        self._keep_beside(book, commands, results)
        self.on_commit(book, commands, results)

    def rows(self, code_id: UUID) -> dict[str, Rows]:
        """Return the rows of one code by projection and key."""
        return {name: self._rows_of_code(PROJECTIONS[name], code_id) for name in CODE_PROJECTIONS}

    def _rows_of_code(self, projection: Projection, code_id: UUID) -> Rows:
        position = list(projection.table.columns).index(projection.code_column or "")
        rows = self.read_models[projection.name].rows
        return {key: row for key, row in rows.items() if row[position] == code_id}

    def pending(self) -> list[Reservation]:
        """What machines still have to settle: neither settled, nor a case, nor waiting for a removal that is a case."""
        return [item for item in self.reservations.values() if item.is_being_processed and not self._is_parked(item)]

    def _is_parked(self, item: Reservation) -> bool:
        if item.waits_for is None:
            return item.case_id is not None
        former = self.reservations[item.waits_for]
        return former.case_id is not None and former.access is not None and former.access.removal == "removal_failed"

    def _keep_read_models(self, book: WorkingSet) -> None:
        codes, reservations = book.changed()
        for code in codes:
            self.codes[code.code_id] = code
        for item in sorted(reservations, key=lambda item: item.versions[0]):
            if item.reservation_id not in self.reservations:
                self.of_code.setdefault(item.code_id, []).append(item.reservation_id)
            self.reservations[item.reservation_id] = item
        for kind, states in ((RedeemCode, codes), (Reservation, reservations)):
            for projection in STATE_PROJECTIONS[kind]:
                for state in states:
                    self.read_models[projection.name].add(projection.row(state))
        for event_projection, merger in merge_event_rows(book.transitions).items():
            for row in merger.take():
                self.read_models[event_projection.name].add(row)

    def _keep_vault(self, book: WorkingSet, commands: Sequence[Command], results: Sequence[Result]) -> None:
        for digest, draft in book.new_recipients.items():
            self.recipient_ids[digest] = draft.new_id
            self.addresses[draft.new_id] = cast("SearchableDraft", draft).seal()
        for command, result in zip(commands, results, strict=True):
            if not (isinstance(result, CommandResult) and result.changed):
                continue
            if isinstance(command, NewCode):
                self.code_ids[command.text.digests[0]] = command.code_id
            elif (text := _text_of(command)) is not None:
                self.texts[text.text_id] = cast("PrivateText", text)

    def _keep_beside(self, book: WorkingSet, commands: Sequence[Command], results: Sequence[Result]) -> None:
        for item in book.new_events:
            if (letter := outbox_entry_for(item.event, book)) is not None:
                self.outbox.setdefault(letter[:2], OutboxEntry(letter[2], letter[2]))
        for command, result in zip(commands, results, strict=True):
            if not isinstance(command, ReserveUse | RequestRebind):
                continue
            if isinstance(result, Refusal):
                self._keep_refusal(book, command, result)
            elif isinstance(command, ReserveUse) and command.key is not None:
                known = self.keys.get(command.key.scope_digest)
                if known is None or known[1] <= commands[0].context.now:
                    until = command.context.now + timedelta(days=IDEMPOTENCY_DAYS)
                    key = RememberedKey(command.key.body_digest, result.require_reservation().reservation_id)
                    self.keys[command.key.scope_digest] = (key, until)

    def _keep_refusal(self, book: WorkingSet, command: ReserveUse | RequestRebind, refusal: Refusal) -> None:
        code_id, now = book.code_id(command.code_digests), command.context.now
        if code_id is None or isinstance(refusal, CodeUnknown):
            self.unknown_tries[now.replace(second=0, microsecond=0)] += 1
        elif not isinstance(refusal, IdempotencyKeyReused):
            today = sum(row.code_id == code_id and row.at.date() == now.date() for row in self.refusals)
            if today < REFUSALS_PER_CODE_AND_DAY:
                self.refusals.append(StoredRefusal(code_id, now, command.recipient.digests[0], refusal.code))


class _TransactionAttempt(AbstractContextManager[UnitOfWork]):
    """One transaction. Leaving it commits; a fault that another try may mend is swallowed while tries are left."""

    def __init__(self, store: MemoryStore, *, is_last: bool) -> None:
        self._store = store
        self._is_last = is_last
        self._work = _MemoryUnitOfWork(store)
        self.committed = False

    def __enter__(self) -> UnitOfWork:
        self._store.faults_of_transactions.begin()
        return self._work

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            return isinstance(error, IntegrityError) and not self._is_last
        fate = self._store.faults_of_transactions.commit()
        if fate != "rolled_back" and self._work.staged is not None:
            try:
                self._store.apply(*self._work.staged)
            except IntegrityError:
                if self._is_last:
                    raise
                return False
        if fate == "committed":
            self.committed = True
        elif self._is_last:
            raise StorageUnavailableError("the connection was lost")
        return False


class _MemoryUnitOfWork:
    """`domain.application.UnitOfWork` over the dicts. It reads no more than the statements of PostgreSQL would."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.staged: tuple[WorkingSet, Sequence[Command], Sequence[Result]] | None = None

    def load(self, commands: Sequence[Command]) -> PipelineSteps[WorkingSet]:
        """Read what the commands touch."""
        yield from ()
        book, store = WorkingSet(), self._store
        redeems = [command for command in commands if isinstance(command, ReserveUse)]
        targets = [command.reservation_id for command in commands if isinstance(command, ReservationCommand)]
        for command in [item for item in commands if isinstance(item, ReserveUse | CorrectRecipient | RequestRebind)]:
            known = store.code_ids
            book.code_ids |= {item: known[item] for item in command.code_digests or () if item in known}
        for draft in [draft for command in commands for draft in recipient_drafts_in(command)]:
            known_ids = {item: store.recipient_ids[item] for item in draft.digests if item in store.recipient_ids}
            book.recipient_ids |= known_ids
        wanted = {command.code_id for command in commands if isinstance(command, NewCode | CodeCommand)}
        wanted |= {store.reservations[key].code_id for key in targets if key in store.reservations}
        wanted |= set(book.code_ids.values())
        book.codes.update({key: store.codes[key] for key in wanted if key in store.codes})
        if redeems:
            self._load_for_redeems(book, redeems)
        self._hold(book, targets)
        self._hold(book, find_linked_reservations(book))
        self._load_newer(book, targets, commands)
        self._load_for_other_commands(book, commands)
        return book

    def save(self, book: WorkingSet, commands: Sequence[Command], results: Sequence[Result]) -> PipelineSteps[None]:
        """Keep it for the commit."""
        yield from ()
        self.staged = (book, commands, results)

    def _load_for_redeems(self, book: WorkingSet, redeems: Sequence[ReserveUse]) -> None:
        store = self._store
        mine: set[UUID] = set()
        for command in redeems:
            code_id = book.code_id(command.code_digests)
            if code_id is not None and any(digest in book.recipient_ids for digest in command.recipient.digests):
                person = book.recipient_id(command.recipient)
                found = [item for item in self._on_code(code_id) if item.recipient_id == person]
                found.sort(key=lambda item: (not item.is_live, -item.versions[0]))
                mine.update(item.reservation_id for item in found[:PERSON_RESERVATIONS_MAX])
        self._hold(book, mine)
        if named := {command.again for command in redeems if command.again is not None}:
            self._hold(book, named)
            followers = [item for item in store.reservations.values() if item.follows in named]
            self._hold(book, [item.reservation_id for item in followers if item.occupies_use])
        for scope in {command.key.scope_digest for command in redeems if command.key is not None}:
            known = store.keys.get(scope)
            if known is not None and known[1] > redeems[0].context.now:
                book.remembered[scope] = known[0]
        self._hold(book, {known.reservation_id for known in book.remembered.values()})
        self._load_contended(book, redeems)

    def _load_contended(self, book: WorkingSet, redeems: Sequence[ReserveUse]) -> None:
        now = max(command.context.now for command in redeems)
        wanted = Counter(book.code_id(command.code_digests) for command in redeems)
        late: list[UUID] = []
        for code_id, count in wanted.items():
            if code_id is None or (code := book.codes.get(code_id)) is None or not _may_run_out(code, count):
                continue
            found = self._on_code(code_id)
            found = [item for item in found if item.is_use]
            overdue = sorted((item for item in found if item.is_overdue(now)), key=lambda item: item.deadline)
            late += [item.reservation_id for item in overdue[:OVERDUE_PER_CODE_MAX]]
            ahead = [item.deadline for item in found if item.is_live and item.deadline > now]
            if ahead:
                book.earliest_deadlines[code_id] = min(ahead)
        self._hold(book, late)

    def _load_for_other_commands(self, book: WorkingSet, commands: Sequence[Command]) -> None:
        moved = {command.reservation_id for command in commands if isinstance(command, COMMANDS_AFFECTING_REBINDS)}
        rebinds = (item for item in self._store.reservations.values() if item.follows in moved)
        self._hold(book, [item.reservation_id for item in rebinds if is_active_rebind(item)])
        for command in commands:
            if isinstance(command, CorrectRecipient) and (item := book.reservations.get(command.reservation_id)):
                person = book.recipient_id(command.recipient)
                found = [other for other in self._on_code(item.code_id) if other.recipient_id == person]
                found.sort(key=lambda other: (not other.is_live, -other.versions[0]))
                self._hold(book, [other.reservation_id for other in found[:PERSON_RESERVATIONS_MAX]])
            elif isinstance(command, RequestRebind) and (code_id := book.code_id(command.code_digests)):
                person = book.recipient_id(command.recipient)
                found = [other for other in self._on_code(code_id) if other.recipient_id == person]
                found.sort(key=lambda other: (not other.is_live, -other.versions[0]))
                self._hold(book, [other.reservation_id for other in found[:PERSON_RESERVATIONS_MAX]])
            elif isinstance(command, RevokeCode | ContinueRevocation):
                held = [other for other in self._on_code(command.code_id) if is_released_by_revocation(other)]
                held.sort(key=lambda other: other.deadline)
                self._hold(book, [other.reservation_id for other in held[:REVOKED_PER_CODE_MAX]])
            elif isinstance(command, NoteOnCode | NoteOnReservation) and command.note.text_id in self._store.texts:
                book.known_texts.add(command.note.text_id)

    def _load_newer(self, book: WorkingSet, targets: Sequence[UUID], commands: Sequence[Command]) -> None:
        newer: set[UUID] = set()
        for item in [book.reservations[key] for key in find_recountable(targets, commands, book)]:
            found = [other for other in self._on_code(item.code_id) if _is_newer(other, item)]
            found.sort(key=lambda other: -other.versions[0])
            newer.update(other.reservation_id for other in found[:PERSON_RESERVATIONS_MAX])
        self._hold(book, newer)

    def _on_code(self, code_id: UUID) -> list[Reservation]:
        return [self._store.reservations[key] for key in self._store.of_code.get(code_id, ())]

    def _hold(self, book: WorkingSet, ids: Iterable[UUID]) -> None:
        """In the order of ids, as the statements give them."""
        for key in sorted(ids):
            if (item := self._store.reservations.get(key)) is not None:
                book.add_reservation(item)


def _is_newer(other: Reservation, item: Reservation) -> bool:
    """Whether it is the same person's, stands, and came later."""
    return other.recipient_id == item.recipient_id and other.occupies_use and other.versions[0] > item.versions[0]
