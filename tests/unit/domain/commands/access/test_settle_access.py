"""The end of an access: announced in time, ended once, removed with a bounded number of tries."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain.commands.access.rebind import RebindReservation
from domain.commands.access.settle_access import RecordRemovalOutcome, SettleAccess
from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.import_code import ImportCode, ImportedUse
from domain.errors import ReservationNotResolvable
from domain.events.access import AccessExpired, AccessRemovalFailed, AccessRemoved, ExpiryAnnounced
from domain.policy import Policy
from domain.ports import Accepted, NotifiedOnly, Outcome, OutcomeUnknown, Rejected, RemovalOutcome, RetryLater
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.scenario import (
    BUSY,
    LOST,
    NO_CONNECTION,
    REFUSED,
    START,
    Scenario,
    ScenarioDraft,
    done,
    refusal,
)

DAY_S = 86_400
GONE = Accepted(server="team")
NOT_NOW = Rejected(server="team", reason="temporary", final=False)
NEVER = Rejected(server="team", reason="gone", final=True)


def make_scenario(validity_days: int | None = 30, **more: object) -> Scenario:
    return Scenario(validity_days=validity_days, **more)  # type: ignore[arg-type]  # whatever a scenario takes


def look(scenario: Scenario, reservation_id: UUID) -> list[str]:
    """The cleanup comes by; names of its events."""
    before = len(scenario.events)
    scenario.run(SettleAccess(context=scenario.context("sweep"), reservation_id=reservation_id))
    return [type(event).__name__ for event in scenario.events[before:]]


def revoked(scenario: Scenario, reservation_id: UUID, outcome: RemovalOutcome, attempt: int | None = None) -> list[str]:
    """The channel said something; names of the events that follow."""
    access = scenario.reservation(reservation_id).access
    before = len(scenario.events)
    scenario.run(
        RecordRemovalOutcome(
            context=scenario.context("sweep"),
            reservation_id=reservation_id,
            attempt=attempt or (access.removal_attempts if access else 0) + 1,
            channel="webhook",
            outcome=outcome,
            case_id=scenario.new_id(),
        )
    )
    return [type(event).__name__ for event in scenario.events[before:]]


def ended(scenario: Scenario) -> UUID:
    """A reservation whose access is over; its id."""
    reservation_id = scenario.sent()
    scenario.passes(30 * DAY_S)
    assert look(scenario, reservation_id) == ["AccessExpired"]
    return reservation_id


def test_end_follows_from_the_day_it_was_sent() -> None:
    scenario = make_scenario()
    reservation_id = scenario.reserved()
    assert scenario.reservation(reservation_id).access_ends_at is None
    scenario.passes(100)
    scenario.attempt(reservation_id, GONE)

    assert scenario.reservation(reservation_id).access_ends_at == scenario.now + timedelta(days=30)
    assert scenario.reservation(reservation_id).access_due_at == scenario.now + timedelta(days=23)
    endless = make_scenario(None)
    assert endless.reservation(endless.sent()).access_due_at is None


def test_new_terms_leave_reservations_unchanged() -> None:
    scenario = make_scenario(max_uses=2, bound=False)
    reservation_id = scenario.sent()
    scenario.run(ChangeTerms(context=scenario.context("staff"), code_id=scenario.code_id, changes={"validity_days": 1}))

    assert scenario.reservation(reservation_id).access_ends_at == START + timedelta(days=30)
    other = scenario.sent("wang")
    assert scenario.reservation(other).access_ends_at == START + timedelta(days=1)


def test_recipient_is_notified_at_7_3_and_1_days_once_each() -> None:
    scenario = make_scenario()
    reservation_id = scenario.sent()
    notices = []
    for days in (22, 23, 27, 29, 30):
        scenario.now = START + timedelta(days=days)
        notices += [look(scenario, reservation_id), look(scenario, reservation_id)]

    assert notices == [[], [], *[["ExpiryAnnounced"], []] * 3, ["AccessExpired"], []]
    assert [event.days for event in scenario.events if isinstance(event, ExpiryAnnounced)] == [7, 3, 1]


def test_only_the_nearest_of_missed_marks_is_announced() -> None:
    """No recipient gets three notices because nothing ran for a week; marks before the start are skipped."""
    scenario = make_scenario()
    reservation_id = scenario.sent()
    scenario.passes(28 * DAY_S)

    assert look(scenario, reservation_id) == ["ExpiryAnnounced"]
    assert scenario.reservation(reservation_id).access_due_at == START + timedelta(days=29)
    short = make_scenario(3)
    assert short.reservation(short.sent()).access_due_at == START + timedelta(days=2)


def test_expired_access_is_due_for_removal_immediately() -> None:
    scenario = make_scenario()
    reservation_id = ended(scenario)
    assert scenario.reservation(reservation_id).access_due_at == scenario.now

    assert revoked(scenario, reservation_id, GONE) == ["AccessRemoved"]
    assert scenario.reservation(reservation_id).access_due_at is None
    assert revoked(scenario, reservation_id, GONE) == []


def test_removal_that_a_channel_cannot_do_is_recorded_as_notified() -> None:
    """Mail takes nothing away: the event says so."""
    scenario = make_scenario()
    reservation_id = ended(scenario)
    revoked(scenario, reservation_id, NotifiedOnly(server="mx:25"))

    last = scenario.events[-1]
    assert isinstance(last, AccessRemoved)
    assert (last.effect, last.cause) == ("told", "expired")


@pytest.mark.parametrize("outcome", [NOT_NOW, OutcomeUnknown(server="team", cause="timeout")])
def test_removal_is_retried_within_bounds(outcome: RemovalOutcome) -> None:
    """Ever later, and in the end it is a person's; a doubt too, for twice does no harm."""
    scenario = make_scenario(policy=Policy(removal_attempts_max=3))
    reservation_id = ended(scenario)
    waits = []
    for _ in range(2):
        assert revoked(scenario, reservation_id, outcome) == ["AccessRemovalFailed"]
        due_at = scenario.reservation(reservation_id).access_due_at
        assert due_at is not None
        waits.append((due_at - scenario.now).total_seconds())
        scenario.now = due_at

    assert waits == [60, 300]
    assert revoked(scenario, reservation_id, outcome) == ["AccessRemovalFailed", "CaseOpened"]
    assert scenario.reservation(reservation_id).access_due_at is None


def test_removal_without_a_connection_spends_no_attempt() -> None:
    scenario = make_scenario(policy=Policy(removal_attempts_max=2))
    reservation_id = ended(scenario)
    ended_at, waits = scenario.now, []
    for _ in range(8):
        assert revoked(scenario, reservation_id, NO_CONNECTION) == ["AccessRemovalFailed"]
        access = scenario.reservation(reservation_id).access
        assert access is not None
        assert access.removal_at is not None
        assert access.removal_attempts == 0
        waits.append((access.removal_at - scenario.now).total_seconds())
        scenario.now = access.removal_at

    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    scenario.now = ended_at + timedelta(days=1)
    assert revoked(scenario, reservation_id, NO_CONNECTION) == ["AccessRemovalFailed", "CaseOpened"]


def test_failed_connection_between_attempts_changes_not_how_many_are_left() -> None:
    scenario = make_scenario(policy=Policy(removal_attempts_max=2))
    reservation_id = ended(scenario)

    kinds = [revoked(scenario, reservation_id, outcome) for outcome in (NOT_NOW, NO_CONNECTION, NOT_NOW)]

    assert kinds == [["AccessRemovalFailed"], ["AccessRemovalFailed"], ["AccessRemovalFailed", "CaseOpened"]]


def test_channel_may_defer_a_removal_but_not_without_end() -> None:
    scenario = make_scenario()
    reservation_id = ended(scenario)
    revoked(scenario, reservation_id, RetryLater(server="team", reason="full", wait=timedelta(days=9)))

    assert scenario.reservation(reservation_id).access_due_at == scenario.now + timedelta(days=1)


def test_answer_that_comes_late_is_dropped_unless_it_is_a_success() -> None:
    """Two workers asked: the second failure is no second try."""
    scenario = make_scenario()
    reservation_id = ended(scenario)
    revoked(scenario, reservation_id, NOT_NOW)

    assert revoked(scenario, reservation_id, NOT_NOW, attempt=1) == []
    assert revoked(scenario, reservation_id, GONE, attempt=1) == ["AccessRemoved"]


def test_staff_settle_an_access_that_could_not_be_removed() -> None:
    scenario = make_scenario(max_uses=2, bound=False)
    first, second = scenario.sent(), scenario.sent("wang")
    scenario.passes(30 * DAY_S)
    for reservation_id in (first, second):
        look(scenario, reservation_id)
        revoked(scenario, reservation_id, NEVER)
    done(scenario.resolve(first, "sent"))
    done(scenario.resolve(second, "retry", request_id="s2"))

    accesses = [scenario.reservation(reservation_id).access for reservation_id in (first, second)]
    assert [access.removal for access in accesses if access] == ["removed", "removing"]
    assert scenario.reservation(second).access_due_at == scenario.now
    assert scenario.balance == (2, 0)


@pytest.mark.parametrize("outcome", [BUSY, LOST, REFUSED])
def test_resend_of_an_ended_access_is_not_needed(outcome: Outcome) -> None:
    """No further attempt and no case; found by simulation, seed 5006855: a second case next to that of the removal."""
    scenario = make_scenario(max_uses=2, bound=False)
    waiting, leased = scenario.sent(), scenario.sent("wang")
    scenario.passes(30 * DAY_S - 30)
    for number, reservation_id in enumerate((waiting, leased)):
        done(scenario.resend(reservation_id, request_id=f"s{number}"))
    scenario.claim(leased)
    scenario.passes(30)
    for reservation_id in (waiting, leased):
        assert look(scenario, reservation_id) == ["AccessExpired"]
        assert revoked(scenario, reservation_id, NEVER) == ["AccessRemovalFailed", "CaseOpened"]
    scenario.outcome(leased, outcome)

    items = [scenario.reservation(reservation_id) for reservation_id in (waiting, leased)]
    assert [
        (reservation_id.resending, reservation_id.lease, reservation_id.case_id is None) for reservation_id in items
    ] == [(False, None, False)] * 2
    assert scenario.kinds.count("CaseOpened") == 2


def test_lease_that_lapses_during_a_case_keeps_no_command_from_settling_it() -> None:
    scenario = make_scenario()
    reservation_id = scenario.sent()
    scenario.passes(30 * DAY_S - 30)
    done(scenario.resend(reservation_id))
    scenario.claim(reservation_id)
    scenario.passes(30)
    look(scenario, reservation_id)
    revoked(scenario, reservation_id, NEVER)
    hindered = scenario.resolve(reservation_id, "sent", request_id="s2")
    assert isinstance(hindered, ReservationNotResolvable)
    assert hindered.why == "leased"
    scenario.passes(61)

    done(scenario.resolve(reservation_id, "sent", request_id="s3"))
    scenario.settle(reservation_id)

    assert scenario.kinds[-2:] == ["InviteOutcomeUnknown", "CaseClosed"]
    state = scenario.reservation(reservation_id)
    assert (state.is_being_processed, state.due_at, state.access_due_at) == (False, None, None)


def test_failed_removal_opens_another_case() -> None:
    scenario = make_scenario()
    reservation_id = scenario.sent()
    scenario.bounce(reservation_id)
    scenario.passes(30 * DAY_S)
    assert look(scenario, reservation_id) == ["AccessExpired"]
    for _ in range(2):
        assert revoked(scenario, reservation_id, NEVER) == ["AccessRemovalFailed"]
        assert scenario.reservation(reservation_id).access_due_at == scenario.now + timedelta(days=1)
        scenario.passes(DAY_S)
    done(scenario.resolve(reservation_id, "sent"))

    assert revoked(scenario, reservation_id, NEVER) == ["AccessRemovalFailed", "CaseOpened"]


@pytest.mark.parametrize("command", ["refund", "resolve"])
def test_refund_does_not_resolve_the_case_of_an_access(command: str) -> None:
    """The case of a failed removal ends manually, by a retry or by a report; found by random histories."""
    scenario = make_scenario()
    reservation_id = ended(scenario)
    revoked(scenario, reservation_id, NEVER)
    case_id = scenario.reservation(reservation_id).case_id
    done(scenario.refund(reservation_id) if command == "refund" else scenario.resolve(reservation_id, "refunded"))

    assert (scenario.balance, scenario.reservation(reservation_id).case_id) == ((0, 0), case_id)
    again = scenario.resolve(reservation_id, "refunded", request_id="s2")
    assert isinstance(again, ReservationNotResolvable)
    assert again.why == "not_removed"
    done(scenario.resolve(reservation_id, "sent", request_id="s3"))
    state = scenario.reservation(reservation_id)
    assert (state.case_id, state.access and state.access.removal) == (None, "removed")
    assert scenario.balance == (0, 0)


def test_moved_access_that_could_not_be_removed_is_settled_by_staff() -> None:
    """Its rebind was refunded with the access: there is nothing to move, and nothing has to be."""
    scenario = make_scenario(group="red")
    former = scenario.sent()
    command = RebindReservation(
        context=scenario.context("staff", "m1"),
        reservation_id=former,
        new_reservation_id=scenario.new_id(),
        group="blue",
    )
    reservation_id = done(scenario.run(command)).require_reservation().reservation_id
    scenario.attempt(reservation_id, GONE)
    done(scenario.refund(reservation_id, revoke_access=True))
    revoked(scenario, reservation_id, NEVER)

    assert done(scenario.resolve(reservation_id, "sent")).changed
    assert scenario.reservation(reservation_id).case_id is None
    assert scenario.balance == (1, 0)


def test_staff_remove_access_through_the_channel_too() -> None:
    scenario = make_scenario(None)
    reservation_id = scenario.sent()
    done(scenario.refund(reservation_id, revoke_access=True))

    assert scenario.reservation(reservation_id).access_due_at == scenario.now
    assert revoked(scenario, reservation_id, GONE) == ["AccessRemoved"]
    assert scenario.balance == (0, 0)


def test_refunded_use_ends_no_access() -> None:
    scenario = make_scenario()
    reservation_id = scenario.sent()
    scenario.refund(reservation_id)
    scenario.passes(31 * DAY_S)

    assert scenario.reservation(reservation_id).access_due_at is None
    assert look(scenario, reservation_id) == []


def test_link_of_an_ended_access_leads_nowhere() -> None:
    scenario = make_scenario()
    reservation_id = ended(scenario)

    assert refusal(scenario.accept(reservation_id)) == "GRANT_EXPIRED"
    assert refusal(scenario.resend(reservation_id)) == "RESERVATION_NOT_RESENDABLE"
    assert refusal(scenario.correct(reservation_id, "wang")) == "RECIPIENT_NOT_CORRECTABLE"


def test_imported_access_keeps_its_expiry_date() -> None:
    scenario = make_scenario()
    long_ago, new_id = START - timedelta(days=40), scenario.new_id
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
    scenario.run(
        ImportCode(
            context=scenario.context("import"),
            code_id=code_id,
            text=ScenarioDraft([b"old"], code_id),
            source="old",
            terms=make_terms(max_uses=3, validity_days=30),
            bound=False,
            uses=uses,
        )
    )
    dues = [scenario.reservation(use.reservation_id).access_due_at for use in uses]

    # The mark of seven days is ahead of the second one; what is over or was removed has nothing due.
    assert dues == [None, START + timedelta(days=13), None]
    expired = next(event for event in scenario.events if isinstance(event, AccessExpired))
    assert (expired.reservation_id, expired.at) == (uses[0].reservation_id, long_ago + timedelta(days=30))
    assert expired.recorded_at == scenario.now


def test_reason_of_the_last_failure_is_kept() -> None:
    scenario = make_scenario()
    reservation_id = ended(scenario)
    revoked(scenario, reservation_id, Rejected(server="team", reason="unknown_person", final=True))
    failed = scenario.events[-2]

    assert isinstance(failed, AccessRemovalFailed)
    assert (failed.reason, failed.retry_at, failed.attempt) == ("unknown_person", None, 1)


def test_channel_that_asks_for_less_is_asked_for_a_removal_after_the_usual_wait() -> None:
    """A time that is near, or has passed, does not make us insist."""
    scenario = make_scenario()
    reservation_id = ended(scenario)

    revoked(scenario, reservation_id, RetryLater(server="team", reason="full", wait=timedelta()))

    assert scenario.reservation(reservation_id).access_due_at == scenario.now + timedelta(seconds=60)


class ReplyDraft:
    text_id = UUID(int=7)


@pytest.mark.parametrize("reply", [ReplyDraft(), None], ids=["said", "silent"])
def test_failed_removal_names_the_reply_of_the_channel(reply: ReplyDraft | None) -> None:
    scenario = make_scenario()
    command = RecordRemovalOutcome(
        context=scenario.context("sweep"),
        reservation_id=ended(scenario),
        attempt=1,
        channel="webhook",
        outcome=NOT_NOW,
        case_id=scenario.new_id(),
        reply=reply,
    )

    done(scenario.run(command))

    failed = scenario.events[-1]
    assert isinstance(failed, AccessRemovalFailed)
    assert failed.text_id == (ReplyDraft.text_id if reply else None)


def test_answer_about_an_access_that_has_not_ended_changes_nothing() -> None:
    for validity_days in (None, 30):
        scenario = make_scenario(validity_days)
        reservation_id = scenario.sent()

        result = done(scenario.removal(reservation_id, GONE))

        assert (result.changed, result.require_reservation().reservation_id) == (False, reservation_id)
