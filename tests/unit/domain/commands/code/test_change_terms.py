"""Changing the terms of an issued code, and pausing it: a pause stops new reservations only, and ends."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.import_code import ImportCode
from domain.commands.code.pause import PauseCode, ResumeCode
from domain.errors import Refusal
from domain.events.code import CodeTermsChanged
from domain.results import Result
from domain.values.number_bounds import USES
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.scenario import START, Scenario, ScenarioDraft, done, refusal
from tests.unit.domain.histories import Case, History, answer, cases

LI = UUID(int=3)
MOST = {"max_uses": USES.most}
TWO_TAKEN = "deliver mei.reserve"


class NoteDraft:
    text_id = UUID(int=7)


def change(scenario: Scenario, code_id: UUID | None = None, **more: object) -> Result:
    fields = {"context": scenario.context("staff", "s1"), "code_id": code_id or scenario.code_id, **more}
    return scenario.run(ChangeTerms(**fields))  # type: ignore[arg-type]  # fields of the command


@cases(
    paused_code_accepts_no_new_recipient_until_it_is_resumed=Case(
        "reserve pause=changed wang.redeem=CODE_PAUSED redeem=li sent resume wang.redeem=changed",
        kinds="UseReserved CodePaused InviteAttempted InviteSent CodeResumed UseReserved",
        terms={"max_uses": 3, "bound": False},
    ),
    repeated_state_is_recorded_once=Case("resume=unchanged pause pause=unchanged", kinds="CodePaused"),
    paused_comes_after_revoked_and_before_expired=Case(
        "pause 20s redeem=CODE_PAUSED revoke redeem=CODE_REVOKED", terms={"expires_at": START + timedelta(seconds=10)}
    ),
)
def test_pause_leads_to(case: Case) -> None:
    case.check()


def test_paused_code_is_shown_as_such() -> None:
    history = History("deliver pause", max_uses=3)

    assert history.code.state(history.now) == "paused"


@pytest.mark.parametrize("kind", [PauseCode, ResumeCode])
def test_unknown_code_comes_before_a_revoked_one(kind: type[PauseCode | ResumeCode]) -> None:
    scenario = Scenario()
    scenario.revoke()
    context = scenario.context("staff")

    assert refusal(scenario.run(kind(context=context, code_id=UUID(int=1)))) == "NOT_FOUND"
    assert refusal(scenario.run(kind(context=context, code_id=scenario.code_id))) == "CODE_REVOKED"


def test_changed_terms_are_recorded_with_the_reason_and_all_other_terms() -> None:
    """So that the event can be read alone."""
    scenario = Scenario(max_uses=2, group="blue", validity_days=30)

    done(change(scenario, changes={"max_uses": 5}, note=NoteDraft()))

    event = scenario.events[-1]
    assert isinstance(event, CodeTermsChanged)
    assert event.terms == scenario.code.terms == make_terms(max_uses=5, group="blue", validity_days=30)
    assert event.text_id == NoteDraft.text_id
    assert scenario.code.available == 5


def test_changed_terms_keep_the_binding_unless_it_is_released() -> None:
    scenario = Scenario()
    code_id = scenario.new_id()
    imported = ImportCode(
        context=scenario.context("import"),
        code_id=code_id,
        text=ScenarioDraft([b"kept"], code_id),
        source="csv",
        terms=make_terms(max_uses=2),
        bound=True,
        bound_to=ScenarioDraft([b"li"], LI),
    )
    done(scenario.run(imported))

    assert done(change(scenario, code_id, changes={"max_uses": 3})).code.bound_to == LI
    released = done(change(scenario, code_id, changes={}, release_binding=True))
    assert (released.code.bound_to, released.changed) == (None, True)
    assert not done(change(scenario, code_id, changes={}, release_binding=True)).changed


def test_terms_that_equal_the_present_ones_change_nothing() -> None:
    scenario = Scenario(max_uses=2, validity_days=30)

    result = done(change(scenario, changes={"max_uses": 2, "validity_days": 30}))

    assert (result.changed, result.code, result.reservation) == (False, scenario.code, None)
    assert done(change(scenario, changes={"validity_days": None})).code.terms.validity_days is None


@pytest.mark.parametrize(("expected", "result", "max_uses"), [(2, "changed", 5), (1, "TERMS_CHANGED", 2)])
def test_terms_change_only_if_they_are_the_expected_ones(expected: int, result: str, max_uses: int) -> None:
    scenario = Scenario(max_uses=2)

    assert answer(change(scenario, changes={"max_uses": 5}, expected=make_terms(max_uses=expected))) == result
    assert scenario.code.terms.max_uses == max_uses


def test_limit_is_not_lowered_below_the_uses_that_are_taken() -> None:
    history = History(TWO_TAKEN, max_uses=5, bound=False)

    below = change(history, changes={"max_uses": 1})

    assert isinstance(below, Refusal)
    assert (below.code, below.facts) == ("LIMIT_TOO_LOW", {"taken": 2})
    assert done(change(history, changes={"max_uses": 2})).code.available == 0
    assert done(change(history, changes={"max_uses": None})).code.available is None


def test_changes_of_terms_are_refused_in_order_of_precedence() -> None:
    history = History(TWO_TAKEN, max_uses=2, bound=False)

    assert refusal(change(history, changes={"max_uses": 1})) == "LIMIT_TOO_LOW"
    history.revoke()
    assert refusal(change(history, changes={"max_uses": 1})) == "CODE_REVOKED"
    assert refusal(change(history, UUID(int=1), changes={"max_uses": 1})) == "NOT_FOUND"
    assert refusal(change(history, changes={"max_uses": 0})) == "OUT_OF_BOUNDS"


def make_full_code() -> History:
    """One use counted, two reserved, and a limit of two that was set below them."""
    history = History("deliver mei.reserve wei.reserve", max_uses=5, bound=False)
    done(change(history, changes={"max_uses": 2}, counting="all"))
    return history


def test_limit_below_the_uses_by_choice_takes_none_and_grants_none() -> None:
    history = make_full_code()
    code = history.code
    assert (code.used, code.reserved, code.available, code.state(history.now)) == (1, 2, -1, "held")

    history.run_steps("late.redeem=CODE_HELD mei.sent")
    assert (history.code.used, history.code.reserved, history.code.state(history.now)) == (2, 1, "exhausted")
    history.run_steps("late.redeem=CODE_EXHAUSTED")


def test_all_overdue_uses_over_a_limit_are_refunded_before_one_is_granted() -> None:
    """With every worker dead, the next request frees what it needs; one freed use is not enough here."""
    code = make_full_code().run_steps("1801s late.redeem=changed").code

    assert (code.used, code.reserved, code.available) == (1, 1, 0)


def test_overdue_uses_are_refunded_even_if_those_that_were_loaded_are_not_enough() -> None:
    """With every worker dead, each refused request frees what it loaded, so that a later one is granted."""
    history = make_full_code().run_steps("1790s wei.claim 11s late.redeem=CODE_HELD")

    assert history.of("mei").status == "refunded"
    assert (history.code.reserved, history.code.available) == (1, 0)


def test_limit_from_now_on_is_added_to_the_uses_that_exist() -> None:
    history = make_full_code()

    changed = done(change(history, changes={"max_uses": 2}, counting="from_now"))

    assert (changed.code.terms.max_uses, changed.code.available) == (5, 2)
    assert not done(change(history, changes={"max_uses": 2}, counting="from_now")).changed
    history.run_steps("late.redeem=changed")
    assert done(change(history, changes={"max_uses": 2}, counting="from_now")).code.terms.max_uses == 6


@pytest.mark.parametrize(("changes", "counting"), [({}, "all"), ({"max_uses": None}, "all"), (MOST, "from_now")])
def test_choice_needs_a_limit_within_its_bounds(changes: dict[str, int | None], counting: str) -> None:
    """Without a limit there is nothing to count for, and the sum has the bounds of every limit."""
    history = History("reserve", max_uses=5)

    assert answer(change(history, changes=changes, counting=counting)) == "OUT_OF_BOUNDS/max_uses"


def test_uses_over_the_limit_bar_no_other_change() -> None:
    """A higher limit that is still below the uses needs no choice; a lower one does."""
    history = make_full_code()
    done(change(history, changes={"validity_days": 3, "max_uses": 2}))

    assert answer(change(history, changes={"max_uses": 1})) == "LIMIT_TOO_LOW"
    done(change(history, changes={"max_uses": None}))
    assert answer(change(history, changes={"max_uses": 2})) == "LIMIT_TOO_LOW"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        # An event would hold it permanently.
        ({"group": "li.wei@example.com"}, "no email address"),
        # A misspelt name would otherwise change nothing.
        ({"size": 1, "color": 2, "max_uses": 3}, "not a term of a code: color, size"),
    ],
)
def test_change_that_no_event_may_hold_cannot_be_made(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        change(Scenario(), changes=changes)


@pytest.mark.parametrize(
    ("starts", "named", "ends"),
    [(None, {}, 7), (5, {}, 12), (None, {"expires_at": 3}, 3), (None, {"expires_at": 9}, 7)],
)
def test_end_follows_the_change(starts: int | None, named: dict[str, int], ends: int) -> None:
    """In days from the change, or from the start of the code; it replaces an end that the change does not name."""
    scenario = Scenario(max_uses=2)

    def after(days: int) -> datetime:
        return START + timedelta(days=days)

    done(change(scenario, changes={"expires_at": after(20), "starts_at": None if starts is None else after(starts)}))
    changes = {"valid_for_days": 7, **{name: after(days) for name, days in named.items()}}
    done(change(scenario, changes=changes))

    assert scenario.code.terms.expires_at == after(ends)


def test_end_that_follows_lies_within_the_bounds_of_times() -> None:
    """A start near the last time leaves no room for the days."""
    scenario = Scenario(max_uses=2)
    done(change(scenario, changes={"starts_at": datetime(8999, 12, 1, tzinfo=UTC)}))

    assert refusal(change(scenario, changes={"valid_for_days": 60})) == "OUT_OF_BOUNDS"
