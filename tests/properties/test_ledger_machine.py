"""Random histories of one code keep the invariants of DESIGN 9, and folding the log again gives the same states."""

from collections import Counter
from typing import cast
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, initialize, invariant, multiple, rule

from domain import redeem_code, reservation
from domain.deciding import Done, Result
from domain.events import (
    CaseOpened,
    CodeIssued,
    InviteSent,
    ReservationEvent,
    UseRefunded,
    UseReserved,
)
from domain.policy import Policy
from domain.ports import Later, Outcome
from tests.domain.scenario import BUSY, LOST, REFUSED, SENT, START, Scenario

PEOPLE = st.sampled_from(["li", "wang", "zhao"])
OUTCOMES = st.sampled_from([SENT, SENT, REFUSED, BUSY, LOST, "later"])


class LedgerMachine(RuleBasedStateMachine):
    """People redeem, workers claim and record (also late), time passes, the sweep and staff come by."""

    reservations: Bundle[UUID] = Bundle("reservations")

    @initialize(max_uses=st.sampled_from([1, 2, 3, None]), bound=st.booleans(), attempts=st.integers(1, 3))
    def begin(self, max_uses: int | None, bound: bool, attempts: int) -> None:
        """Issue one code."""
        policy = Policy(attempts_max=attempts, reservation_ttl_s=120, lease_s=60)
        self.scenario = Scenario(max_uses=max_uses, bound=bound, policy=policy)
        self.last: Result | None = None

    @rule(target=reservations, person=PEOPLE, key=st.sampled_from([None, "k"]))
    def redeem(self, person: str, key: str | None) -> UUID | MultipleResults[UUID]:
        """Somebody redeems."""
        return self._reservation_of(self.scenario.redeem(person, key=key))

    @rule(target=reservations, person=PEOPLE, named=reservations)
    def redeem_again(self, person: str, named: UUID) -> UUID | MultipleResults[UUID]:
        """Somebody asks for a further use."""
        return self._reservation_of(self.scenario.redeem(person, again=named))

    @rule(item=reservations, worker=st.sampled_from(["w1", "w2"]))
    def claim(self, item: UUID, worker: str) -> None:
        """A worker claims."""
        self.scenario.claim(item, worker=worker)

    @rule(item=reservations, outcome=OUTCOMES, stale=st.integers(0, 1))
    def record(self, item: UUID, outcome: Outcome | str, stale: int) -> None:
        """An outcome arrives: of the newest attempt, or of the one before."""
        known = self.scenario.reservation(item)
        attempt = known.last_attempt - stale
        if attempt < 1:
            return
        if isinstance(outcome, str):
            outcome = Later(server="team", reason="full", until=self.scenario.now)
        self.scenario.outcome(item, outcome, attempt=attempt)

    @rule(item=reservations)
    def sweep(self, item: UUID) -> None:
        """The sweep comes by."""
        self.scenario.settle(item)

    @rule(item=reservations, only_held=st.booleans(), number=st.integers(1, 3))
    def refund(self, item: UUID, only_held: bool, number: int) -> None:
        """Staff give a use back, or try to."""
        self.scenario.refund(item, request_id=f"r{number}", only_held=only_held)

    @rule(item=reservations)
    def accept(self, item: UUID) -> None:
        """Somebody opens a link, perhaps an old one."""
        self.scenario.accept(item)

    @rule(seconds=st.sampled_from([-30, 1, 10, 61, 130]))
    def time_passes(self, seconds: int) -> None:
        """Clocks move, sometimes back."""
        self.scenario.passes(seconds)

    @invariant()
    def uses_stay_within_the_limit_at_every_version(self) -> None:
        """DESIGN 9.1; `Book.record` checks it at every event, this checks the end."""
        code = self.scenario.code
        assert code.used >= 0
        assert code.reserved >= 0
        assert code.max_uses is None or code.used + code.reserved <= code.max_uses

    @invariant()
    def only_sent_invitations_count(self) -> None:
        """DESIGN 9.3: used is the number of InviteSent less refunds of counted uses."""
        events = self.scenario.events
        sent = sum(isinstance(event, InviteSent) for event in events)
        back = sum(isinstance(event, UseRefunded) and event.held == "used" for event in events)
        assert self.scenario.code.used == sent - back

    @invariant()
    def each_settles_at_most_once_each_way(self) -> None:
        """DESIGN 9.4: per reservation one InviteSent and one UseRefunded at most."""
        counts = Counter(
            (type(event), event.reservation_id)
            for event in self.scenario.events
            if isinstance(event, InviteSent | UseRefunded)
        )
        assert all(count == 1 for count in counts.values())

    @invariant()
    def a_machine_never_refunds_an_unknown(self) -> None:
        """DESIGN 9.10."""
        for item in self.scenario.book.reservations.values():
            if item.ever_unknown and item.status == "refunded":
                assert item.refund_cause == "staff"
                assert item.sent_at is not None

    @invariant()
    def what_is_parked_has_a_case(self) -> None:
        """DESIGN 9.2: a live reservation is due some time, or is an open case."""
        cases = {event.reservation_id for event in self.scenario.events if isinstance(event, CaseOpened)}
        for item in self.scenario.book.reservations.values():
            if item.is_live:
                assert (item.due_at is None) == (item.case_id is not None)
                assert item.case_id is None or item.reservation_id in cases

    @invariant()
    def one_person_has_one_live_reservation_per_request(self) -> None:
        """DESIGN 3.8: live ones of one person differ in what they follow."""
        live = [
            (item.recipient_id, item.follows)
            for item in self.scenario.book.reservations.values()
            if item.is_live and not item.is_overdue(self.scenario.now)
        ]
        assert len(live) == len(set(live))

    @invariant()
    def time_never_goes_back_in_a_stream(self) -> None:
        """DESIGN 2: `at` is the later of now and the stream's last `at`."""
        moments = [event.at for event in self.scenario.events]
        assert moments == sorted(moments)

    def teardown(self) -> None:
        """DESIGN 9.7: a fold of the log gives every state again."""
        if not hasattr(self, "scenario"):
            return
        book = self.scenario.book
        log = list(book.new_events)
        code = redeem_code.opened(log[0].originator_id, 1, cast("CodeIssued", log[0].event))
        states: dict[UUID, reservation.Reservation] = {}
        for recorded in log[1:]:
            event = cast("ReservationEvent", recorded.event)
            code = redeem_code.evolve(code, recorded.originator_version, event)
            if isinstance(event, UseReserved):
                states[event.reservation_id] = reservation.opened(code.code_id, recorded.originator_version, event)
            else:
                known = states[event.reservation_id]
                states[event.reservation_id] = reservation.evolve(known, recorded.originator_version, event)
        assert code == self.scenario.code
        assert states == book.reservations
        assert code.last_at >= START

    def _reservation_of(self, result: Result) -> UUID | MultipleResults[UUID]:
        self.last = result
        return result.about().reservation_id if isinstance(result, Done) else multiple()


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None, print_blob=True)
