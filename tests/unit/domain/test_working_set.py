"""What must not be committed is stopped where it would be recorded, whatever decision asked for it."""

from uuid import UUID

import pytest

from domain.events import CaseClosed, Event, InviteSent, LateSuccessRecorded, UseRefunded
from tests.support.ledger.scenario import START, Scenario

CASE = UUID(int=1)


def wrong(name: str, item: UUID) -> Event:
    """An event that can't follow on a sent reservation."""
    match name:
        case "sent twice":
            return InviteSent(at=START, actor="worker", reservation_id=item, attempt=2, server="mx:25")
        case "given back as if held":
            return UseRefunded(at=START, actor="sweep", reservation_id=item, cause="deadline", held="reserved")
        case "retaken while counted":
            return LateSuccessRecorded(
                at=START,
                actor="worker",
                reservation_id=item,
                recipient_id=item,
                attempt=2,
                server="mx:25",
                effect="retaken",
            )
        case _:
            return CaseClosed(at=START, actor="staff", reservation_id=item, case_id=CASE, how="resolved_sent")


@pytest.mark.parametrize("name", ["sent twice", "given back as if held", "retaken while counted", "no such case"])
def test_a_use_is_never_counted_or_given_back_out_of_turn(name: str) -> None:
    """The batch must not commit."""
    scenario = Scenario(max_uses=5)
    reservation_id = scenario.sent()

    with pytest.raises(AssertionError):
        scenario.book.record(scenario.code_id, [wrong(name, reservation_id)])
