"""The time in which a code can be redeemed: what its own terms and those of its campaign leave."""

from datetime import UTC, datetime

import pytest

from domain.values.redeem_window import RedeemWindow

FIRST, SECOND, THIRD = (datetime(2026, 12, day, tzinfo=UTC) for day in (1, 12, 24))


@pytest.mark.parametrize(
    ("code", "campaign", "both"),
    [
        (RedeemWindow(), RedeemWindow(), RedeemWindow()),
        (RedeemWindow(FIRST, None), RedeemWindow(SECOND, None), RedeemWindow(SECOND, None)),
        (RedeemWindow(None, THIRD), RedeemWindow(None, SECOND), RedeemWindow(None, SECOND)),
        (RedeemWindow(FIRST, THIRD), RedeemWindow(), RedeemWindow(FIRST, THIRD)),
    ],
)
def test_intersection_has_the_later_start_and_the_earlier_end(
    code: RedeemWindow, campaign: RedeemWindow, both: RedeemWindow
) -> None:
    assert [code.intersect(campaign), campaign.intersect(code)] == [both, both]


def test_start_is_left_out_once_it_has_passed() -> None:
    window = RedeemWindow(SECOND, THIRD)

    assert [window.without_past_start(at) for at in (FIRST, SECOND, THIRD)] == [
        window,
        RedeemWindow(None, THIRD),
        RedeemWindow(None, THIRD),
    ]
