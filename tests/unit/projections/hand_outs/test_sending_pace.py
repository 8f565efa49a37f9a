from collections import deque
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from projections.hand_outs.sending_pace import WINDOW, Claim, SendingPace

START = datetime(2026, 11, 28, 4, tzinfo=UTC)
RATES = st.one_of(st.integers(1, 60), st.integers(61, 100_000))
GAPS = st.sampled_from([-400, 0, 200, 1_000, 4_000, 5_000, 5_000, 5_000, 30_000])
LOOKS = st.lists(st.tuples(GAPS, st.integers(1, 100_000)), min_size=30, max_size=80)
"""Milliseconds until a worker looks, whose clock may be behind, and how many rows it can send."""


def most_in_window(claims: list[Claim]) -> int:
    in_window, rows, most = deque[Claim](), 0, 0
    for claim in sorted(claims):
        in_window.append(claim)
        rows += claim.rows
        while in_window[0].at <= claim.at - WINDOW:
            rows -= in_window.popleft().rows
        most = max(most, rows)
    return most


BEHIND = (
    [(-400, 1)] * 5
    + [(4_000, 1), (5_000, 1), (0, 1), (0, 4), (1_000, 1), (4_000, 1), (5_000, 3), (5_000, 5)]
    + [
        *[
            (5_000, 1),
            (-400, 2),
            (-400, 3),
            (1_000, 8),
            (4_000, 2),
            (5_000, 1),
            (0, 1),
            (1_000, 1),
            (1_000, 5),
            (4_000, 1),
        ],
        *[(5_000, 1), (5_000, 5), (5_000, 1), (1_000, 8), (4_000, 7), (5_000, 1), (-400, 2)],
    ]
)
"""A worker looks whose clock is behind that of the last one, which has dropped a claim of the minute before."""


@example(per_minute=61, looks=BEHIND)
@given(per_minute=RATES, looks=LOOKS)
def test_no_window_of_a_minute_holds_more_than_the_rate(per_minute: int, looks: list[tuple[int, int]]) -> None:
    pace, now, claims = SendingPace(START), START, list[Claim]()
    for after_ms, most in looks:
        now += timedelta(milliseconds=after_ms)
        if pace.next_at <= now:
            rows = min(most, pace.count_allowed(per_minute, now))
            pace = pace.add_claim(per_minute, now, rows)
            claims.append(Claim(now, rows))

    assert claims or now < START
    assert most_in_window(claims) <= per_minute
    assert len(pace.claims) <= 241


@pytest.mark.parametrize("interval_s", [0.3, 2, 4.7])
@pytest.mark.parametrize("per_minute", [1, 7, 60, 100_000])
def test_rate_is_reached_by_workers_that_look_every_few_seconds(per_minute: int, interval_s: float) -> None:
    pace, now, claims = SendingPace(START), START, list[Claim]()
    while now < START + timedelta(minutes=10):
        if pace.next_at <= now:
            rows = pace.count_allowed(per_minute, now)
            assert rows > 0
            pace = pace.add_claim(per_minute, now, rows)
            claims.append(Claim(now, rows))
        now += timedelta(seconds=interval_s)

    assert sum(claim.rows for claim in claims) >= 9 * per_minute
    assert most_in_window(claims) <= per_minute


def test_rate_is_not_made_up_for_after_a_rest() -> None:
    pace = SendingPace(START).add_claim(60, START, 1)
    now = START + timedelta(hours=1)

    assert pace.count_allowed(60, now) == 11
    assert pace.add_claim(60, now, 11).count_allowed(60, now) == 0
