"""Random lives of accesses: moved, resent, ended and removed; every rule of the machine next to this one holds too.

It begins where few random histories come to, with invitations that were sent.
"""

from collections import Counter
from datetime import timedelta
from typing import cast
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, initialize, invariant, multiple, precondition, rule

from domain.commands.access.rebind import RebindReservation, RequestRebind
from domain.commands.access.record_removal import RecordExternalRemoval
from domain.commands.access.settle_access import REMOVAL_FAILED, RecordRemovalOutcome, SettleAccess
from domain.commands.reservation.resolve_case import Resolution
from domain.events.reservation import CaseOpened
from domain.model.invariants import is_removal_open
from domain.ports import NotifiedOnly, Outcome, RemovalOutcome, RetryLater
from domain.results import Result
from tests.properties.test_ledger_machine import RESOLUTIONS, LedgerRules, policy_of
from tests.support.ledger.scenario import BUSY, LOST, REFUSED, SENT, Scenario, ScenarioDraft

PEOPLE = ("li", "wang")
GROUPS = st.sampled_from(["red", "blue", "green"])
OUTCOMES = st.sampled_from([SENT, SENT, SENT, REFUSED, BUSY, LOST])
NOTIFIED = NotifiedOnly(server="mx:25")
ANSWERS: st.SearchStrategy[RemovalOutcome | None] = st.sampled_from([SENT, NOTIFIED, REFUSED, BUSY, BUSY, LOST, None])
"""Of a channel that is to take an access away; None: later."""
DAY_S = 86_400
LATE = 25
"""Events after which a code may be paused: earlier that would end most lives before anything is moved."""


class AccessMachine(LedgerRules):
    """Persons and staff move accesses while workers send, days pass, and channels remove what has ended."""

    @initialize(
        target=LedgerRules.reservations,
        bound=st.booleans(),
        attempts=st.integers(1, 3),
        days=st.sampled_from([None, 2, 9]),
        channel=st.sampled_from(["smtp", "webhook", "webhook"]),
    )
    def begin(self, bound: bool, attempts: int, days: int | None, channel: str) -> MultipleResults[UUID]:
        policy = policy_of(attempts)
        terms = Scenario(max_uses=3, bound=bound, policy=policy, group="red", validity_days=days, channel=channel)
        self.start(terms)
        return multiple(*(self.scenario.sent(person) for person in PEOPLE[: 1 if bound else 2]))

    @rule(target=LedgerRules.reservations, person=st.sampled_from(PEOPLE), group=GROUPS)
    def ask_to_move(self, person: str, group: str) -> UUID | MultipleResults[UUID]:
        command = RequestRebind(
            context=self.scenario.context("person"),
            code_digests=[b"code"],
            recipient=ScenarioDraft([person.encode()], self.scenario.new_id()),
            new_reservation_id=self.scenario.new_id(),
            group=group,
            language="en",
            token_of=self.scenario.newest_use(person),
        )
        return self._reservation_of(self.scenario.run(command))

    @rule(target=LedgerRules.reservations, reservation_id=LedgerRules.reservations, group=GROUPS)
    def move(self, reservation_id: UUID, group: str) -> UUID | MultipleResults[UUID]:
        return self._reservation_of(self._moved(reservation_id, group))

    @rule(target=LedgerRules.reservations, reservation_id=LedgerRules.reservations, group=GROUPS, outcome=OUTCOMES)
    def move_and_send(self, reservation_id: UUID, group: str, outcome: Outcome) -> UUID | MultipleResults[UUID]:
        reservation = self._reservation_of(self._moved(reservation_id, group))
        if isinstance(reservation, UUID):
            self.send(reservation, outcome)
        return reservation

    @rule(reservation_id=LedgerRules.reservations, outcome=OUTCOMES)
    def send(self, reservation_id: UUID, outcome: Outcome) -> None:
        self.claim(reservation_id, "w1")
        if self.scenario.reservation(reservation_id).lease is not None:
            self.scenario.outcome(reservation_id, outcome)

    @rule(reservation_id=LedgerRules.reservations, outcome=OUTCOMES, number=st.integers(1, 9))
    def resend_and_send(self, reservation_id: UUID, outcome: Outcome, number: int) -> None:
        """Staff ask for one more delivery, also of what is being moved or has ended, and a worker is quick."""
        self.resend(reservation_id, number)
        self.send(reservation_id, outcome)

    @rule(reservation_id=LedgerRules.reservations)
    def look_after(self, reservation_id: UUID) -> None:
        self.scenario.run(SettleAccess(context=self.scenario.context("sweep"), reservation_id=reservation_id))

    @precondition(lambda self: self.ended())
    @rule(data=st.data(), answer=ANSWERS, stale=st.sampled_from([0, 0, 0, 1]))
    def take_away(self, data: st.DataObject, answer: RemovalOutcome | None, stale: int) -> None:
        """A channel was asked to take an access away; now and then that was an earlier try's answer."""
        reservation_id = data.draw(st.sampled_from(self.ended("removing") or self.ended()))
        access = self.scenario.reservation(reservation_id).access
        command = RecordRemovalOutcome(
            context=self.scenario.context("sweep"),
            reservation_id=reservation_id,
            attempt=(access.removal_attempts if access else 0) + 1 - stale,
            channel="webhook",
            outcome=answer or RetryLater(server="team", reason="full", wait=timedelta()),
            case_id=self.scenario.new_id(),
        )
        self.scenario.run(command)

    @precondition(lambda self: self.ended("removing"))
    @rule(data=st.data(), resolution=st.one_of(st.none(), RESOLUTIONS))
    def refuse_removal(self, data: st.DataObject, resolution: Resolution | None) -> None:
        reservation_id = data.draw(st.sampled_from(self.ended("removing")))
        self.scenario.removal(reservation_id, REFUSED)
        assert self.scenario.reservation(reservation_id).case_id is not None
        if resolution is not None and reservation_id in self.failed_removals():
            self._settle_removal(reservation_id, resolution)

    @precondition(lambda self: self.failed_removals())
    @rule(data=st.data(), resolution=RESOLUTIONS)
    def settle_a_failed_removal(self, data: st.DataObject, resolution: Resolution) -> None:
        """Staff say what became of an access that could not be removed, or have it tried on: no use is touched."""
        self._settle_removal(data.draw(st.sampled_from(self.failed_removals())), resolution)

    def _settle_removal(self, reservation_id: UUID, resolution: Resolution) -> None:
        before = self.scenario.balance
        self.scenario.resolve(reservation_id, resolution, request_id=str(self.scenario.new_id()))
        assert resolution == "refunded" or self.scenario.balance == before
        state = self.scenario.reservation(reservation_id)
        assert resolution == "refunded" or state.case_id is None or state.lease is not None

    @rule(reservation_id=LedgerRules.reservations)
    def is_removed(self, reservation_id: UUID) -> None:
        self.scenario.run(
            RecordExternalRemoval(context=self.scenario.context("channel"), reservation_id=reservation_id)
        )

    @rule(reservation_id=LedgerRules.reservations, number=st.integers(1, 2))
    def refund_and_take_away(self, reservation_id: UUID, number: int) -> None:
        self.scenario.refund(reservation_id, request_id=f"a{number}", revoke_access=True)

    @precondition(lambda self: self.scenario.code.terms.validity_days is not None)
    @rule(days=st.sampled_from([0.5, 1, 7]))
    def days_pass(self, days: float) -> None:
        self.scenario.passes(days * DAY_S)
        for reservation_id in sorted(self.scenario.working_set.reservations):
            self.look_after(reservation_id)

    @precondition(lambda self: len(self.scenario.events) > LATE)
    @rule()
    def pause(self) -> None:
        self.scenario.pause()

    @invariant()
    def an_access_is_in_one_place(self) -> None:
        """It leaves the former group with the success of the rebind, not before; and its end does not move."""
        working_set = self.scenario.working_set
        for reservation in working_set.reservations.values():
            former = (
                working_set.reservations[reservation.follows]
                if reservation.kind == "rebind" and reservation.follows
                else None
            )
            if former is not None:
                assert not (reservation.status == "sent" and former.has_active_access)
                assert reservation.access_ends_at in {None, former.access_ends_at}
            if reservation.access is not None and reservation.access.ending == "moved":
                taker = working_set.reservations[cast("UUID", reservation.access.replaced_by)]
                assert (taker.kind, taker.follows) == ("rebind", reservation.reservation_id)
                assert taker.proved_deliveries

    @invariant()
    def no_use_stands_for_two_accesses_of_a_group(self) -> None:
        """What a group's external system may have, and is not told the end of, is within the used and reserved uses.

        A late success is a case before it is either counted or ended.
        """
        access_counts = Counter(
            reservation.group
            for reservation in self.scenario.working_set.reservations.values()
            if reservation.is_held_elsewhere and (reservation.occupies_use or reservation.case_id is None)
        )
        assert all(count <= sum(self.scenario.balance) for count in access_counts.values())

    @invariant()
    def a_corrected_invitation_waits_while_the_first_access_is_to_be_removed(self) -> None:
        """Neither longer nor shorter, and it is neither due nor refunded by a machine in the meantime."""
        working_set = self.scenario.working_set
        for reservation in working_set.reservations.values():
            if reservation.waits_for is not None:
                assert reservation.is_live
                assert (reservation.due_at, reservation.last_attempt) == (None, 0)
                assert is_removal_open(working_set.reservations[reservation.waits_for])

    @invariant()
    def what_could_not_be_taken_away_waits_for_a_person(self) -> None:
        """A removal that finally failed has a case, until staff enter the outcome."""
        assert self.ended("removal_failed") == self.failed_removals()
        assert all(
            self.scenario.reservation(reservation_id).access_due_at is None for reservation_id in self.failed_removals()
        )

    def failed_removals(self) -> list[UUID]:
        """Reservations with an open case of an access that could not be removed."""
        case_events = [event for event in self.scenario.events if isinstance(event, CaseOpened)]
        of_removals = {event.case_id for event in case_events if event.cause == REMOVAL_FAILED}
        reservations = self.scenario.working_set.reservations.values()
        return sorted(reservation.reservation_id for reservation in reservations if reservation.case_id in of_removals)

    def ended(self, *words: str) -> list[UUID]:
        reservations = self.scenario.working_set.reservations.values()
        return sorted(
            reservation.reservation_id
            for reservation in reservations
            if reservation.access is not None
            and reservation.access.removal in (words or ("removing", "removed", "removal_failed"))
        )

    def _moved(self, reservation_id: UUID, group: str) -> Result:
        return self.scenario.run(
            RebindReservation(
                context=self.scenario.context("staff", "m1"),
                reservation_id=reservation_id,
                new_reservation_id=self.scenario.new_id(),
                group=group,
            )
        )


TestAccessMachine = AccessMachine.TestCase
TestAccessMachine.settings = settings(max_examples=100, stateful_step_count=40, print_blob=True)
