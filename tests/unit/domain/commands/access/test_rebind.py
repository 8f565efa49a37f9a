"""Moving an access to another group: no use, a reservation of its own, the former access until the new one is sent."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.commands.access.rebind import RebindReservation, RequestRebind
from domain.commands.context import CommandContext
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.policy import Policy
from tests.support.ledger.scenario import SENT, START, ScenarioDraft, done, refusal
from tests.unit.domain.histories import Case, History, answer, ask, cases, later

RED = {"max_uses": 3, "group": "red", "validity_days": 30}
LONG = {**RED, "validity_days": 1, "policy": Policy(reservation_ttl_s=86_400)}
DAY_30 = START + timedelta(days=30)
NOT = "REBIND_NOT_POSSIBLE"
MOVING = "deliver ask:blue>moved"
MOVED = f"{MOVING} moved.sent"


@cases(
    rebind_reserves_no_use_and_waits_like_any_reservation=Case(
        MOVING,
        ends="RebindReserved",
        balance=(1, 0),
        last={"group": "blue", "moves": 1, "validity_days": 30},
        has={"due_at": START},
        of="moved",
        terms=RED,
    ),
    former_access_stays_while_the_rebind_waits=Case(MOVING, has={"has_active_access": True}, terms=RED),
    former_access_stays_after_a_failure=Case(f"{MOVING} moved.busy 20s", has={"has_active_access": True}, terms=RED),
    former_access_stays_after_an_unknown_outcome=Case(
        f"{MOVING} moved.busy 20s moved.lost 20s", has={"has_active_access": True}, terms=RED
    ),
    former_access_ends_when_the_new_invitation_is_sent=Case(
        f"{MOVING} moved.busy 20s moved.lost 20s moved.sent",
        ends="AccessReplaced",
        balance=(1, 0),
        has={"access_due_at": START + timedelta(seconds=40), "has_active_access": False},
        terms=RED,
    ),
    end_of_the_former_access_does_not_move=Case(
        "deliver 10d ask:blue>moved moved.sent", has={"access_ends_at": DAY_30}, terms=RED
    ),
    end_of_the_moved_access_is_that_of_the_first_activation=Case(
        "deliver 10d ask:blue>moved moved.sent 20d moved.look",
        ends="AccessExpired",
        has={"access_ends_at": DAY_30},
        of="moved",
        terms=RED,
    ),
    refused_rebind_returns_the_move_and_no_use=Case(
        f"{MOVING} moved.refused ask:blue=changed",
        ends="UseRefunded RebindReserved",
        balance=(1, 0),
        newest={"UseRefunded.kind": "rebind"},
        has={"has_active_access": True},
        terms=RED,
    ),
    overdue_rebind_returns_the_move_and_no_use=Case(
        f"{MOVING} 1800s moved.settle ask:blue=changed",
        ends="UseRefunded RebindReserved",
        balance=(1, 0),
        newest={"UseRefunded.kind": "rebind"},
        has={"has_active_access": True},
        terms=RED,
    ),
    same_request_gives_the_same_rebind=Case(f"{MOVING} ask:green=moved moved.sent ask:blue=moved", terms=RED),
    overdue_one_does_not_need_the_sweep=Case(
        f"{MOVING} 1800s ask:blue=changed", ends="UseRefunded RebindReserved", terms=RED
    ),
    # The limit is the code's, else the policy's; what was refunded does not count.
    once_is_enough_for_a_person_and_staff_may_more=Case(
        f"{MOVED} ask:green={NOT}/used_up moved.rebind:green#s1=changed", terms=RED
    ),
    code_may_allow_more=Case(f"{MOVED} ask:green=changed", terms={**RED, "rebinds_max": 2}),
    code_may_allow_none=Case(f"deliver ask:blue={NOT}/used_up", terms={**RED, "rebinds_max": 0}),
    there_is_a_time_for_it=Case("deliver 15d ask:blue=changed", terms=RED),
    only_staff_may_later=Case(f"deliver 15d 1s ask:blue={NOT}/too_late rebind:blue#s1=changed", terms=RED),
    nothing_is_moved_before_it_was_sent=Case(
        f"reserve ask:blue={NOT}/nothing_sent rebind:blue#s1={NOT}/nothing_sent", terms=RED
    ),
    rebind_refusals_come_in_order=Case(
        f"deliver wang.ask:blue=CORRECTION_TOKEN_REQUIRED ask:red={NOT}/same_group pause ask:blue=CODE_PAUSED"
        " resume revoke rebind:blue#s1=CODE_REVOKED",
        terms=RED,
    ),
    access_that_is_over_is_not_moved=Case("deliver 10d ask:blue=GRANT_EXPIRED", terms={**RED, "validity_days": 10}),
    # Its last day is for redeeming; the access lives by its own time.
    code_that_expired_still_lets_its_people_move=Case(
        "deliver 20s ask:blue=changed", terms={**RED, "expires_at": START + timedelta(seconds=10)}
    ),
    # Its deadline is the end at the latest, whatever a channel asks for.
    deadline_of_a_rebind_is_the_end_of_the_access=Case(
        "deliver 80000s ask:blue>moved", has={"deadline": START + timedelta(days=1)}, of="moved", terms=LONG
    ),
    rebind_that_is_unsent_when_the_access_ends_is_refunded=Case(
        "deliver 80000s ask:blue>moved 6400s moved.settle",
        ends="UseRefunded",
        last={"cause": "grant_ended", "kind": "rebind"},
        terms=LONG,
    ),
    rebind_that_is_unknown_when_the_access_ends_is_a_case=Case(
        "deliver 80000s ask:blue>moved moved.lost 6400s moved.settle moved.resolve:retry=RESERVATION_NOT_RESOLVABLE",
        ends="CaseOpened",
        terms=LONG,
    ),
    # Overdue or refunded, it makes no room for another person on a full code.
    rebind_is_nobodys_free_use=Case(
        f"{MOVING} 1800s wang.redeem=CODE_EXHAUSTED", terms={**RED, "max_uses": 1, "bound": False}
    ),
    redeeming_gives_the_use_and_not_the_rebind=Case(f"{MOVING} redeem=li", terms=RED),
    # A use, or a corrected address, would leave the rebind with nothing to move.
    access_is_not_refunded_while_it_is_being_moved=Case(
        f"{MOVING} refund=RESERVATION_NOT_REFUNDABLE correct:wang=RECIPIENT_NOT_CORRECTABLE outage+=unchanged"
        " moved.cancel refund#r2=changed",
        terms=RED,
    ),
    moved_access_is_removed_where_it_is=Case(
        f"{MOVED} refund+=RESERVATION_NOT_REFUNDABLE accept=LINK_NOT_VALID rebind:blue#s1={NOT}"
        " moved.correct:wang=RECIPIENT_NOT_CORRECTABLE moved.refund+=changed",
        balance=(1, 0),
        has={"access_due_at": START},
        of="moved",
        terms=RED,
    ),
    late_success_moves_after_all_if_there_is_something_to_move=Case(
        f"{MOVING} moved.claim moved.answer:refused moved.answer:sent",
        ends="LateSuccessRecorded AccessReplaced",
        has={"has_active_access": False},
        terms=RED,
    ),
    late_success_is_a_case_if_the_access_was_moved_elsewhere=Case(
        f"{MOVING} moved.claim moved.answer:refused ask:blue>again again.sent moved.answer:sent",
        ends="LateSuccessRecorded CaseOpened",
        balance=(1, 0),
        terms=RED,
    ),
    revocation_refunds_the_rebind=Case(
        f"{MOVING} revoke", balance=(1, 0), has={"refund_cause": "revoked"}, of="moved", terms=RED
    ),
    access_that_was_withdrawn_is_not_moved=Case(
        f"deliver removed rebind:blue#s1={NOT}/withdrawn ask:blue={NOT}/withdrawn", terms=RED
    ),
    # Its outcome was unknown and not parked yet, so the case that is opened first comes before it.
    rebind_that_staff_count_as_sent_ends_the_former_access=Case(
        f"{MOVING} moved.lost moved.resolve:sent",
        ends="CaseOpened InviteSent CaseClosed AccessReplaced",
        last={"request_id": "s1", "caused_by": 9},
        terms=RED,
    ),
)
def test_rebind_leads_to(case: Case) -> None:
    case.check()


def test_rebind_follows_the_access_that_it_moves_which_names_it() -> None:
    history = History(MOVED, **RED)

    assert history.of("moved").follows == history.ids["li"]
    replaced = history.events[-1]
    assert [getattr(replaced, name) for name in ("reservation_id", "by")] == [history.ids["li"], history.ids["moved"]]


def test_lost_answer_begins_no_second_one() -> None:
    """Whatever happened in the meantime: a further use was sent, whose access would be moved now (seed 80078481)."""
    history = History("deliver>first", **RED)
    command = RequestRebind(
        context=history.context("person"),
        code_digests=[b"code"],
        recipient=ScenarioDraft([b"li"], history.new_id()),
        new_reservation_id=history.new_id(),
        group="blue",
        language="en",
        token_of=history.ids["first"],
    )
    begun = done(history.run(command)).require_reservation()
    history.run_steps("deliver:first")

    again = done(history.run(command))

    assert (again.require_reservation(), again.changed) == (begun, False)


def test_lost_answer_to_staff_begins_no_second_one() -> None:
    history = History("deliver", **RED)
    command = RebindReservation(
        context=history.context("staff", "s1"),
        reservation_id=history.ids["li"],
        new_reservation_id=history.new_id(),
        group="blue",
    )
    begun = done(history.run(command)).require_reservation().reservation_id
    done(history.cancel(begun))

    again = done(history.run(command))

    reservation = again.require_reservation()
    assert (reservation.reservation_id, reservation.status, again.changed) == (begun, "refunded", False)


def test_rebind_by_a_person_needs_the_code_and_the_token_of_the_access() -> None:
    """Who shares the code and the email address can't use up the one move; a token of another person is no help."""
    history = History("deliver wang.deliver", **RED, bound=False)

    assert refusal(ask(history, code_digests=[b"other"])) == "CODE_INVALID"
    assert refusal(ask(history, token_of=None)) == "CORRECTION_TOKEN_REQUIRED"
    assert refusal(ask(history, token_of=history.ids["wang"])) == "CORRECTION_TOKEN_REQUIRED"
    assert done(ask(history, token_of=history.ids["li"])).changed


def test_rebind_by_a_person_moves_the_access_that_the_token_is_of() -> None:
    history = History("deliver>first deliver:first", **RED, rebinds_max=2)
    first = history.ids["first"]

    moved = done(ask(history, token_of=first)).require_reservation()
    history.attempt(moved.reservation_id, SENT)
    again = done(ask(history, "green", token_of=first)).require_reservation()

    assert (moved.follows, again.follows) == (first, moved.reservation_id)


def ask_without_token(history: History) -> Any:  # noqa: ANN401 - any result
    """Staff ask by code and email address, so all reservations of the person are looked at."""
    return ask(history, context=history.context("staff", "s1"), token_of=None)


def test_rebind_moves_the_newest_active_access() -> None:
    history = History("deliver>older deliver:older removed", **RED)

    assert done(ask_without_token(history)).require_reservation().follows == history.ids["older"]


def test_rebind_is_refused_for_the_newest_access_that_was_sent() -> None:
    history = History("deliver>older reserve:older refund older.removed", **RED)

    assert answer(ask_without_token(history)) == f"{NOT}/withdrawn"


def test_end_of_the_former_access_carries_the_batch_of_the_rebind() -> None:
    """By it the history shows both as one action."""
    history = History(f"{MOVING} moved.claim", **RED)
    context = CommandContext(now=history.now, actor="worker", actor_id="w1", correlation_id=UUID(int=9))
    fields: dict[str, Any] = {"reservation_id": history.ids["moved"], "delivery": 1, "attempt": 1}

    done(history.run(RecordOutcome(context=context, outcome=SENT, case_id=UUID(int=5), **fields)))

    replaced = history.events[-1]
    assert history.kinds[-1] == "AccessReplaced"
    assert (replaced.actor, replaced.actor_id, replaced.correlation_id) == ("worker", "w1", UUID(int=9))


def test_channel_defers_a_rebind_until_the_access_expires_at_the_latest() -> None:
    history = History(MOVING, **{**RED, "validity_days": 1})
    end, tick, moved = START + timedelta(days=1), timedelta(microseconds=1), history.ids["moved"]

    history.attempt(moved, later((end - tick - START).total_seconds()))
    assert (history.of("moved").next_attempt_at, history.of("moved").deadline) == (end - tick, end)
    history.now = end - tick
    history.attempt(moved, later(tick.total_seconds()))

    assert history.kinds[-2:] == ["InviteFailed", "UseRefunded"]


@pytest.mark.parametrize("kind", [RequestRebind, RebindReservation])
def test_rebind_to_a_text_that_may_not_name_a_group_cannot_be_made(kind: Any) -> None:  # noqa: ANN401 - two commands
    """The event would hold it permanently."""
    fields = dict.fromkeys(kind.__struct_fields__)

    with pytest.raises(ValueError, match="no email address"):
        kind(**{**fields, "group": "li.wei@example.com"})
