"""Random lives of accesses: moved, resent, ended and taken away; every rule of the machine beside this one holds too.

It begins where few random histories come to, with invitations that were sent.
"""

from collections import Counter
from typing import cast
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, initialize, invariant, multiple, precondition, rule

from domain.command_bus import Result
from domain.commands.access.rebind import RebindReservation, RequestRebind
from domain.commands.access.record_removal import RecordExternalRemoval
from domain.commands.access.settle_access import REMOVAL_FAILED, RecordRemovalOutcome, SettleAccess
from domain.commands.reservation.resolve_case import Resolution
from domain.events import CaseOpened
from domain.model.invariants import is_removal_open
from domain.ports import NotifiedOnly, Outcome, RemovalOutcome, RetryLater
from tests.properties.test_ledger_machine import RESOLUTIONS, LedgerRules, policy_of
from tests.support.ledger.scenario import BUSY, LOST, REFUSED, SENT, Scenario, ScenarioDraft

PEOPLE = ("li", "wang")
GROUPS = st.sampled_from(["red", "blue", "green"])
OUTCOMES = st.sampled_from([SENT, SENT, SENT, REFUSED, BUSY, LOST])
TOLD = NotifiedOnly(server="mx:25")
ANSWERS: st.SearchStrategy[RemovalOutcome | None] = st.sampled_from([SENT, TOLD, REFUSED, BUSY, BUSY, LOST, None])
"""Of a channel that is to take an access away; None: later."""
DAY_S = 86_400
LATE = 25
"""Events after which a code may be paused: earlier that would end most lives before anything is moved."""


class AccessMachine(LedgerRules):
    """Persons and staff move accesses while workers send, days pass, and channels take away what has ended."""

    @initialize(
        target=LedgerRules.reservations,
        bound=st.booleans(),
        attempts=st.integers(1, 3),
        days=st.sampled_from([None, 2, 9]),
        channel=st.sampled_from(["smtp", "webhook", "webhook"]),
    )
    def begin(self, bound: bool, attempts: int, days: int | None, channel: str) -> MultipleResults[UUID]:
        """Issue one code and have it redeemed, by two persons if it lets them."""
        policy = policy_of(attempts)
        terms = Scenario(max_uses=3, bound=bound, policy=policy, group="red", validity_days=days, channel=channel)
        self.start(terms)
        return multiple(*(self.scenario.sent(person) for person in PEOPLE[: 1 if bound else 2]))

    @rule(target=LedgerRules.reservations, person=st.sampled_from(PEOPLE), group=GROUPS)
    def ask_to_move(self, person: str, group: str) -> UUID | MultipleResults[UUID]:
        """Somebody asks for another group, or asks again."""
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

    @rule(target=LedgerRules.reservations, item=LedgerRules.reservations, group=GROUPS)
    def move(self, item: UUID, group: str) -> UUID | MultipleResults[UUID]:
        """Staff move an access, or try to move what is none or is none any more."""
        return self._reservation_of(self._moved(item, group))

    @rule(target=LedgerRules.reservations, item=LedgerRules.reservations, group=GROUPS, outcome=OUTCOMES)
    def move_and_send(self, item: UUID, group: str, outcome: Outcome) -> UUID | MultipleResults[UUID]:
        """The same, and a worker is quick."""
        found = self._reservation_of(self._moved(item, group))
        if isinstance(found, UUID):
            self.send(found, outcome)
        return found

    @rule(item=LedgerRules.reservations, outcome=OUTCOMES)
    def send(self, item: UUID, outcome: Outcome) -> None:
        """A worker claims and records in one go, if there is something to send."""
        self.claim(item, "w1")
        if self.scenario.reservation(item).lease is not None:
            self.scenario.outcome(item, outcome)

    @rule(item=LedgerRules.reservations, outcome=OUTCOMES, number=st.integers(1, 9))
    def resend_and_send(self, item: UUID, outcome: Outcome, number: int) -> None:
        """Staff ask for one more delivery, also of what is being moved or has ended, and a worker is quick."""
        self.resend(item, number)
        self.send(item, outcome)

    @rule(item=LedgerRules.reservations)
    def look_after(self, item: UUID) -> None:
        """The cleanup comes by: it announces the end of an access, or ends it."""
        self.scenario.run(SettleAccess(context=self.scenario.context("sweep"), reservation_id=item))

    @precondition(lambda self: self.ended())
    @rule(data=st.data(), answer=ANSWERS, stale=st.sampled_from([0, 0, 0, 1]))
    def take_away(self, data: st.DataObject, answer: RemovalOutcome | None, stale: int) -> None:
        """A channel was asked to take an access away; now and then that was an earlier try's answer."""
        item = data.draw(st.sampled_from(self.ended("removing") or self.ended()))
        access = self.scenario.reservation(item).access
        command = RecordRemovalOutcome(
            context=self.scenario.context("sweep"),
            reservation_id=item,
            attempt=(access.removal_attempts if access else 0) + 1 - stale,
            channel="webhook",
            outcome=answer or RetryLater(server="team", reason="full", until=self.scenario.now),
            case_id=self.scenario.new_id(),
        )
        self.scenario.run(command)

    @precondition(lambda self: self.failed_removals())
    @rule(data=st.data(), resolution=RESOLUTIONS)
    def settle_a_failed_removal(self, data: st.DataObject, resolution: Resolution) -> None:
        """Staff say what became of an access that could not be taken away, or have it tried on: no use is touched."""
        item = data.draw(st.sampled_from(self.failed_removals()))
        before = self.scenario.balance
        self.scenario.resolve(item, resolution, request_id=str(self.scenario.new_id()))
        assert resolution == "refunded" or self.scenario.balance == before
        state = self.scenario.reservation(item)
        assert resolution == "refunded" or state.case_id is None or state.lease is not None

    @rule(item=LedgerRules.reservations)
    def is_removed(self, item: UUID) -> None:
        """A group's own system reports that somebody's access was taken away."""
        self.scenario.run(RecordExternalRemoval(context=self.scenario.context("channel"), reservation_id=item))

    @rule(item=LedgerRules.reservations, number=st.integers(1, 2))
    def refund_and_take_away(self, item: UUID, number: int) -> None:
        """Staff give a use back and take the access with it, or try to."""
        self.scenario.refund(item, request_id=f"a{number}", revoke_access=True)

    @precondition(lambda self: self.scenario.validity_days is not None)
    @rule(days=st.sampled_from([0.5, 1, 7]))
    def days_pass(self, days: float) -> None:
        """Long enough for an end to be announced, or to come; the cleanup comes by all accesses."""
        self.scenario.passes(days * DAY_S)
        for item in sorted(self.scenario.book.reservations):
            self.look_after(item)

    @precondition(lambda self: len(self.scenario.events) > LATE)
    @rule()
    def pause(self) -> None:
        """As elsewhere, but late."""
        self.scenario.pause()

    @invariant()
    def an_access_is_in_one_place(self) -> None:
        """It leaves the former group with the success of the rebind, not before; and its end does not move."""
        book = self.scenario.book
        for item in book.reservations.values():
            former = book.reservations[item.follows] if item.kind == "rebind" and item.follows else None
            if former is not None:
                assert not (item.status == "sent" and former.has_active_access)
                assert item.access_ends_at in {None, former.access_ends_at}
            if item.access is not None and item.access.ending == "moved":
                taker = book.reservations[cast("UUID", item.access.replaced_by)]
                assert (taker.kind, taker.follows) == ("rebind", item.reservation_id)
                assert taker.proved_deliveries

    @invariant()
    def no_use_stands_for_two_accesses_of_a_group(self) -> None:
        """What a group's own system may have, and is not told the end of, is within the used and reserved uses.

        A late success is a case before it is either counted or ended.
        """
        held = Counter(
            item.group
            for item in self.scenario.book.reservations.values()
            if item.is_held_elsewhere and (item.occupies_use or item.case_id is None)
        )
        assert all(count <= sum(self.scenario.balance) for count in held.values())

    @invariant()
    def a_corrected_invitation_waits_while_the_first_access_is_to_be_removed(self) -> None:
        """Neither longer nor shorter, and it is neither due nor refunded by a machine meanwhile."""
        book = self.scenario.book
        for item in book.reservations.values():
            if item.waits_for is not None:
                assert item.is_live
                assert (item.due_at, item.last_attempt) == (None, 0)
                assert is_removal_open(book.reservations[item.waits_for])

    @invariant()
    def what_could_not_be_taken_away_waits_for_a_person(self) -> None:
        """A removal that failed for good has a case, until somebody says what became of it."""
        assert self.ended("removal_failed") == self.failed_removals()
        assert all(self.scenario.reservation(item).access_due_at is None for item in self.failed_removals())

    def failed_removals(self) -> list[UUID]:
        """Reservations with an open case of an access that could not be taken away."""
        opened = [event for event in self.scenario.events if isinstance(event, CaseOpened)]
        of_removals = {event.case_id for event in opened if event.cause == REMOVAL_FAILED}
        found = self.scenario.book.reservations.values()
        return sorted(item.reservation_id for item in found if item.case_id in of_removals)

    def ended(self, *words: str) -> list[UUID]:
        """Reservations whose access has ended, or those whose removal is so far."""
        found = self.scenario.book.reservations.values()
        return sorted(
            item.reservation_id
            for item in found
            if item.access is not None and item.access.removal in (words or ("removing", "removed", "removal_failed"))
        )

    def _moved(self, item: UUID, group: str) -> Result:
        return self.scenario.run(
            RebindReservation(
                context=self.scenario.context("staff", "m1"),
                reservation_id=item,
                new_reservation_id=self.scenario.new_id(),
                group=group,
            )
        )


TestAccessMachine = AccessMachine.TestCase
TestAccessMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None, print_blob=True)
