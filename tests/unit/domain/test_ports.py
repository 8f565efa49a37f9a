"""Labels of outcomes, as metrics show them."""

from datetime import timedelta

import pytest

from domain.ports import Accepted, Outcome, OutcomeUnknown, Rejected, RetryLater, outcome_label


@pytest.mark.parametrize(
    ("outcome", "label"),
    [
        (Accepted(server="mx:25"), "sent"),
        (Rejected(server="mx:25", reason="temporary", final=False), "failed"),
        (RetryLater(server="hook", reason="busy", wait=timedelta(minutes=1)), "deferred"),
        (OutcomeUnknown(server="mx:25", cause="connection_lost"), "unknown"),
    ],
)
def test_outcome_has_its_label(outcome: Outcome, label: str) -> None:
    assert outcome_label(outcome) == label
