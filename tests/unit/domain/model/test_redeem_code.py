"""The state of a code: one word for lists, and the counters and the binding after a refund."""

from datetime import timedelta

import pytest

from tests.support.ledger.scenario import SENT, START, Scenario, done

TOMORROW = START + timedelta(days=1)


def test_state_is_the_first_answer_that_a_new_person_would_get() -> None:
    """Active while uses are left, held while reserved ones may come back, else exhausted."""
    scenario = Scenario(max_uses=2, bound=False, expires_at=TOMORROW)
    assert scenario.code.state(START) == "active"
    scenario.sent("li")
    assert scenario.code.state(START) == "active"
    second = scenario.reserved("mei")
    assert scenario.code.state(START) == "held"
    scenario.attempt(second, SENT)
    assert scenario.code.state(START) == "exhausted"
    assert scenario.code.state(TOMORROW) == "expired"


def test_state_of_a_code_without_limit_is_active() -> None:
    """No number of uses exhausts it."""
    scenario = Scenario(max_uses=None, bound=False)
    scenario.sent()

    assert scenario.code.state(START) == "active"


def test_state_names_what_staff_decided_before_anything_else() -> None:
    """Revoked goes before paused, paused before expired."""
    scenario = Scenario(expires_at=TOMORROW)
    scenario.pause()
    assert scenario.code.state(TOMORROW) == "paused"
    scenario.revoke()
    assert scenario.code.state(TOMORROW) == "revoked"


@pytest.mark.parametrize("is_reserved", [True, False])
def test_refund_keeps_the_owner_while_another_use_binds_the_code(is_reserved: bool) -> None:
    """One binding use is reserved or sent, the other is refunded: the code stays bound until the last one goes."""
    scenario = Scenario(max_uses=3)
    first = scenario.sent()
    second = scenario.reserved(again=first)
    owner = scenario.code.owner_id

    other, last = (first, second) if is_reserved else (second, first)
    done(scenario.refund(last))
    after_one = scenario.code
    done(scenario.refund(other))

    assert owner is not None
    assert after_one.owner_id == owner
    assert scenario.code.owner_id is None
    assert (scenario.code.used, scenario.code.reserved, scenario.code.sent_binding) == (0, 0, 0)


def test_pause_and_resume_are_dated_versions_of_the_code() -> None:
    """Each is one event: the next version, at its time."""
    scenario = Scenario()
    first = scenario.code.version

    scenario.passes(60)
    scenario.pause()
    paused = scenario.code
    scenario.passes(60)
    scenario.resume()

    assert (paused.version, paused.last_at, paused.is_paused) == (first + 1, START + timedelta(seconds=60), True)
    assert (scenario.code.version, scenario.code.last_at) == (first + 2, scenario.now)
    assert not scenario.code.is_paused
