"""What must not be committed is stopped where it would be recorded, whatever decision asked for it."""

from uuid import UUID

import pytest

from domain.events import CaseClosed, Event, InviteSent, LateSuccessRecorded, UseRefunded
from domain.model.invariants import InvariantViolationError
from tests.support.ledger.scenario import START, Scenario

CASE = UUID(int=1)


def wrong(name: str, reservation_id: UUID) -> Event:
    """An event that can't follow on a sent reservation."""
    match name:
        case "sent twice":
            return InviteSent(at=START, actor="worker", reservation_id=reservation_id, attempt=2, server="mx:25")
        case "given back as if held":
            return UseRefunded(
                at=START, actor="sweep", reservation_id=reservation_id, cause="deadline", held="reserved"
            )
        case "retaken while counted":
            return LateSuccessRecorded(
                at=START,
                actor="worker",
                reservation_id=reservation_id,
                recipient_id=reservation_id,
                attempt=2,
                server="mx:25",
                effect="retaken",
            )
        case "no such case":
            return CaseClosed(at=START, actor="staff", reservation_id=reservation_id, case_id=CASE, how="resolved_sent")
        case _:
            raise ValueError(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sent twice", "InviteSent: invariant 4: sent once per delivery"),
        ("given back as if held", "UseRefunded: invariant 4: taken and refunded by turns"),
        ("retaken while counted", "LateSuccessRecorded: invariant 4: taken and refunded by turns"),
        ("no such case", "CaseClosed: rule 6: one case at a time"),
    ],
)
def test_working_set_refuses_events_that_break_an_invariant(name: str, message: str) -> None:
    """The batch must not commit."""
    scenario = Scenario(max_uses=5)
    reservation_id = scenario.sent()

    with pytest.raises(InvariantViolationError, match=message):
        scenario.working_set.record(scenario.code_id, [wrong(name, reservation_id)])
