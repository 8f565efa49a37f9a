"""Random histories of one code keep the invariants, and folding the log again gives the same states."""

from datetime import timedelta
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from domain.commands.code.change_terms import ChangeTerms
from domain.commands.reservation.resolve_case import Resolution
from domain.events.event import ActorKind
from domain.events.reservation import InviteAttempted, InviteSent, LateSuccessRecorded, ReservationEvent, UseRefunded
from domain.model.invariants import find_broken_code_rules, find_broken_reservation_rules
from domain.model.redeem_code import RedeemCode, evolve_code
from domain.model.reservation import Reservation
from domain.model.reservation_transitions import evolve_reservation
from domain.policy import Policy
from domain.ports import Outcome, RetryLater
from domain.results import CommandResult, Result
from tests.support.ledger.scenario import BUSY, LOST, REFUSED, SENT, START, Scenario

RESOLUTIONS: st.SearchStrategy[Resolution] = st.sampled_from(["sent", "refunded", "retry"])
PEOPLE = st.sampled_from(["li", "wang", "zhao"])
REVOKED_FROM = 12
"""Events after which a code may be revoked: most of a life comes before its end."""
OUTCOMES = st.sampled_from([SENT, SENT, REFUSED, BUSY, LOST, "later"])


class LedgerRules(RuleBasedStateMachine):
    """People redeem, workers claim and record (also late), time passes, the sweep and staff come by."""

    reservations: Bundle[UUID] = Bundle("reservations")

    def start(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.last: Result | None = None
        self.checked = 0
        self.folded: RedeemCode | None = None
        self.states: dict[UUID, Reservation] = {}

    @rule(target=reservations, person=PEOPLE, key=st.sampled_from([None, "k"]))
    def redeem(self, person: str, key: str | None) -> UUID | MultipleResults[UUID]:
        return self._reservation_of(self.scenario.redeem(person, key=key))

    @rule(target=reservations, person=PEOPLE, named=reservations)
    def redeem_again(self, person: str, named: UUID) -> UUID | MultipleResults[UUID]:
        return self._reservation_of(self.scenario.redeem(person, again=named))

    @rule(reservation_id=reservations, worker=st.sampled_from(["w1", "w2"]))
    def claim(self, reservation_id: UUID, worker: str) -> None:
        """A worker claims; no invitation is sent for an access that has ended, or that was accepted."""
        is_past, before = self.scenario.reservation(reservation_id).needs_no_delivery, len(self.scenario.events)
        self.scenario.claim(reservation_id, worker=worker)
        begun = any(isinstance(event, InviteAttempted) for event in self.scenario.events[before:])
        assert not (is_past and begun)

    @rule(reservation_id=reservations, outcome=OUTCOMES, stale=st.integers(0, 1))
    def record(self, reservation_id: UUID, outcome: Outcome | str, stale: int) -> None:
        """An outcome arrives: of the newest attempt, or of the one before."""
        reservation = self.scenario.reservation(reservation_id)
        attempt = reservation.last_attempt - stale
        if attempt < 1:
            return
        if isinstance(outcome, str):
            outcome = RetryLater(server="team", reason="full", wait=timedelta())
        self.scenario.outcome(reservation_id, outcome, attempt=attempt)

    @rule(reservation_id=reservations)
    def sweep(self, reservation_id: UUID) -> None:
        self.scenario.settle(reservation_id)

    @rule(reservation_id=reservations, held_only=st.booleans(), number=st.integers(1, 3))
    def refund(self, reservation_id: UUID, held_only: bool, number: int) -> None:
        self.scenario.refund(reservation_id, request_id=f"r{number}", held_only=held_only)

    @rule(reservation_id=reservations)
    def accept(self, reservation_id: UUID) -> None:
        self.scenario.accept(reservation_id)

    @rule(reservation_id=reservations)
    def bounce(self, reservation_id: UUID) -> None:
        self.scenario.bounce(reservation_id)

    @rule(reservation_id=reservations, resolution=RESOLUTIONS, number=st.integers(1, 3))
    def resolve(self, reservation_id: UUID, resolution: Resolution, number: int) -> None:
        self.scenario.resolve(reservation_id, resolution, request_id=f"s{number}")

    @rule(reservation_id=reservations, include_sent=st.booleans())
    def give_back_after_an_outage(self, reservation_id: UUID, include_sent: bool) -> None:
        """An operator refunds what an outage hurt."""
        self.scenario.outage(reservation_id, include_sent=include_sent)

    @rule(reservation_id=reservations, number=st.integers(1, 3))
    def cancel(self, reservation_id: UUID, number: int) -> None:
        self.scenario.cancel(reservation_id, request_id=f"c{number}")

    @rule(target=reservations, reservation_id=reservations, person=PEOPLE, actor=st.sampled_from(["person", "staff"]))
    def correct(self, reservation_id: UUID, person: str, actor: ActorKind) -> UUID | MultipleResults[UUID]:
        return self._reservation_of(self.scenario.correct(reservation_id, person, actor=actor))

    @rule(reservation_id=reservations, number=st.integers(1, 3))
    def resend(self, reservation_id: UUID, number: int) -> None:
        self.scenario.resend(reservation_id, request_id=f"d{number}")

    @rule(reservation_id=reservations, delivery=st.integers(1, 3))
    def accept_a_further_delivery(self, reservation_id: UUID, delivery: int) -> None:
        if delivery <= self.scenario.reservation(reservation_id).delivery:
            self.scenario.accept(reservation_id, delivery=delivery)

    @rule(reservation_id=reservations, attempt=st.integers(1, 4))
    def an_older_attempt_succeeds(self, reservation_id: UUID, attempt: int) -> None:
        """Some attempt of long ago, perhaps of an older delivery."""
        begun = [
            event
            for event in self.scenario.events
            if isinstance(event, InviteAttempted) and (event.reservation_id, event.attempt) == (reservation_id, attempt)
        ]
        for event in begun:
            self.scenario.outcome(reservation_id, SENT, attempt=attempt, delivery=event.delivery)

    @rule()
    def pause(self) -> None:
        self.scenario.pause()

    @rule()
    def resume(self) -> None:
        self.scenario.resume()

    @rule(max_uses=st.sampled_from([1, 2, 4, None]))
    def change_the_limit(self, max_uses: int | None) -> None:
        context = self.scenario.context("staff")
        self.scenario.run(ChangeTerms(context=context, code_id=self.scenario.code_id, changes={"max_uses": max_uses}))

    @precondition(lambda self: len(self.scenario.events) > REVOKED_FROM)
    @rule(cases=st.integers(0, 2))
    def revoke(self, cases: int) -> None:
        self.scenario.revoke(cases=cases)

    @rule(cases=st.integers(0, 2))
    def settle_what_is_revoked(self, cases: int) -> None:
        self.scenario.continue_revocation(cases=cases)

    @rule(seconds=st.sampled_from([-30, 1, 10, 61, 130]))
    def time_passes(self, seconds: int) -> None:
        self.scenario.passes(seconds)

    @invariant()
    def no_event_breaks_a_rule(self) -> None:
        """The invariants that `ledger verify` checks too, at every version; each event is looked at once."""
        while self.checked < len(self.scenario.working_set.new_events):
            recorded = self.scenario.working_set.new_events[self.checked]
            self.checked += 1
            version, event = recorded.originator_version, recorded.event
            before = self.folded
            after = evolve_code(before, recorded.originator_id, version, event)
            self.folded = after
            assert find_broken_code_rules(before, event, after) == []
            if isinstance(event, ReservationEvent):
                former = self.states.get(event.reservation_id)
                reservation = evolve_reservation(former, after.code_id, version, event)
                self.states[event.reservation_id] = reservation
                assert find_broken_reservation_rules(former, event, reservation) == []

    @invariant()
    def the_sum_of_design_1_holds(self) -> None:
        """Invariant 3: used = sent + retaken - refunded after sent or retaken; no duplicate or rebind counts."""
        events = [event for event in self.scenario.events if getattr(event, "kind", "redeem") == "redeem"]
        sent = sum(isinstance(event, InviteSent) and event.delivery == 1 for event in events)
        retaken = sum(isinstance(event, LateSuccessRecorded) and event.effect == "retaken" for event in events)
        back = sum(isinstance(event, UseRefunded) and event.held == "used" for event in events)
        assert self.scenario.code.used == sent + retaken - back

    @invariant()
    def the_binding_is_that_of_standing_reservations(self) -> None:
        """Rule 9: derived from live and sent ones, all of one person; none left, none bound."""
        code = self.scenario.code
        reservations = self.scenario.working_set.reservations.values()
        standing = {
            reservation.recipient_id for reservation in reservations if reservation.occupies_use and reservation.is_use
        }
        assert not code.bound or len(standing) <= 1
        assert code.owner_id == (next(iter(standing), None) if code.bound else None)
        assert code.sent_binding == code.used

    @invariant()
    def one_person_has_one_live_reservation_per_request(self) -> None:
        """Rule 8: live ones of one person differ in what they follow; one rebind at a time moves an access."""
        live = [
            (reservation.recipient_id, reservation.follows, reservation.kind)
            for reservation in self.scenario.working_set.reservations.values()
            if reservation.is_live and not reservation.is_overdue(self.scenario.now)
        ]
        assert len(live) == len(set(live))

    def teardown(self) -> None:
        """Invariant 7: a fold of the log gives every state again."""
        if not hasattr(self, "scenario"):
            return
        self.no_event_breaks_a_rule()
        assert self.folded == self.scenario.code
        assert self.states == self.scenario.working_set.reservations
        assert self.scenario.code.last_at >= START

    def _reservation_of(self, result: Result) -> UUID | MultipleResults[UUID]:
        self.last = result
        return result.require_reservation().reservation_id if isinstance(result, CommandResult) else multiple()


class LedgerMachine(LedgerRules):
    @initialize(max_uses=st.sampled_from([1, 2, 3, None]), bound=st.booleans(), attempts=st.integers(1, 3))
    def begin(self, max_uses: int | None, bound: bool, attempts: int) -> None:
        self.start(Scenario(max_uses=max_uses, bound=bound, policy=policy_of(attempts)))


def policy_of(attempts: int) -> Policy:
    """Short times and few tries, so that all of them are come to."""
    return Policy(
        attempts_max=attempts,
        reservation_ttl_s=120,
        lease_s=60,
        revoked_per_command=2,
        deliveries_max=3,
        rebinds_max=2,
        removal_attempts_max=attempts,
        removal_retry_s=10,
    )


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=150, stateful_step_count=40, print_blob=True)
