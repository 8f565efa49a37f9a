"""Changing the terms of an issued code."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.import_code import ImportCode
from domain.errors import CodeExhausted, CodeHeld, LimitBelowUsage, OutOfBounds, TermsConflict
from domain.events.code import CodeTermsChanged
from domain.results import Result
from domain.values.number_bounds import USES
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.scenario import SENT, Scenario, ScenarioDraft, done

LI = UUID(int=3)
MOST = {"max_uses": USES.most}


class NoteDraft:
    text_id = UUID(int=7)


def change(scenario: Scenario, code_id: UUID | None = None, **more: object) -> Result:
    fields = {"context": scenario.context("staff", "s1"), "code_id": code_id or scenario.code_id, **more}
    return scenario.run(ChangeTerms(**fields))  # type: ignore[arg-type]  # fields of the command


def import_bound_code(scenario: Scenario) -> UUID:
    code_id = scenario.new_id()
    command = ImportCode(
        context=scenario.context("import"),
        code_id=code_id,
        text=ScenarioDraft([b"kept"], code_id),
        source="csv",
        terms=make_terms(max_uses=2),
        bound=True,
        bound_to=ScenarioDraft([b"li"], LI),
    )
    done(scenario.run(command))
    return code_id


def test_changed_terms_are_recorded_with_the_reason_and_all_other_terms() -> None:
    scenario = Scenario(max_uses=2, group="blue", validity_days=30)

    done(change(scenario, changes={"max_uses": 5}, note=NoteDraft()))

    event = scenario.events[-1]
    assert isinstance(event, CodeTermsChanged)
    assert event.terms == scenario.code.terms == make_terms(max_uses=5, group="blue", validity_days=30)
    assert event.text_id == NoteDraft.text_id


def test_changed_terms_keep_the_binding_unless_it_is_released() -> None:
    scenario = Scenario()
    code_id = import_bound_code(scenario)

    assert done(change(scenario, code_id, changes={"max_uses": 3})).code.bound_to == LI
    released = done(change(scenario, code_id, changes={}, release_binding=True))
    assert (released.code.bound_to, released.changed) == (None, True)
    assert not done(change(scenario, code_id, changes={}, release_binding=True)).changed


def test_terms_that_equal_the_present_ones_change_nothing() -> None:
    scenario = Scenario(max_uses=2)

    result = done(change(scenario, changes={"max_uses": 2}))

    assert (result.changed, result.code, result.reservation) == (False, scenario.code, None)


@pytest.mark.parametrize("is_present", [True, False])
def test_terms_change_only_if_they_are_the_expected_ones(*, is_present: bool) -> None:
    scenario = Scenario(max_uses=2)
    expected = make_terms(max_uses=2 if is_present else 1)

    result = change(scenario, changes={"max_uses": 5}, expected=expected)

    assert isinstance(result, TermsConflict) is not is_present
    assert scenario.code.terms.max_uses == (5 if is_present else 2)


def test_limit_is_not_lowered_below_the_uses_that_are_taken() -> None:
    scenario = Scenario(max_uses=5, bound=False)
    scenario.sent("li")
    scenario.reserved("mei")

    below = change(scenario, changes={"max_uses": 1})

    assert isinstance(below, LimitBelowUsage)
    assert below.facts == {"taken": 2}
    assert done(change(scenario, changes={"max_uses": 2})).changed


def make_full_code() -> Scenario:
    """One use counted, two reserved, and a limit of two that was set below them."""
    scenario = Scenario(max_uses=5, bound=False)
    scenario.sent("li")
    for person in ("mei", "wei"):
        scenario.reserved(person)
    done(change(scenario, changes={"max_uses": 2}, counting="all"))
    return scenario


def test_limit_below_the_uses_by_choice_takes_none_and_grants_none() -> None:
    scenario = make_full_code()
    code = scenario.code
    assert (code.used, code.reserved, code.available, code.state(scenario.now)) == (1, 2, -1, "held")

    assert isinstance(scenario.redeem("late"), CodeHeld)
    mei = next(each for each in scenario.working_set.reservations.values() if each.is_live)
    scenario.attempt(mei.reservation_id, SENT)
    assert (scenario.code.used, scenario.code.reserved, scenario.code.state(scenario.now)) == (2, 1, "exhausted")
    assert isinstance(scenario.redeem("late"), CodeExhausted)


def test_all_overdue_uses_over_a_limit_are_refunded_before_one_is_granted() -> None:
    """With every worker dead, the next request frees what it needs; one freed use is not enough here."""
    scenario = make_full_code()
    scenario.passes(1801)

    reserved = done(scenario.redeem("late"))

    assert (reserved.code.used, reserved.code.reserved, reserved.code.available) == (1, 1, 0)


def test_overdue_uses_are_refunded_even_if_those_that_were_loaded_are_not_enough() -> None:
    """With every worker dead, each refused request frees what it loaded, so that a later one is granted."""
    scenario = make_full_code()
    mei, wei = (each for each in scenario.working_set.reservations.values() if each.is_live)
    scenario.passes(1790)
    done(scenario.claim(wei.reservation_id))
    scenario.passes(11)

    assert isinstance(scenario.redeem("late"), CodeHeld)
    assert scenario.reservation(mei.reservation_id).status == "refunded"
    assert (scenario.code.reserved, scenario.code.available) == (1, 0)


def test_limit_from_now_on_is_added_to_the_uses_that_exist() -> None:
    scenario = make_full_code()

    changed = done(change(scenario, changes={"max_uses": 2}, counting="from_now"))

    assert (changed.code.terms.max_uses, changed.code.available) == (5, 2)
    assert not done(change(scenario, changes={"max_uses": 2}, counting="from_now")).changed
    done(scenario.redeem("late"))
    assert done(change(scenario, changes={"max_uses": 2}, counting="from_now")).code.terms.max_uses == 6


@pytest.mark.parametrize(("changes", "counting"), [({}, "all"), ({"max_uses": None}, "all"), (MOST, "from_now")])
def test_choice_needs_a_limit_within_its_bounds(changes: dict[str, int | None], counting: str) -> None:
    """Without a limit there is nothing to count for, and the sum has the bounds of every limit."""
    scenario = Scenario(max_uses=5)
    scenario.reserved("li")

    refused = change(scenario, changes=changes, counting=counting)

    assert isinstance(refused, OutOfBounds)
    assert refused.why == "max_uses"


def test_uses_over_the_limit_bar_no_other_change() -> None:
    scenario = make_full_code()
    done(change(scenario, changes={"validity_days": 3, "max_uses": 2}))

    assert isinstance(change(scenario, changes={"max_uses": 1}), LimitBelowUsage)
    done(change(scenario, changes={"max_uses": None}))
    assert isinstance(change(scenario, changes={"max_uses": 2}), LimitBelowUsage)


def test_change_of_the_group_is_checked_like_any_group_s_name() -> None:
    """An event would hold it permanently."""
    scenario = Scenario()

    with pytest.raises(ValueError, match="no email address"):
        change(scenario, changes={"group": "li.wei@example.com"})
    with pytest.raises(ValueError, match="not a term of a code: color, size"):
        change(scenario, changes={"size": 1, "color": 2, "max_uses": 3})


@pytest.mark.parametrize(
    ("starts", "named", "ends"),
    [(None, {}, 7), (5, {}, 12), (None, {"expires_at": 3}, 3), (None, {"expires_at": 9}, 7)],
)
def test_end_follows_the_change(starts: int | None, named: dict[str, int], ends: int) -> None:
    scenario = Scenario(max_uses=2)
    now = scenario.context("staff").now

    def after(days: int) -> datetime:
        return now + timedelta(days=days)

    done(change(scenario, changes={"expires_at": after(20), "starts_at": None if starts is None else after(starts)}))
    changes = {"valid_for_days": 7, **{name: after(days) for name, days in named.items()}}
    done(change(scenario, changes=changes))

    assert scenario.code.terms.expires_at == after(ends)


def test_end_that_follows_lies_within_the_bounds_of_times() -> None:
    """A start near the last time leaves no room for the days."""
    scenario = Scenario(max_uses=2)
    done(change(scenario, changes={"starts_at": datetime(8999, 12, 1, tzinfo=UTC)}))

    assert isinstance(change(scenario, changes={"valid_for_days": 60}), OutOfBounds)
