"""Planted bugs: each replaces a function of production by one that a tired person might have written.

A simulation that finds none of them would prove nothing (tests/simulation/test_planted_bugs.py).
"""

import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from types import ModuleType
from typing import Any, Final, cast
from uuid import UUID

from msgspec.structs import replace

from domain import command_bus
from domain.command_bus import Command
from domain.commands import context as contexts
from domain.commands.context import CommandContext, Decision, EventStamp
from domain.commands.delivery import accept_invite, claim_attempt, record_outcome
from domain.commands.delivery import record_bounce as record_bounce_module
from domain.commands.delivery.claim_attempt import ClaimAttempt
from domain.commands.delivery.late_success import DeliveryProof
from domain.commands.delivery.record_bounce import RecordMailReport, record_mail_report
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.commands.reservation import correct_recipient, reserve, settle_due
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.refund import RefundReservation
from domain.errors import CodeExhausted
from domain.events.event import Event
from domain.events.reservation import InviteSent
from domain.model import invariants, reservation_transitions
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.ports import Outcome, Rejected, outcome_label
from domain.values.link_token import DeliveryRef
from domain.values.mail import mail_token
from domain.working_set import WorkingSet
from projections.database.errors import StorageUnavailableError
from projections.work_queue.impossible_times import find_bounds
from tests.simulation.actors import components as parts
from tests.simulation.actors.components import ApiComponent, WorkerComponent
from tests.simulation.bugs import planted_access_bugs, planted_campaign_bugs
from tests.simulation.bugs.planted_access_bugs import Patch, Replacement
from tests.simulation.services import retention, work_queues
from tests.simulation.services.retention import MemoryRetention
from workers.dispatcher import DispatchQueue
from workers.sending import message_factory
from workers.sending.delivery_steps import ClaimedDelivery, DeliverySteps, EndedDelivery
from workers.sending.due_sweep import sweep
from workers.sending.loop import Ended

BALANCE_RULE: Final = "invariant 1: no use is granted beyond the limit"


def plant(patch: Patch, kind: type[Command], decide: Callable[[Any, WorkingSet, Policy], Decision]) -> None:
    """Another decision of a command."""
    patch.setitem(command_bus.COMMANDS, kind, command_bus.COMMANDS[kind]._replace(decide=decide))


def _refund_if(patch: Patch, is_refunded: Callable[[Reservation, datetime], bool], *places: ModuleType) -> None:
    """Refund what is pending under a condition, as if it were overdue, wherever `due_events` is used."""
    due_events = settle_due.due_events

    def due(code: RedeemCode, reservation: Reservation, now: EventStamp, *others: Any) -> Sequence[Event]:
        if reservation.is_live and is_refunded(reservation, now.at):
            return settle_due.release_overdue(code, [reservation], now)
        return due_events(code, reservation, now, *others)

    for place in places:
        patch.setattr(place, "due_events", due)


def sweep_forgets_leases(patch: Patch) -> None:
    """The sweep refunds what is past its deadline, even while it is being sent."""

    def is_past(each: Reservation, now: datetime) -> bool:
        return each.case_id is None and not each.ever_unknown and each.deadline <= now

    _refund_if(patch, is_past, settle_due)


def machine_refunds_unknowns(patch: Patch) -> None:
    """At the deadline an attempt with an unknown outcome is refunded like any other."""

    def is_unknown(each: Reservation, now: datetime) -> bool:
        return each.ever_unknown and each.lease is None and each.deadline <= now

    _refund_if(patch, is_unknown, settle_due, claim_attempt)


def machine_refunds_unknowns_unchecked(patch: Patch) -> None:
    """The same, and the assertion that would have stopped it is gone too."""
    machine_refunds_unknowns(patch)
    patch.setattr("domain.working_set.check_transition", lambda _before, _event, after: after)


def lapsed_lease_is_a_failure(patch: Patch) -> None:
    """A lease without an outcome counts as definitely not sent."""

    def has_lapsed(each: Reservation, now: datetime) -> bool:
        return each.case_id is None and each.lease is not None and each.lease.until <= now

    _refund_if(patch, has_lapsed, settle_due, claim_attempt)


def publish_error_is_a_failure(patch: Patch) -> None:
    """What could not be published is compensated at once, as the old system did."""

    def publish_some(queue: DispatchQueue) -> float:
        ids = list(queue._waiting)
        queue._waiting.clear()
        try:
            queue._publish(ids)
        except Exception:  # noqa: BLE001 - that is how it is done
            api = queue._publish.__self__  # type: ignore[attr-defined]  # it is a method of the simulated API
            assert isinstance(api, ApiComponent)
            context = CommandContext(
                now=api.infrastructure.now(), actor="worker", request_id=str(api.scheduler.new_id())
            )
            with suppress(StorageUnavailableError):
                api.commit.run([RefundReservation(context=context, reservation_id=key, cause="reset") for key in ids])
        return 0.02

    patch.setattr(DispatchQueue, "publish_some", publish_some)


def attempt_is_recorded_after_the_send(patch: Patch) -> None:
    """First the email, then the books."""
    record_and_claim_as_usual = DeliverySteps.record_and_claim

    def record_and_claim(
        self: DeliverySteps,
        attempts: Sequence[EndedDelivery],
        reservation_ids: Sequence[UUID],
        channel: str,
        task_id: str,
    ) -> list[ClaimedDelivery]:
        worker = self.execute.__self__  # type: ignore[attr-defined]  # it is a method of the simulated worker
        assert isinstance(worker, WorkerComponent)
        record_and_claim_as_usual(self, attempts, (), channel, task_id)
        for key in reservation_ids:
            reservation = worker.infrastructure.store.reservations.get(key)
            if reservation is None or reservation.next_attempt_at is None or reservation.next_attempt_at > self.now():
                continue
            address = worker._addresses([reservation.recipient_id]).get(reservation.recipient_id)
            if address is None:  # erased since
                continue
            message = self.message_factory.invitation(reservation, address)
            outcome = worker.infrastructure.mail.send(message)
            for claimed in record_and_claim_as_usual(self, (), [key], channel, task_id):
                record_and_claim_as_usual(self, [Ended(claimed, outcome)], (), channel, task_id)
        return []

    patch.setattr(DeliverySteps, "record_and_claim", record_and_claim)


def success_counts_every_time(patch: Patch) -> None:
    """Anyone who reports a success counts the use."""

    def success(
        code: RedeemCode,
        reservation: Reservation,
        working_set: WorkingSet,
        now: EventStamp,
        proof: DeliveryProof,
        case_id: UUID,
    ) -> Sequence[Event]:
        del code, working_set, case_id
        sent = InviteSent(
            **now.fields,
            reservation_id=reservation.reservation_id,
            delivery=proof.delivery,
            attempt=proof.attempt,
            kind=reservation.kind,
            server=proof.server,
            caused_by=reservation.versions[-1],
        )
        return (sent,)

    patch.setattr(record_outcome, "success_events", success)
    patch.setattr(accept_invite, "success_events", success)


def late_success_is_retaken_blindly(patch: Patch) -> None:
    """A use that was refunded is counted again without a look at the code."""
    patch.setattr("domain.commands.delivery.late_success.find_retake_obstacle", lambda *_: None)


def overdue_forgets_leases(patch: Patch) -> None:
    """The next command refunds what is past its deadline, although it is being sent."""

    def is_overdue(self: Reservation, now: Any) -> bool:  # noqa: ANN401 - as it comes
        return self.is_live and self.deadline <= now and not self.ever_unknown and self.case_id is None

    patch.setattr(Reservation, "is_overdue", is_overdue)


def claim_ignores_the_lease(patch: Patch) -> None:
    """A second worker takes what the first one has."""

    def claim(command: ClaimAttempt, working_set: WorkingSet, policy: Policy) -> Decision:
        reservation = working_set.reservations.get(command.reservation_id)
        if reservation is not None and reservation.lease is not None:
            free = replace(reservation, lease=None, next_attempt_at=reservation.reserved_at)
            working_set.reservations[reservation.reservation_id] = free
        return claim_attempt.claim_attempt(command, working_set, policy)

    plant(patch, ClaimAttempt, claim)


def bounce_gives_the_use_back(patch: Patch) -> None:
    """Who bounces has not paid."""

    def bounce(command: RecordMailReport, working_set: WorkingSet, policy: Policy) -> Decision:
        decision = record_mail_report(command, working_set, policy)
        reservation = working_set.reservations[command.reservation_id]
        if reservation.status != "sent" or not decision.events:
            return decision
        at = decision.events[0].at
        now = EventStamp(at, at, {"at": at, "actor": "worker"})
        refund = replace(
            settle_due.release_overdue(working_set.codes[reservation.code_id], [reservation], now)[0], held="used"
        )
        return replace_events(decision, [decision.events[0], refund])

    plant(patch, RecordMailReport, bounce)


def replace_events(decision: Decision, events: Sequence[Event]) -> Decision:
    """The same decision with other events."""
    return replace(decision, events=events)


def lease_belongs_to_the_message(patch: Patch) -> None:
    """Every copy of a message takes the lease of the first one for its own."""

    def context(self: DeliverySteps, task_id: str) -> CommandContext:
        return CommandContext(now=self.now(), actor="worker", actor_id=self.worker, request_id=task_id)

    patch.setattr(DeliverySteps, "_context", context)


def message_id_per_attempt(patch: Patch) -> None:
    """Every try is a letter of its own."""
    numbers = iter(range(10**9))

    def message_id(delivery: DeliveryRef, domain: str) -> str:
        return f"<{delivery.reservation_id}.{delivery.number}.{next(numbers)}@{domain}>"

    patch.setattr(message_factory, "message_id", message_id)


def sweep_wakes_nobody(patch: Patch) -> None:
    """The sweep settles, and leaves lost messages lost."""

    def lost(rows: Any, execute: Any, publish: Any, context: CommandContext, new_id: Any) -> object:  # noqa: ANN401 - as they come
        del publish
        return sweep(rows, execute, lambda _: None, context, new_id)

    patch.setattr(parts, "sweep", lost)


def _record(patch: Patch, change: Callable[[Outcome], Outcome]) -> None:
    """Record another outcome than there was."""
    record_as_usual = DeliverySteps._record

    def record(self: DeliverySteps, *others: Any) -> RecordOutcome:
        command = record_as_usual(self, *others)
        return replace(command, outcome=change(command.outcome))

    patch.setattr(DeliverySteps, "_record", record)


def uncertain_is_a_failure(patch: Patch) -> None:
    """A connection that died after DATA counts as "not sent"."""
    failure = Rejected(server="mx", reason="temporary", final=False)
    _record(patch, lambda outcome: failure if outcome_label(outcome) == "unknown" else outcome)


def closed_greeting_spends_an_attempt(patch: Patch) -> None:
    """A server with too many connections is taken for one that did not want this message."""

    def blame_message(outcome: Outcome) -> Outcome:
        return dataclasses.replace(outcome, about_connection=False) if isinstance(outcome, Rejected) else outcome

    _record(patch, blame_message)


def correction_ignores_domains(patch: Patch) -> None:
    """Only a redeem request is held to the domains of the terms; a correction moves the use to any address."""
    check = correct_recipient._check

    def check_all_but_domains(command: CorrectRecipient, code: RedeemCode, *others: Any, **named: Any) -> None:
        open_terms = replace(code.terms, allowed_domains=None, denied_domains=None)
        check(command, replace(code, terms=open_terms), *others, **named)

    patch.setattr(correct_recipient, "_check", check_all_but_domains)


def uses_over_the_limit_count_as_left(patch: Patch) -> None:
    """A code whose limit was set below its uses has as many left as it has too many."""

    def count_difference(code: RedeemCode) -> int | None:
        return None if code.terms.max_uses is None else abs(code.terms.max_uses - code.occupied)

    patch.setattr(RedeemCode, "available", property(count_difference))
    patch.setattr(invariants, "keeps_balance", lambda _before, _event, _after: True)
    patch.setitem(cast("dict[str, Any]", invariants.CODE_RULES), BALANCE_RULE, lambda *_: True)


def sweep_waits_for_the_future(patch: Patch) -> None:
    """What is due in two days is due in two days, also if it was stored while the clock was ahead."""
    later = timedelta(days=100)
    patch.setattr(work_queues, "find_bounds", lambda now: {**find_bounds(now + later), "now": now})


def claim_waits_for_the_future(patch: Patch) -> None:
    """The sweep wakes a worker, and the aggregate sends it away."""

    def is_due(reservation: Reservation, now: datetime) -> bool:
        return reservation.next_attempt_at is not None and reservation.next_attempt_at <= now

    patch.setattr(Reservation, "is_attempt_due", is_due)


def lease_is_kept_until_the_future(patch: Patch) -> None:
    """A worker that died while the clock was ahead keeps its lease."""

    def is_leased(reservation: Reservation, now: datetime) -> bool:
        return reservation.lease is not None and reservation.lease.until > now

    patch.setattr(Reservation, "is_leased", is_leased)


def stream_that_is_ahead_tells_the_time(patch: Patch) -> None:
    """New waits count from the last event of the stream, and what was due before it is overdue."""
    patch.setattr(contexts, "possible_time", lambda _now, last_at: last_at)
    patch.setattr(reservation_transitions, "is_impossible", lambda _stored_at, _now: False)


REPLACEMENTS: Final[Mapping[str, Replacement]] = {
    # An Idempotency-Key leads nowhere.
    "key_is_forgotten": (reserve, "_find_remembered_result", lambda *_: None),
    # The policy refunds at any bounce, however many copies were sent.
    "bounce_refunds_whatever_was_sent": (record_bounce_module, "_was_sent_once", lambda *_: True),
    # Each report is believed.
    "forged_reports_are_believed": (mail_token, "_tag", lambda *_: b"\0" * 8),
    # A report that comes twice is two reports.
    "same_report_is_taken_again": (record_bounce_module, "_is_known", lambda *_: False),
    # A second request is answered "used up" while the first one is still in flight.
    "held_is_called_used_up": (reserve, "_code_held_error", lambda *_: CodeExhausted()),
    # The next command leaves other people's overdue reservations to the sweep.
    "overdue_needs_the_sweep": (WorkingSet, "overdue", lambda *_: []),
    # A code is redeemed before it starts.
    "start_is_ignored": (RedeemCode, "has_started", lambda *_: True),
    # Who was due when the page was read is erased, whatever has begun since.
    "retention_trusts_what_it_read": (MemoryRetention, "_is_due", lambda self, key, _now: key in self._store.addresses),
    # A code that was handed out keeps the address, although the only email with it did not arrive.
    "retention_keeps_whom_no_code_reached": (retention, "_may_have_arrived", lambda *_: True),
    # A code that was handed out keeps no address, although an email with it may have arrived.
    "retention_erases_who_may_have_a_code": (retention, "_may_have_arrived", lambda *_: False),
}
"""Bugs that are one other value in the place of a function or a constant, by name."""


def _list_plants(module: ModuleType) -> Iterator[tuple[str, Callable[[Patch], None]]]:
    """Yield the functions that plant a bug of a module, and one for each row of its table."""
    for name, value in vars(module).items():
        is_own = inspect.isfunction(value) and value.__module__ == module.__name__
        if is_own and [*inspect.signature(value).parameters] == ["patch"]:
            yield name, value
    for name, replacement in module.REPLACEMENTS.items():
        yield name, partial(_replace, replacement)


def _replace(replacement: Replacement, patch: Patch) -> None:
    patch.setattr(*replacement)


PLANTED_BUGS: Final[Mapping[str, Callable[[Patch], None]]] = {
    name: plant
    for module in (sys.modules[__name__], planted_access_bugs, planted_campaign_bugs)
    for name, plant in _list_plants(module)
}
