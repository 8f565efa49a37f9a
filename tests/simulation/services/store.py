"""A store in memory behind the same ports as PostgreSQL: the library's own recorder, and tables that are dicts.

It passes the contract suite of tests/contracts. Its `TransactionFaults` decide what goes wrong: a transaction may find
no database, be rolled back, or commit and lose its answer; then it is retried as the real one is.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from types import TracebackType
from typing import ClassVar, Literal, NamedTuple, cast
from uuid import UUID

from eventsourcing.persistence import IntegrityError, StoredEvent
from eventsourcing.popo import POPOApplicationRecorder
from msgspec.structs import replace

from domain.application import UnitOfWork
from domain.command_bus import AnyCommand, CodeCommand, Command, NewCode, ReservationCommand
from domain.commands.access.rebind import RequestRebind
from domain.commands.campaign.join_campaign import JoinCampaign
from domain.commands.code.revoke import ContinueRevocation, RevokeCode
from domain.commands.hand_out.hand_out_code import HandOutCode
from domain.commands.hand_out.hand_out_mail import HandOutMailCommand
from domain.commands.hand_out.manage_hand_out import HandOutCommand
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.request_resend import RequestResend
from domain.commands.reservation.reserve import ReserveUse
from domain.commands.reservation.settle_due import is_released_by_revocation
from domain.events.waiting_list import WaitingListJoined, WaitingOfferMade
from domain.model.campaign import Campaign
from domain.model.counted_uses import ExistingUse
from domain.model.hand_out import HandedOutCode, HandOut
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.model.suppression import Suppression
from domain.ports import PipelineSteps
from domain.results import AnyResult
from domain.values.timestamps import possible_time
from domain.working_set import MostUses, WorkingSet, is_active_rebind
from domain.writes import RememberedKey
from projections.database.errors import StorageUnavailableError
from projections.definitions.projection import Projection, RowMerger, State
from projections.definitions.registry import PROJECTIONS, STATE_PROJECTIONS
from projections.definitions.row_writer import merge_event_rows
from projections.event_store.batch_reads import OVERDUE_PER_CODE_MAX, REVOKED_PER_CODE_MAX
from projections.event_store.codec import encode
from projections.event_store.recorder import TRANSACTIONS_PER_BATCH_MAX
from projections.event_store.side_tables import IDEMPOTENCY_DAYS, REFUSALS_PER_CODE_AND_DAY, outbox_entry_for
from projections.vault.vault import EncryptedText, PrivateText, SearchableDraft
from projections.verification.drift_sample import CODE_PROJECTIONS, Rows
from tests.simulation.services.hand_out_lists import MemoryLists
from tests.simulation.services.related_reads import (
    OfCampaign,
    find_linked_reservations,
    find_moved,
    find_recountable,
    may_run_out,
    split_by_reads,
)
from tests.simulation.services.related_writes import (
    MemoryRefusal,
    OutboxEntry,
    SuppressedBy,
    changed_by,
    is_known_by_text,
    named_texts,
    recipients_of,
    refused_requests,
    suppressions,
    text_of,
    used_keys,
)
from tests.simulation.services.transaction_faults import NoFaults, TransactionFaults

PERSON_RESERVATIONS_MAX = 20
"""As in the statements `events_of_persons` and `events_of_newer`."""

OnDecision = Callable[[Sequence[AnyCommand], WorkingSet, Sequence[AnyResult]], None]
"""Looks at a batch that was decided and is not committed yet."""

Read = Literal[
    "codes of digests",
    "recipients",
    "codes",
    "reservations of persons",
    "again",
    "followers",
    "keys",
    "reservations of keys",
    "overdue",
    "earliest deadlines",
    "targets",
    "linked",
    "newer",
    "rebinds",
    "held",
    "handed out",
    "texts",
    "suppressions",
    "places",
    "campaigns",
    "uses of persons",
    "campaign deadlines",
    "most per person",
    "existing uses",
    "hand-outs",
    "hand-out texts",
]
"""What `load` reads; a planted bug omits one of them."""


class Erasure(NamedTuple):
    recipient_id: UUID
    position: int


class MemoryStore(POPOApplicationRecorder):
    """Log, read models and what lies next to them. One thread; nothing else runs between `load` and the commit."""

    omitted_read: ClassVar[Read | None] = None

    def __init__(self, faults_of_transactions: TransactionFaults | None = None) -> None:
        super().__init__()
        self.faults_of_transactions: TransactionFaults = faults_of_transactions or NoFaults()
        self.codes: dict[UUID, RedeemCode] = {}
        self.reservations: dict[UUID, Reservation] = {}
        self.campaigns: dict[UUID, Campaign] = {}
        self.hand_outs: dict[UUID, HandOut] = {}
        self.handed_out: dict[UUID, HandedOutCode] = {}
        self.lists = MemoryLists()
        self.of_code: dict[UUID, list[UUID]] = {}
        self._uses: dict[tuple[UUID, datetime | None], list[Reservation]] = {}
        self.read_models = {name: RowMerger(projection) for name, projection in PROJECTIONS.items()}
        self.code_ids: dict[bytes, UUID] = {}
        self.recipient_ids: dict[bytes, UUID] = {}
        self.addresses: dict[UUID, EncryptedText] = {}
        self.former_ids: defaultdict[bytes, set[UUID]] = defaultdict(set)
        self.places: dict[UUID, tuple[UUID, WaitingListJoined | WaitingOfferMade]] = {}
        self.erased: list[Erasure] = []
        self.mailboxes: dict[UUID, bytes] = {}
        self.texts: dict[UUID, PrivateText] = {}
        self.keys: dict[bytes, tuple[RememberedKey, datetime]] = {}
        self.outbox: dict[tuple[UUID, str], OutboxEntry] = {}
        self.refusals: list[MemoryRefusal] = []
        self.unknown_code_requests: Counter[datetime] = Counter()
        self.suppressed: dict[tuple[UUID, Suppression], datetime] = {}
        self.suppressed_by: list[SuppressedBy] = []
        self.on_commit: Callable[[WorkingSet, Sequence[AnyCommand], Sequence[AnyResult]], None] = lambda *_: None
        self.on_decision: OnDecision = lambda *_: None
        self.decided: tuple[Sequence[AnyCommand], Sequence[AnyResult]] = ((), ())

    @property
    def log(self) -> Sequence[StoredEvent]:
        return self._stored_events

    def attempts(self) -> Iterator[AbstractContextManager[UnitOfWork]]:
        """Transactions to try in turn; see `domain.application.LedgerRecorder`."""
        for number in range(1, TRANSACTIONS_PER_BATCH_MAX + 1):
            attempt = _TransactionAttempt(self, is_last=number == TRANSACTIONS_PER_BATCH_MAX)
            yield attempt
            if attempt.committed:
                return
            self.faults_of_transactions.pause(number)

    @contextmanager
    def open_preview(self) -> Iterator[UnitOfWork]:
        """A transaction that only reads; see `domain.application.LedgerRecorder`."""
        self.faults_of_transactions.begin()
        yield _MemoryUnitOfWork(self)

    def apply(self, working_set: WorkingSet, commands: Sequence[AnyCommand], results: Sequence[AnyResult]) -> None:
        """Everything that one transaction writes, or nothing: a version, a person or a row may be there already."""
        listed = self.lists.find_new(commands, results)
        if any(digest in self.recipient_ids for digest in working_set.writes.recipients):
            raise IntegrityError("a person is known by now")
        self.insert_events(
            [
                StoredEvent(recorded.originator_id, recorded.originator_version, *encode(recorded.event))
                for recorded in working_set.new_events
            ]
        )
        self._keep_read_models(working_set)
        self._keep_vault(working_set, commands, results)
        self._keep_side_rows(working_set, commands, results)
        self.lists.keep(working_set, listed)
        self.on_commit(working_set, commands, results)

    def ids_of(self, digest: bytes) -> set[UUID]:
        """Return every id that the person of an address has or had: after an erasure they are someone new."""
        present = self.recipient_ids.get(digest)
        return self.former_ids.get(digest, set()) | ({present} if present is not None else set())

    def erase_recipient(self, recipient_id: UUID) -> None:
        """Delete what `PersonEraser` does; the log stays as it is."""
        digests = [digest for digest, key in self.recipient_ids.items() if key == recipient_id]
        for digest in digests:
            self.former_ids[digest].add(self.recipient_ids.pop(digest))
        self.addresses.pop(recipient_id, None)
        self.mailboxes.pop(recipient_id, None)
        own = {key for key, each in self.reservations.items() if each.recipient_id == recipient_id}
        self.keys = {scope: key for scope, key in self.keys.items() if key[0].reservation_id not in own}
        self.erased.append(Erasure(recipient_id, len(self.log)))

    def allow_recipient(self, recipient_id: UUID) -> None:
        """Delete what `lift_suppressions` does."""
        self.suppressed = {key: until for key, until in self.suppressed.items() if key[0] != recipient_id}
        self.suppressed_by.append(SuppressedBy(recipient_id, None))

    def rows(self, code_id: UUID) -> dict[str, Rows]:
        return {name: self._rows_of_code(PROJECTIONS[name], code_id) for name in CODE_PROJECTIONS}

    def _rows_of_code(self, projection: Projection, code_id: UUID) -> Rows:
        position = list(projection.table.columns).index(projection.code_column or "")
        rows = self.read_models[projection.name].rows
        return {key: row for key, row in rows.items() if row[position] == code_id}

    def pending(self) -> list[Reservation]:
        """What machines still have to settle: neither settled, nor a case, nor waiting for a removal that is a case."""
        return [
            reservation
            for reservation in self.reservations.values()
            if reservation.is_being_processed and not self._is_parked(reservation)
        ]

    def uses_in(self, campaign_id: UUID, other_count: Campaign | None = None) -> list[Reservation]:
        """Return the reserved and counted uses of a campaign, as another state of it counts them."""
        campaign = other_count or self.campaigns[campaign_id]
        if (uses := self._uses.get((campaign_id, campaign.counts_from))) is None:
            uses = self._uses[campaign_id, campaign.counts_from] = [
                other
                for other in self.reservations.values()
                if other.is_use
                and other.occupies_use
                and (code := self.codes[other.code_id]).campaign_id == campaign_id
                and campaign.counts(code, other)
            ]
        return uses

    def existing_uses_in(self, campaign_id: UUID) -> list[ExistingUse]:
        """Return all uses of the codes of a campaign, whether its limits count them or not, the oldest first."""
        uses = self.uses_in(campaign_id, replace(self.campaigns[campaign_id], counts_from=None))
        existing = [ExistingUse(*(getattr(each, name) for name in ExistingUse._fields)) for each in uses]
        return sorted(existing, key=lambda use: (use.reserved_at, use.reservation_id))

    def mailboxes_with(self, commands: Sequence[AnyCommand]) -> dict[UUID, bytes]:
        """Return the mailboxes of all recipients, with those whom commands may add, as texts."""
        drafts = [draft for command in commands for draft in recipients_of(command)]
        drafted = {draft.new_id: draft.mailbox.encode() for draft in drafts}
        return drafted | self.mailboxes

    def suppressions_at(self, now: datetime) -> dict[UUID, tuple[Suppression, ...]]:
        """Return why addresses are not written to, by the recipient and in the order of statements."""
        reasons: dict[UUID, list[Suppression]] = {}
        for (recipient_id, suppression), until in self.suppressed.items():
            if until > now:
                reasons.setdefault(recipient_id, []).append(suppression)
        return {key: tuple(sorted(some, key=lambda one: (one.cause, one.group or ""))) for key, some in reasons.items()}

    def _is_parked(self, reservation: Reservation) -> bool:
        if reservation.waits_for is None:
            return reservation.case_id is not None
        former = self.reservations[reservation.waits_for]
        return former.case_id is not None and former.access is not None and former.access.removal == "removal_failed"

    def _keep_read_models(self, working_set: WorkingSet) -> None:
        codes, new_reservations, changed_reservations = working_set.changed()
        reservations = [*new_reservations, *changed_reservations]
        self._uses.clear()
        for code in codes:
            self.codes[code.code_id] = code
        for reservation in sorted(reservations, key=lambda reservation: reservation.versions[0]):
            if reservation.reservation_id not in self.reservations:
                self.of_code.setdefault(reservation.code_id, []).append(reservation.reservation_id)
            self.reservations[reservation.reservation_id] = reservation
        campaigns = [working_set.campaigns[key] for key in working_set.changed_campaigns]
        self.campaigns.update((campaign.campaign_id, campaign) for campaign in campaigns)
        self.hand_outs.update(working_set.hand_outs)
        self.handed_out.update(working_set.handed_out)
        changed: tuple[tuple[type[State], Iterable[State]], ...] = (
            (RedeemCode, codes),
            (Reservation, reservations),
            (Campaign, campaigns),
        )
        for kind, states in changed:
            for projection in STATE_PROJECTIONS[kind]:
                for state in states:
                    self.read_models[projection.name].add(projection.row(state))
        for event_projection, merger in merge_event_rows(working_set.transitions).items():
            for row in merger.take():
                self.read_models[event_projection.name].add(row)

    def _keep_vault(
        self, working_set: WorkingSet, commands: Sequence[AnyCommand], results: Sequence[AnyResult]
    ) -> None:
        named = named_texts(working_set)
        for command in changed_by(commands, results):
            for draft in recipients_of(command):
                if self.recipient_ids.keys().isdisjoint(draft.digests):
                    self.recipient_ids[draft.digests[0]] = draft.new_id
                    self.addresses[draft.new_id] = cast("SearchableDraft", draft).seal()
                    self.mailboxes[draft.new_id] = draft.mailbox.encode()
            if isinstance(command, NewCode):
                self.code_ids[command.text.digests[0]] = command.code_id
        for command in commands:
            if (text := text_of(command)) is not None and text.text_id in named:
                self.texts[text.text_id] = cast("PrivateText", text)

    def _keep_side_rows(
        self, working_set: WorkingSet, commands: Sequence[AnyCommand], results: Sequence[AnyResult]
    ) -> None:
        for recorded in working_set.new_events:
            if (notice := outbox_entry_for(recorded.event, working_set)) is not None:
                self.outbox.setdefault(notice[:2], OutboxEntry(notice[2], notice[2]))
            if isinstance(recorded.event, WaitingListJoined | WaitingOfferMade):
                self.places[recorded.event.place_id] = (recorded.originator_id, recorded.event)
        for recipient_id, suppression, until, report_id in suppressions(working_set):
            self.suppressed[recipient_id, suppression] = until
            self.suppressed_by.append(SuppressedBy(recipient_id, report_id))
        for key in used_keys(commands, results):
            known_key = self.keys.get(key.scope_digest)
            if known_key is None or known_key[1] <= commands[0].context.now:
                remembered = RememberedKey(key.body_digest, key.reservation_id)
                self.keys[key.scope_digest] = (remembered, key.at + timedelta(days=IDEMPOTENCY_DAYS))
        for refused in refused_requests(working_set, commands, results):
            if refused.code_id is None:
                self.unknown_code_requests[refused.at.replace(second=0, microsecond=0)] += 1
                continue
            today = sum(row.code_id == refused.code_id and row.at.date() == refused.at.date() for row in self.refusals)
            if today < REFUSALS_PER_CODE_AND_DAY:
                self.refusals.append(refused)


class _TransactionAttempt(AbstractContextManager[UnitOfWork]):
    """One transaction. Leaving it commits; a fault that another try may repair is swallowed while tries are left."""

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
        self.staged: tuple[WorkingSet, Sequence[AnyCommand], Sequence[AnyResult]] | None = None

    def load(self, commands: Sequence[AnyCommand]) -> PipelineSteps[WorkingSet]:
        yield from ()
        about_campaigns, others = split_by_reads(commands)
        working_set = self._load(others) if others else WorkingSet()
        for command in about_campaigns:
            self._load_campaign(working_set, command)
        return working_set

    def _load(self, commands: Sequence[Command]) -> WorkingSet:
        working_set, store = WorkingSet(), self._store
        redeems = [command for command in commands if isinstance(command, ReserveUse)]
        targets = [command.reservation_id for command in commands if isinstance(command, ReservationCommand)]
        for command in [each for each in commands if isinstance(each, ReserveUse | CorrectRecipient | RequestRebind)]:
            code_ids = store.code_ids if self._reads("codes of digests") else {}
            working_set.code_ids |= {
                digest: code_ids[digest] for digest in command.code_digests or () if digest in code_ids
            }
        for draft in [draft for command in commands for draft in recipients_of(command)]:
            ids = store.recipient_ids if self._reads("recipients") else {}
            known_ids = {digest: ids[digest] for digest in draft.digests if digest in ids}
            working_set.recipient_ids |= known_ids
        wanted_codes = {command.code_id for command in commands if isinstance(command, NewCode | CodeCommand)}
        wanted_codes = wanted_codes if self._reads("codes") else set()
        wanted_codes |= {store.reservations[key].code_id for key in targets if key in store.reservations}
        on_typed = [command for command in commands if isinstance(command, ReserveUse | RequestRebind)]
        found_codes = {working_set.code_id(command.code_digests) for command in on_typed}
        wanted_codes |= {code_id for code_id in found_codes if code_id is not None}
        working_set.codes.update({key: store.codes[key] for key in wanted_codes if key in store.codes})
        if redeems:
            self._load_for_redeems(working_set, redeems, targets)
        self._hold(working_set, "targets", targets)
        named = [store.reservations[key] for key in targets if key in store.reservations]
        self._hold(working_set, "linked", find_linked_reservations(named))
        self._load_newer(working_set, targets, commands)
        self._load_for_other_commands(working_set, commands)
        if self._reads("places"):
            store.lists.load(working_set, commands)
        self._load_campaigns(working_set, commands)
        return working_set

    def _load_campaign(self, working_set: WorkingSet, command: OfCampaign) -> None:
        self._load_text(working_set, command)
        campaign_id = command.campaign_id
        if (campaign := self._store.campaigns.get(campaign_id)) is not None:
            working_set.campaigns[campaign_id] = campaign
            if self._reads("most per person"):
                mailboxes, uses = self._store.mailboxes_with(()), self._store.uses_in(campaign_id)
                of_address = Counter(other.recipient_id for other in uses)
                of_mailbox = Counter(mailboxes.get(other.recipient_id, other.recipient_id) for other in uses)
                most = (max(counted.values(), default=0) for counted in (of_address, of_mailbox))
                working_set.most_per_person[campaign_id] = MostUses(*most)
            if self._reads("existing uses"):
                working_set.existing_uses[campaign_id] = self._store.existing_uses_in(campaign_id)
        if isinstance(command, HandOutCommand) and command.hand_out_id in self._store.hand_outs:
            if self._reads("hand-outs"):
                working_set.hand_outs[command.hand_out_id] = self._store.hand_outs[command.hand_out_id]
            if self._reads("hand-out texts"):
                working_set.hand_out_texts = self._store.lists.texts.get(command.hand_out_id, {})

    def _load_text(self, working_set: WorkingSet, command: AnyCommand) -> None:
        if is_known_by_text(command) and (text := text_of(command)) is not None and self._reads("texts"):
            working_set.known_texts |= {text.text_id} & self._store.texts.keys()

    def save(self, working_set: WorkingSet) -> PipelineSteps[None]:
        yield from ()
        commands, results = self._store.decided
        self._store.on_decision(commands, working_set, results)
        self.staged = (working_set, commands, results)

    def _load_for_redeems(
        self, working_set: WorkingSet, redeems: Sequence[ReserveUse], targets: Sequence[UUID]
    ) -> None:
        store = self._store
        mine: set[UUID] = set()
        for command in redeems:
            code_id = working_set.code_id(command.code_digests)
            if code_id is not None and any(digest in working_set.recipient_ids for digest in command.recipient.digests):
                person = working_set.recipient_id(command.recipient)
                of_person = [
                    reservation for reservation in self._on_code(code_id) if reservation.recipient_id == person
                ]
                of_person.sort(key=lambda reservation: (not reservation.is_live, -reservation.versions[0]))
                mine.update(reservation.reservation_id for reservation in of_person[:PERSON_RESERVATIONS_MAX])
        self._hold(working_set, "reservations of persons", mine)
        if named := {command.again for command in redeems if command.again is not None}:
            self._hold(working_set, "again", named)
            followers = [reservation for reservation in store.reservations.values() if reservation.follows in named]
            followers = [reservation for reservation in followers if reservation.occupies_use]
            self._hold(working_set, "followers", [reservation.reservation_id for reservation in followers])
        for scope in {command.key.scope_digest for command in redeems if command.key is not None}:
            known_key = store.keys.get(scope)
            if self._reads("keys") and known_key is not None and known_key[1] > redeems[0].context.now:
                working_set.remembered[scope] = known_key[0]
        of_keys = {known_key.reservation_id for known_key in working_set.remembered.values()}
        self._hold(working_set, "reservations of keys", of_keys)
        self._load_contended(working_set, redeems, targets)

    def _load_contended(self, working_set: WorkingSet, redeems: Sequence[ReserveUse], named: Sequence[UUID]) -> None:
        now = max(command.context.now for command in redeems)
        request_counts = Counter(working_set.code_id(command.code_digests) for command in redeems)
        late: list[UUID] = []
        for code_id, count in request_counts.items():
            if code_id is None or (code := working_set.codes.get(code_id)) is None or not may_run_out(code, count):
                continue
            on_code = [reservation for reservation in self._on_code(code_id) if reservation.is_use]
            due_time = possible_time(now, code.last_at)
            overdue = sorted(
                (reservation for reservation in on_code if reservation.is_overdue(due_time)),
                key=lambda reservation: (reservation.deadline, reservation.versions[0]),
            )
            late += [reservation.reservation_id for reservation in overdue[: OVERDUE_PER_CODE_MAX + count]]
            others = [reservation for reservation in on_code if reservation.reservation_id not in named]
            ahead = [other.deadline for other in others if other.is_live and other.deadline > due_time]
            if ahead and self._reads("earliest deadlines"):
                working_set.earliest_deadlines[code_id] = min(ahead)
        self._hold(working_set, "overdue", late)

    def _load_for_other_commands(self, working_set: WorkingSet, commands: Sequence[Command]) -> None:
        moved = find_moved(commands)
        rebinds = (reservation for reservation in self._store.reservations.values() if reservation.follows in moved)
        active = [reservation.reservation_id for reservation in rebinds if is_active_rebind(reservation)]
        self._hold(working_set, "rebinds", active)
        for command in commands:
            if isinstance(command, HandOutMailCommand | HandOutCode) and self._reads("handed out"):
                ids = {command.code_id} & self._store.handed_out.keys()
                working_set.handed_out.update({key: self._store.handed_out[key] for key in ids})
            self._load_text(working_set, command)
            if isinstance(command, CorrectRecipient) and (
                reservation := working_set.reservations.get(command.reservation_id)
            ):
                person = working_set.recipient_id(command.recipient)
                of_person = [other for other in self._on_code(reservation.code_id) if other.recipient_id == person]
                of_person.sort(key=lambda other: (not other.is_live, -other.versions[0]))
                of_person = of_person[:PERSON_RESERVATIONS_MAX]
                self._hold(working_set, "reservations of persons", [other.reservation_id for other in of_person])
            elif isinstance(command, RequestRebind) and (code_id := working_set.code_id(command.code_digests)):
                person = working_set.recipient_id(command.recipient)
                of_person = [other for other in self._on_code(code_id) if other.recipient_id == person]
                of_person.sort(key=lambda other: (not other.is_live, -other.versions[0]))
                of_person = of_person[:PERSON_RESERVATIONS_MAX]
                self._hold(working_set, "reservations of persons", [other.reservation_id for other in of_person])
            elif isinstance(command, RevokeCode | ContinueRevocation):
                released = [other for other in self._on_code(command.code_id) if is_released_by_revocation(other)]
                released.sort(key=lambda other: other.deadline)
                self._hold(working_set, "held", [other.reservation_id for other in released[:REVOKED_PER_CODE_MAX]])
        self._load_suppressions(working_set, commands)

    def _load_suppressions(self, working_set: WorkingSet, commands: Sequence[Command]) -> None:
        asked: set[UUID] = set()
        for command in commands:
            if isinstance(command, ReserveUse):
                if working_set.code_id(command.code_digests) is not None:
                    asked.add(working_set.recipient_id(command.recipient))
            elif isinstance(command, CorrectRecipient | RequestResend):
                target = working_set.reservations.get(command.reservation_id)
                if target is not None and isinstance(command, RequestResend):
                    asked.add(target.recipient_id)
                elif target is not None and isinstance(command, CorrectRecipient):
                    asked.add(working_set.recipient_id(command.recipient))
        if asked and self._reads("suppressions"):
            suppressed = self._store.suppressions_at(max(command.context.now for command in commands))
            working_set.suppressions.update({key: suppressed[key] for key in asked if key in suppressed})

    def _load_campaigns(self, working_set: WorkingSet, commands: Sequence[Command]) -> None:
        """Read the campaigns of the codes, and the uses and deadlines that their limits are compared with."""
        joined = {command.campaign_id for command in commands if isinstance(command, NewCode | JoinCampaign)}
        campaign_ids = {code.campaign_id for code in working_set.codes.values()} | joined
        now = max(command.context.now for command in commands)
        for campaign_id in campaign_ids - {None}:
            if campaign_id is None or (campaign := self._store.campaigns.get(campaign_id)) is None:
                continue
            if not self._reads("campaigns"):
                continue
            working_set.campaigns[campaign_id] = campaign
            uses = self._store.uses_in(campaign_id)
            if self._reads("uses of persons"):
                if campaign.counts_by_mailbox:
                    working_set.mailboxes = self._store.mailboxes_with(commands)
                people = Counter((campaign_id, working_set.find_person(campaign, other.recipient_id)) for other in uses)
                working_set.uses_of_persons.update(people)
            deadlines = [other.deadline for other in uses if other.is_live]
            if deadlines and self._reads("campaign deadlines"):
                ahead = [deadline for deadline in deadlines if deadline > now]
                working_set.campaign_deadlines[campaign_id] = min(ahead) if ahead else max(deadlines)

    def _load_newer(self, working_set: WorkingSet, targets: Sequence[UUID], commands: Sequence[Command]) -> None:
        newer: set[UUID] = set()
        for reservation in [working_set.reservations[key] for key in find_recountable(targets, commands, working_set)]:
            on_code = self._on_code(reservation.code_id)
            candidates = [other for other in on_code if _may_take_precedence(other, reservation)]
            follows = reservation.follows
            candidates.sort(key=lambda other: (follows is None or other.follows != follows, -other.versions[0]))
            newer.update(other.reservation_id for other in candidates[:PERSON_RESERVATIONS_MAX])
        self._hold(working_set, "newer", newer)

    def _on_code(self, code_id: UUID) -> list[Reservation]:
        return [self._store.reservations[key] for key in self._store.of_code.get(code_id, ())]

    def _reads(self, read: Read) -> bool:
        return read != self._store.omitted_read

    def _hold(self, working_set: WorkingSet, read: Read, ids: Iterable[UUID]) -> None:
        """In the order of ids, as the statements give them."""
        for key in sorted(ids) if self._reads(read) else ():
            if (reservation := self._store.reservations.get(key)) is not None:
                working_set.add_reservation(reservation)


def _may_take_precedence(other: Reservation, reservation: Reservation) -> bool:
    """Whether it is the same person's, stands, and came later or follows the same reservation."""
    follows_same = reservation.follows is not None and other.follows == reservation.follows
    return (
        other.recipient_id == reservation.recipient_id
        and other.occupies_use
        and other.reservation_id != reservation.reservation_id
        and (follows_same or other.versions[0] > reservation.versions[0])
    )
