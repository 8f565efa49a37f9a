"""The end of an access: announced in time, ended once, taken away with a bounded number of tries."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain.commands.access.rebind import RebindReservation
from domain.commands.access.settle_access import RecordRemovalOutcome, SettleAccess
from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.import_code import ImportCode, ImportedUse
from domain.errors import ReservationNotResolvable
from domain.events import AccessExpired, AccessRemovalFailed, AccessRemoved, ExpiryAnnounced
from domain.policy import Policy
from domain.ports import Accepted, NotifiedOnly, Outcome, OutcomeUnknown, Rejected, RemovalOutcome, RetryLater
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.scenario import BUSY, LOST, REFUSED, START, Scenario, ScenarioDraft, done, refusal

DAY_S = 86_400
GONE = Accepted(server="team")
NOT_NOW = Rejected(server="team", reason="temporary", final=False)
NEVER = Rejected(server="team", reason="gone", final=True)


def scenario(validity_days: int | None = 30, **more: object) -> Scenario:
    """A code whose access ends."""
    return Scenario(validity_days=validity_days, **more)  # type: ignore[arg-type]  # whatever a scenario takes


def look(given: Scenario, item: UUID) -> list[str]:
    """The cleanup comes by; names of its events."""
    before = len(given.events)
    given.run(SettleAccess(context=given.context("sweep"), reservation_id=item))
    return [type(event).__name__ for event in given.events[before:]]


def revoked(given: Scenario, item: UUID, outcome: RemovalOutcome, attempt: int | None = None) -> list[str]:
    """The channel said something; names of the events that follow."""
    access = given.reservation(item).access
    before = len(given.events)
    given.run(
        RecordRemovalOutcome(
            context=given.context("sweep"),
            reservation_id=item,
            attempt=attempt or (access.removal_attempts if access else 0) + 1,
            channel="webhook",
            outcome=outcome,
            case_id=given.new_id(),
        )
    )
    return [type(event).__name__ for event in given.events[before:]]


def ended(given: Scenario) -> UUID:
    """A reservation whose access is over; its id."""
    item = given.sent()
    given.passes(30 * DAY_S)
    assert look(given, item) == ["AccessExpired"]
    return item


def test_the_end_follows_from_the_day_it_was_sent() -> None:
    """Activated at sent; nothing ends before, and without validity_days nothing ever does."""
    given = scenario()
    item = given.reserved()
    assert given.reservation(item).access_ends_at is None
    given.passes(100)
    given.attempt(item, GONE)

    assert given.reservation(item).access_ends_at == given.now + timedelta(days=30)
    assert given.reservation(item).access_due_at == given.now + timedelta(days=23)
    endless = scenario(None)
    assert endless.reservation(endless.sent()).access_due_at is None


def test_new_terms_leave_what_was_promised() -> None:
    """The days are those of when it was reserved."""
    given = scenario(max_uses=2, bound=False)
    item = given.sent()
    given.run(ChangeTerms(context=given.context("staff"), code_id=given.code_id, changes={"validity_days": 1}))

    assert given.reservation(item).access_ends_at == START + timedelta(days=30)
    other = given.sent("wang")
    assert given.reservation(other).access_ends_at == START + timedelta(days=1)


def test_the_person_is_told_at_7_3_and_1_days_once_each() -> None:
    """Asking again changes nothing, and then it ends."""
    given = scenario()
    item = given.sent()
    told = []
    for days in (22, 23, 27, 29, 30):
        given.now = START + timedelta(days=days)
        told += [look(given, item), look(given, item)]

    assert told == [[], [], *[["ExpiryAnnounced"], []] * 3, ["AccessExpired"], []]
    assert [event.days for event in given.events if isinstance(event, ExpiryAnnounced)] == [7, 3, 1]


def test_only_the_nearest_of_missed_marks_is_told() -> None:
    """Nobody gets three letters because nothing ran for a week; marks before it began are none."""
    given = scenario()
    item = given.sent()
    given.passes(28 * DAY_S)

    assert look(given, item) == ["ExpiryAnnounced"]
    assert given.reservation(item).access_due_at == START + timedelta(days=29)
    short = scenario(3)
    assert short.reservation(short.sent()).access_due_at == START + timedelta(days=2)


def test_expired_access_is_due_for_removal_immediately() -> None:
    """It is due until the channel has answered; then never again."""
    given = scenario()
    item = ended(given)
    assert given.reservation(item).access_due_at == given.now

    assert revoked(given, item, GONE) == ["AccessRemoved"]
    assert given.reservation(item).access_due_at is None
    assert revoked(given, item, GONE) == []


def test_removal_that_a_channel_cannot_do_is_recorded_as_notified() -> None:
    """Mail takes nothing away: the event says so."""
    given = scenario()
    item = ended(given)
    revoked(given, item, NotifiedOnly(server="mx:25"))

    last = given.events[-1]
    assert isinstance(last, AccessRemoved)
    assert (last.effect, last.cause) == ("told", "expired")


@pytest.mark.parametrize("outcome", [NOT_NOW, OutcomeUnknown(server="team", cause="timeout")])
def test_taking_away_is_tried_again_within_bounds(outcome: RemovalOutcome) -> None:
    """Ever later, and in the end it is a person's; a doubt too, for twice does no harm."""
    given = scenario(policy=Policy(removal_attempts_max=3))
    item = ended(given)
    waits = []
    for _ in range(2):
        assert revoked(given, item, outcome) == ["AccessRemovalFailed"]
        due_at = given.reservation(item).access_due_at
        assert due_at is not None
        waits.append((due_at - given.now).total_seconds())
        given.now = due_at

    assert waits == [60, 300]
    assert revoked(given, item, outcome) == ["AccessRemovalFailed", "CaseOpened"]
    assert given.reservation(item).access_due_at is None


def test_a_channel_may_put_it_off_but_not_for_ever() -> None:
    """Later is later, a day at most."""
    given = scenario()
    item = ended(given)
    revoked(given, item, RetryLater(server="team", reason="full", until=given.now + timedelta(days=9)))

    assert given.reservation(item).access_due_at == given.now + timedelta(days=1)


def test_an_answer_that_comes_late_is_dropped_unless_it_is_a_success() -> None:
    """Two workers asked: the second failure is no second try."""
    given = scenario()
    item = ended(given)
    revoked(given, item, NOT_NOW)

    assert revoked(given, item, NOT_NOW, attempt=1) == []
    assert revoked(given, item, GONE, attempt=1) == ["AccessRemoved"]


def test_a_person_settles_what_could_not_be_taken_away() -> None:
    """By hand, or by letting the machines try on; neither touches the use."""
    given = scenario(max_uses=2, bound=False)
    first, second = given.sent(), given.sent("wang")
    given.passes(30 * DAY_S)
    for item in (first, second):
        look(given, item)
        revoked(given, item, NEVER)
    done(given.resolve(first, "sent"))
    done(given.resolve(second, "retry", request_id="s2"))

    accesses = [given.reservation(item).access for item in (first, second)]
    assert [access.removal for access in accesses if access] == ["removed", "removing"]
    assert given.reservation(second).access_due_at == given.now
    assert given.balance == (2, 0)


@pytest.mark.parametrize("outcome", [BUSY, LOST, REFUSED])
def test_resend_of_an_ended_access_is_not_needed(outcome: Outcome) -> None:
    """No further attempt and no case; found by simulation, seed 5006855: a second case beside that of the removal."""
    given = scenario(max_uses=2, bound=False)
    waiting, leased = given.sent(), given.sent("wang")
    given.passes(30 * DAY_S - 30)
    for number, item in enumerate((waiting, leased)):
        done(given.resend(item, request_id=f"s{number}"))
    given.claim(leased)
    given.passes(30)
    for item in (waiting, leased):
        assert look(given, item) == ["AccessExpired"]
        assert revoked(given, item, NEVER) == ["AccessRemovalFailed", "CaseOpened"]
    given.outcome(leased, outcome)

    items = [given.reservation(item) for item in (waiting, leased)]
    assert [(item.resending, item.lease, item.case_id is None) for item in items] == [(False, None, False)] * 2
    assert given.kinds.count("CaseOpened") == 2


def test_a_lease_that_lapses_beside_a_case_keeps_nobody_from_settling_it() -> None:
    """A worker died with a further delivery while the access was being taken away in vain."""
    given = scenario()
    item = given.sent()
    given.passes(30 * DAY_S - 30)
    done(given.resend(item))
    given.claim(item)
    given.passes(30)
    look(given, item)
    revoked(given, item, NEVER)
    hindered = given.resolve(item, "sent", request_id="s2")
    assert isinstance(hindered, ReservationNotResolvable)
    assert hindered.why == "leased"
    given.passes(61)

    done(given.resolve(item, "sent", request_id="s3"))
    given.settle(item)

    assert given.kinds[-2:] == ["InviteOutcomeUnknown", "CaseClosed"]
    state = given.reservation(item)
    assert (state.is_being_processed, state.due_at, state.access_due_at) == (False, None, None)


def test_failed_removal_opens_another_case() -> None:
    """It came back (a case), and then its access is over: tried on daily, until the case is free for it."""
    given = scenario()
    item = given.sent()
    given.bounce(item)
    given.passes(30 * DAY_S)
    assert look(given, item) == ["AccessExpired"]
    for _ in range(2):
        assert revoked(given, item, NEVER) == ["AccessRemovalFailed"]
        assert given.reservation(item).access_due_at == given.now + timedelta(days=1)
        given.passes(DAY_S)
    done(given.resolve(item, "sent"))

    assert revoked(given, item, NEVER) == ["AccessRemovalFailed", "CaseOpened"]


@pytest.mark.parametrize("act", ["refund", "resolve"])
def test_a_use_given_back_is_no_answer_to_who_still_has_access(act: str) -> None:
    """The case of a failed removal ends by hand, by trying on or by a report; found by random histories."""
    given = scenario()
    item = ended(given)
    revoked(given, item, NEVER)
    case_id = given.reservation(item).case_id
    done(given.refund(item) if act == "refund" else given.resolve(item, "refunded"))

    assert (given.balance, given.reservation(item).case_id) == ((0, 0), case_id)
    again = given.resolve(item, "refunded", request_id="s2")
    assert isinstance(again, ReservationNotResolvable)
    assert again.why == "not_removed"
    done(given.resolve(item, "sent", request_id="s3"))
    state = given.reservation(item)
    assert (state.case_id, state.access and state.access.removal) == (None, "removed")
    assert given.balance == (0, 0)


def test_a_moved_access_that_could_not_be_taken_away_is_settled_by_hand_too() -> None:
    """Its rebind was given back with the access: there is nothing to move, and nothing has to be."""
    given = scenario(group="red")
    former = given.sent()
    command = RebindReservation(
        context=given.context("staff", "m1"), reservation_id=former, new_reservation_id=given.new_id(), group="blue"
    )
    item = done(given.run(command)).require_reservation().reservation_id
    given.attempt(item, GONE)
    done(given.refund(item, revoke_access=True))
    revoked(given, item, NEVER)

    assert done(given.resolve(item, "sent")).changed
    assert given.reservation(item).case_id is None
    assert given.balance == (1, 0)


def test_staff_take_away_through_the_channel_too() -> None:
    """A refund with its access: the use is back, and the access is to be taken away."""
    given = scenario(None)
    item = given.sent()
    done(given.refund(item, revoke_access=True))

    assert given.reservation(item).access_due_at == given.now
    assert revoked(given, item, GONE) == ["AccessRemoved"]
    assert given.balance == (0, 0)


def test_a_use_that_was_given_back_ends_nothing() -> None:
    """There is nobody to tell and nothing to end."""
    given = scenario()
    item = given.sent()
    given.refund(item)
    given.passes(31 * DAY_S)

    assert given.reservation(item).access_due_at is None
    assert look(given, item) == []


def test_the_link_of_what_is_over_leads_nowhere() -> None:
    """And nothing is sent once more."""
    given = scenario()
    item = ended(given)

    assert refusal(given.accept(item)) == "GRANT_EXPIRED"
    assert refusal(given.resend(item)) == "RESERVATION_NOT_RESENDABLE"
    assert refusal(given.correct(item, "wang")) == "RECIPIENT_NOT_CORRECTABLE"


def test_imported_access_keeps_its_expiry_date() -> None:
    """From its activation there, where that is known; what was taken away there is done."""
    given = scenario()
    long_ago, new_id = START - timedelta(days=40), given.new_id
    uses = [
        ImportedUse(
            reservation_id=new_id(),
            recipient=ScenarioDraft([name.encode()], new_id()),
            sent_at=long_ago,
            activated_at=activated_at,
            removed_at=removed_at,
        )
        for name, activated_at, removed_at in (
            ("over", None, None),
            ("later", START - timedelta(days=10), None),
            ("gone", None, long_ago),
        )
    ]
    code_id = new_id()
    given.run(
        ImportCode(
            context=given.context("import"),
            code_id=code_id,
            text=ScenarioDraft([b"old"], code_id),
            source="old",
            terms=make_terms(max_uses=3, validity_days=30),
            bound=False,
            uses=uses,
        )
    )
    dues = [given.reservation(use.reservation_id).access_due_at for use in uses]

    # The mark of seven days is ahead of the second one; what is over or was removed has nothing due.
    assert dues == [None, START + timedelta(days=13), None]
    expired = next(event for event in given.events if isinstance(event, AccessExpired))
    assert (expired.reservation_id, expired.at) == (uses[0].reservation_id, long_ago + timedelta(days=30))
    assert expired.recorded_at == given.now


def test_the_reason_of_the_last_failure_is_kept() -> None:
    """For whoever has the case."""
    given = scenario()
    item = ended(given)
    revoked(given, item, Rejected(server="team", reason="unknown_person", final=True))
    failed = given.events[-2]

    assert isinstance(failed, AccessRemovalFailed)
    assert (failed.reason, failed.retry_at, failed.attempt) == ("unknown_person", None, 1)
