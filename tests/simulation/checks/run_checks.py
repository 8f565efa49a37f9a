"""What must hold after a run: the invariants by the functions of `ledger verify`, and checks from outside.

The checks from outside know nothing of decisions: they compare what clients were promised, what the mail server took,
and what the log says (Jepsen calls such checks "total queue" and "bank").
"""

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import cast
from uuid import UUID

from domain.command_bus import AnyCommand
from domain.commands.reservation.reserve import ReserveUse
from domain.errors import CodeExhausted, CodeHeld, CodeNotStarted, DomainNotAllowed, EmailMismatch
from domain.events.access import AccessReplaced
from domain.events.code import OpeningBalanceImported
from domain.events.event import STAFF, Event
from domain.events.registry import topic_of
from domain.events.reservation import (
    BY_STAFF,
    InviteAttempted,
    InviteFailed,
    InviteOutcomeUnknown,
    InviteSent,
    LateSuccessRecorded,
    ReservationStarted,
    UseRefunded,
)
from domain.ports import OutboundMessage
from domain.results import AnyResult
from domain.values.link_token import DeliveryRef
from domain.values.message_id import message_id
from domain.working_set import WorkingSet
from projections.definitions.registry import PROJECTIONS
from projections.event_store.codec import decode
from projections.event_store.side_tables import NOTICE_CAUSES
from projections.event_store.stored_state import read_fields
from projections.replay.invariant_observer import InvariantObserver
from projections.replay.log_fold import LogFold
from projections.verification.drift_sample import FoldedRows, compare_rows
from tests.simulation.actors.components import MESSAGES
from tests.simulation.actors.recipients import recipient_draft
from tests.simulation.checks.access_checks import find_broken_access_rules
from tests.simulation.checks.campaign_checks import find_wrong_campaigns
from tests.simulation.checks.hand_out_checks import (
    find_changed_emails,
    find_early_hand_outs,
    find_repeated_hand_outs,
    find_wrong_changes,
    find_wrong_ends,
    find_wrong_lines,
    find_wrong_list_rows,
)
from tests.simulation.checks.lost_code_checks import find_wrong_erasures_of_hand_outs
from tests.simulation.checks.report_checks import (
    find_renewed_suppressions,
    find_untrue_reports,
    find_wrong_places,
)
from tests.simulation.checks.retention_checks import find_wrong_erasures
from tests.simulation.checks.run_result import CommittedEvent, RunResult
from tests.simulation.checks.terms_checks import find_uses_against_terms
from tests.simulation.checks.threshold_checks import (
    find_uses_beyond_limits_of_codes,
    find_wrong_crossings,
    find_wrong_reports_of_ends,
)
from tests.simulation.checks.waiting_checks import find_overtaken
from tests.simulation.services.store import MemoryStore

Violations = Iterator[str]
NOTICES = {"refund_notice", "rebind_notice", "correction_notice", "move_notice"}
TRANSIENT_REASONS = frozenset({"temporary", "unreachable"})
"""Reasons of refusals after which the same message is sent again."""
OPENING = topic_of(OpeningBalanceImported)


def violations(run: RunResult) -> list[str]:
    rules = (
        _log_and_rows,
        _promises,
        _messages,
        _notices,
        _uses,
        _settled,
        _in_time,
        _spent,
        _secrets,
        find_broken_access_rules,
        find_overtaken,
        find_uses_against_terms,
        find_uses_beyond_limits_of_codes,
        find_wrong_crossings,
        find_wrong_reports_of_ends,
        find_early_hand_outs,
        find_repeated_hand_outs,
        find_wrong_list_rows,
        find_wrong_lines,
        find_wrong_ends,
        find_changed_emails,
        find_wrong_changes,
        find_untrue_reports,
        find_wrong_places,
        find_renewed_suppressions,
        find_wrong_erasures,
        find_wrong_erasures_of_hand_outs,
    )
    return [
        *bank(run.store),
        *find_wrong_campaigns(run.store),
        *(violation for rule in rules for violation in rule(run)),
    ]


def _log_and_rows(run: RunResult) -> Violations:
    """Invariants 1 to 4, 7 and 10: every rule at every version, and rows equal to a fold of the log."""
    watch, rows = InvariantObserver(), FoldedRows(PROJECTIONS)
    fold = LogFold(rows, watch, open_reservations_max=1_000_000)
    placed = [
        (cast("UUID", stored_event.originator_id).bytes, stored_event.originator_version, nth, stored_event)
        for nth, stored_event in enumerate(run.store.log)
    ]
    fold.fold_page(
        (stream, version, position + 1, stored_event.topic, stored_event.state)
        for stream, version, position, stored_event in sorted(placed, key=lambda each: each[:2])
    )
    fold.end_stream()
    for finding in watch.findings:
        yield f"{finding.rule}: {finding.type} at version {finding.version} of {finding.stream} {finding.detail or ''}"
    for name, folded in rows.tables.items():
        stored = run.store.read_models[name].rows
        yield from (f"invariant 7: row differs: {drift}" for drift in compare_rows(name, stored, folded.rows))


def bank(store: MemoryStore) -> Violations:
    """At any time, used and reserved are the sums of the reservations, and within the limit."""
    counts: Counter[tuple[UUID, str]] = Counter()
    for stored in store.log:
        if stored.topic == OPENING:
            event = decode(stored.topic, stored.state)
            counts[cast("UUID", stored.originator_id), "sent"] += cast("OpeningBalanceImported", event).uses
    for reservation in store.reservations.values():
        if reservation.is_use:
            counts[reservation.code_id, reservation.status] += 1
    for code_id, code in store.codes.items():
        if (code.used, code.reserved) != (counts[code_id, "sent"], counts[code_id, "live"]):
            yield f"bank: code {code_id} says {code.used}+{code.reserved}, its reservations say otherwise"


def _promises(run: RunResult) -> Violations:
    """Invariant 5: what was promised is there, for the one who was promised it, and the same under the same key."""
    reserved = {
        fact.event.reservation_id: (fact.code_id, fact.event.recipient_id)
        for fact in run.facts
        if isinstance(fact.event, ReservationStarted)
    }
    by_key: dict[tuple[int, UUID, str], set[UUID]] = defaultdict(set)
    for ack in run.acks:
        whose = reserved.get(ack.reservation_id)
        if whose is None:
            yield f"lost: {ack.reservation_id} was promised and is not in the log"
            continue
        code_id, recipient_id = whose
        persons = run.store.ids_of(recipient_draft(ack.person, ack.reservation_id).digests[0])
        if code_id != run.code_ids[ack.code] or recipient_id not in persons:
            yield f"{ack.reservation_id} was promised to person {ack.person} and is somebody else's"
        if ack.key is not None:
            by_key[ack.code, recipient_id, ack.key].add(ack.reservation_id)
    for key, ids in by_key.items():
        if len(ids) > 1:
            yield f"key {key} led to several reservations: {sorted(ids)}"


def _messages(run: RunResult) -> Violations:
    """Invariant 8: emails only of attempts that were in the log before, twice only after a doubt, all of them equal."""
    attempts, doubts = _attempt_times(run.facts, InviteAttempted), _attempt_times(run.facts, InviteOutcomeUnknown)
    first: dict[str, OutboundMessage] = {}
    count: Counter[DeliveryRef] = Counter()
    for accepted in run.accepted_messages:
        message = accepted.message
        if message.template != "invite":
            continue
        if first.setdefault(message.message_id, message) != message:
            yield f"two letters with Message-ID {message.message_id} differ"
        delivery = _delivery_of(message, attempts)
        if delivery is None:
            yield f"a letter of {message.reservation_id} that no attempt in the log has: {message.message_id}"
            continue
        count[delivery] += 1
        if bisect_left(attempts[delivery], accepted.at) < count[delivery]:
            yield f"{message.message_id} was sent before its attempt was in the log"
        if bisect_left(doubts.get(delivery, []), accepted.at) < count[delivery] - 1:
            yield f"{message.message_id} was sent {count[delivery]} times without a doubt before"


def _notices(run: RunResult) -> Violations:
    """Each event with a notice (rule 14 among them) leads to one, and no other event does."""
    begun: dict[tuple[UUID, str], float] = {}
    for fact in run.facts:
        if (key := _notice_of(fact.event, run.store)) is not None:
            begun.setdefault(key, fact.at)
    for key in begun:
        row = run.store.outbox.get(key)
        if row is None or row.due_at is not None:
            yield f"{key} is due, and its person is never told: {row}"
    count: Counter[tuple[UUID, str]] = Counter()
    for accepted in run.accepted_messages:
        key = accepted.message.reservation_id, accepted.message.template
        if accepted.message.template not in NOTICES:
            continue
        count[key] += 1
        if begun.get(key, accepted.at) >= accepted.at:
            yield f"{key} was told of what was not in the log"
        elif count[key] > (attempts := run.store.outbox[key].attempts):
            yield f"{key} was told {count[key]} times in {attempts} tries"


def _notice_of(event: Event, store: MemoryStore) -> tuple[UUID, str] | None:
    """The notice that an event has to cause, by reservation and template; None for none."""
    if isinstance(event, AccessReplaced):
        return None if store.reservations[event.by].opened_by in STAFF else (event.reservation_id, "move_notice")
    if not isinstance(event, UseRefunded):
        return None
    reservation = store.reservations[event.reservation_id]
    if event.cause in NOTICE_CAUSES:
        return reservation.reservation_id, "refund_notice" if reservation.is_use else "rebind_notice"
    is_moved = event.cause == "corrected" and (event.held == "used" or reservation.ever_unknown)
    return (reservation.reservation_id, "correction_notice") if is_moved else None


def _delivery_of(message: OutboundMessage, attempts: dict[DeliveryRef, list[float]]) -> DeliveryRef | None:
    number = message.message_id.partition("@")[0].rpartition(".")[2]
    delivery = DeliveryRef(message.reservation_id, int(number) if number.isdigit() else 0)
    is_its_own = message_id(delivery, MESSAGES.mail_domain) == message.message_id
    return delivery if is_its_own and delivery in attempts else None


def _attempt_times(
    facts: Sequence[CommittedEvent], kind: type[InviteAttempted | InviteOutcomeUnknown]
) -> dict[DeliveryRef, list[float]]:
    times: dict[DeliveryRef, list[float]] = defaultdict(list)
    for fact in facts:
        if isinstance(fact.event, kind):
            times[DeliveryRef(fact.event.reservation_id, fact.event.delivery)].append(fact.at)
    return times


def _uses(run: RunResult) -> Violations:
    """Invariants 3, 10 and 16, seen from outside: what was mailed no machine refunds, and what counts was mailed.

    Where the policy says so, it refunds what was mailed once and came back.
    """
    copies = Counter(
        accepted.message.reservation_id for accepted in run.accepted_messages if accepted.message.template == "invite"
    )
    mailed = copies.keys()
    came_back = {ref.subject_id for ref, kind in run.reported if ref.kind == "invite" and kind == "bounced"}
    for fact in run.facts:
        event = fact.event
        by_machine = isinstance(event, UseRefunded) and event.actor not in STAFF and event.cause != "corrected"
        if isinstance(event, UseRefunded) and by_machine and event.reservation_id in mailed:
            may_refund = event.cause == "bounced" and run.policy.bounce_policy == "refund"
            if may_refund and copies[event.reservation_id] == 1 and event.reservation_id in came_back:
                continue
            yield f"free use: {event.reservation_id} was mailed, and a machine gave it back ({event.cause})"
        counts = isinstance(event, InviteSent) or (isinstance(event, LateSuccessRecorded) and event.effect == "retaken")
        if (
            counts
            and isinstance(event, InviteSent | LateSuccessRecorded)
            and event.server != BY_STAFF
            and event.actor != "import"
            and event.reservation_id not in mailed
        ):
            yield f"counted and never mailed: {event.reservation_id}"


def _settled(run: RunResult) -> Violations:
    for reservation in run.store.pending():
        unsettled = f"{reservation.reservation_id} is neither settled nor parked"
        yield f"stuck: {unsettled}; its deadline was {reservation.deadline}"


def _in_time(run: RunResult) -> Violations:
    """What had time enough after the last fault was sent, and not refunded because no worker claimed it."""
    waiting = set(run.in_time)
    for fact in run.facts:
        if (
            isinstance(fact.event, UseRefunded)
            and fact.event.cause == "deadline"
            and fact.event.reservation_id in waiting
        ):
            yield f"forgotten: {fact.event.reservation_id} had time enough, and its deadline passed"


def _spent(run: RunResult) -> Violations:
    """Rule 4: an attempt is spent only if the server heard of the message and refused it for the moment."""
    spent = Counter(
        fact.event.reservation_id
        for fact in run.facts
        if isinstance(fact.event, InviteFailed)
        and fact.event.reason in TRANSIENT_REASONS
        and not fact.event.about_connection
    )
    for reservation_id, count in spent.items():
        busy_count = run.busy.get(reservation_id, 0)
        if count > busy_count:
            yield f"{reservation_id} spent {count} attempts on refusals, of which {busy_count} were about the message"


def _secrets(run: RunResult) -> Violations:
    """Invariant 9: messages hold ids only, and events no address."""
    for ids in run.published:
        for text in ids:
            try:
                UUID(text)
            except ValueError:
                yield f"a message holds {text!r}"
    if any("@" in json.dumps(read_fields(stored_event.state)) for stored_event in run.store.log):
        yield "an event holds an address"


def refusals_are_true(
    working_set: WorkingSet, commands: Sequence[AnyCommand], results: Sequence[AnyResult]
) -> Violations:
    """What is said to be used up or held is so. Of a batch of one only: then the book shows what was seen."""
    if len(commands) != 1 or not isinstance(commands[0], ReserveUse):
        return
    code_id = working_set.code_id(commands[0].code_digests)
    code = working_set.codes.get(code_id) if code_id else None
    if code is None:
        return
    result = results[0]
    if isinstance(result, CodeExhausted) and code.used < (code.terms.max_uses or 0):
        yield f"code {code_id} was said to be used up: {code.used} used, {code.reserved} held of {code.terms.max_uses}"
    if isinstance(result, CodeHeld) and not code.reserved:
        yield f"code {code_id} was said to be held, and nothing holds it"
    if isinstance(result, CodeNotStarted) and code.has_started(commands[0].context.now):
        yield f"code {code_id} was said not to have started, and it has"
    if isinstance(result, DomainNotAllowed) and code.terms.allowed_domains is code.terms.denied_domains is None:
        yield f"code {code_id} was said not to admit a domain, and it admits all"
    if isinstance(result, EmailMismatch) and not code.sent_binding:
        yield f"code {code_id} was said to be somebody else's, and nobody has it"
