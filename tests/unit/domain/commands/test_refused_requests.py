"""Which refusals are left to the store, and how."""

from domain.commands.reservation.reserve import ReserveUse
from domain.events.event import ActorKind
from domain.writes import RefusedRequest
from tests.support.ledger.scenario import Scenario, draft_person


def request_paused_code(scenario: Scenario, actor: ActorKind) -> None:
    command = ReserveUse(
        context=scenario.context(actor),
        code_digests=[b"code"],
        recipient=draft_person("mei", scenario.new_id()),
        reservation_id=scenario.new_id(),
        language="en",
    )
    scenario.run(command)


def test_refused_request_of_a_person_is_left_with_code_and_reason() -> None:
    """That of staff is not: they guess no codes."""
    scenario = Scenario()
    scenario.pause()

    for actor in ("person", "staff"):
        request_paused_code(scenario, actor)

    [refused] = scenario.working_set.writes.refused_requests
    assert refused == RefusedRequest(scenario.code_id, scenario.now, refused.recipient, "CODE_PAUSED")
    assert refused.recipient.digests == [b"mei"]


def test_request_with_an_unknown_code_is_only_counted() -> None:
    """There is no code whose staff could see it."""
    scenario = Scenario()

    scenario.redeem(code=b"other")

    assert scenario.working_set.writes.refused_requests == []
    assert scenario.working_set.writes.unknown_code_requests == [scenario.now]


def test_reused_key_says_nothing_about_a_code() -> None:
    """A mistake of a client is no attempt at a code."""
    scenario = Scenario()
    scenario.redeem(key="k")
    scenario.redeem(key="k", again=scenario.new_id())

    assert (scenario.working_set.writes.refused_requests, scenario.working_set.writes.unknown_code_requests) == ([], [])


def test_correction_by_staff_has_no_typed_code() -> None:
    """Its refusal is an answer to staff."""
    scenario = Scenario()
    scenario.correct(scenario.new_id(), "mei")

    assert (scenario.working_set.writes.refused_requests, scenario.working_set.writes.unknown_code_requests) == ([], [])
