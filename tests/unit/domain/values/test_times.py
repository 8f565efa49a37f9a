"""Times in terms: durations, windows and quiet hours; and how long something waits after failures in a row."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from domain.values.number_bounds import DURATION_PATTERN, DurationError, format_days, parse_days
from domain.values.quiet_hours import find_end_of_quiet_hours, is_quiet_hours
from domain.values.redeem_window import RedeemWindow
from domain.values.wait import STEPS_MAX, Wait


@pytest.mark.parametrize(("typed", "days"), [("P1D", 1), ("P7D", 7), ("P2W", 14), ("P36500D", 36_500)])
def test_days_and_weeks_are_read(typed: str, days: int) -> None:
    assert parse_days(typed) == days
    assert parse_days(format_days(days)) == days


@pytest.mark.parametrize(
    "typed", ["P0D", "P36501D", "P99999W", "7", "P7", "PT7H", "P1M", "p7d", "P7D ", "-P7D", "P٧D", ""]
)
def test_other_durations_are_refused_with_an_example(typed: str) -> None:
    """Months and hours too: their length varies, or is not a day."""
    with pytest.raises(DurationError, match="such as P7D or P2W"):
        parse_days(typed)


@pytest.mark.parametrize("unit", ["D", "W"])
def test_pattern_says_exactly_what_is_read(unit: str) -> None:
    """The OpenAPI document has it: a client that follows it is not refused."""
    for number in range(40_000):
        typed = f"P{number}{unit}"
        try:
            is_read = parse_days(typed) > 0
        except DurationError:
            is_read = False
        assert (re.search(DURATION_PATTERN, typed) is not None) is is_read, typed


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


NIGHT, NOON = "22:00-08:00 Europe/Berlin", "12:00-13:30 Asia/Shanghai"


@pytest.mark.parametrize(
    ("text", "is_valid"),
    [
        (NIGHT, True),
        ("00:00-23:59 UTC", True),
        ("22:00-22:00 UTC", False),
        ("22-8 UTC", False),
        ("24:00-08:00 UTC", False),
        ("22:00-08:00", False),
        ("22:00-08:00 Europe/Atlantis", False),
        ("22:00-08:00 Europe", False),
        ("22:00-08:00 ../../etc/passwd", False),
        ("22:00-08:00 UTC\n", False),
    ],
)
def test_quiet_hours_are_two_times_and_a_known_time_zone(text: str, *, is_valid: bool) -> None:
    assert is_quiet_hours(text) is is_valid


@pytest.mark.parametrize(
    ("text", "now", "end"),
    [
        pytest.param(NIGHT, "2026-12-01T20:59", None, id="before"),
        pytest.param(NIGHT, "2026-12-01T21:00", "2026-12-02T07:00", id="start-is-quiet"),
        pytest.param(NIGHT, "2026-12-02T06:59", "2026-12-02T07:00", id="after-midnight"),
        pytest.param(NIGHT, "2026-12-02T07:00", None, id="end-is-not-quiet"),
        pytest.param(NIGHT, "2026-07-01T20:00", "2026-07-02T06:00", id="summer"),
        pytest.param(NIGHT, "2027-03-27T22:00", "2027-03-28T06:00", id="clocks-change-in-between"),
        pytest.param(NOON, "2026-12-01T04:00", "2026-12-01T05:30", id="within-a-day"),
        pytest.param(NOON, "2026-12-01T05:30", None, id="after"),
        pytest.param("02:00-02:45 Europe/Berlin", "2026-10-25T00:30", "2026-10-25T01:45", id="first-of-two-hours"),
        pytest.param("02:00-02:45 Europe/Berlin", "2026-10-25T01:30", "2026-10-25T01:45", id="second-of-two-hours"),
        pytest.param("01:00-02:30 Europe/Berlin", "2027-03-28T00:45", "2027-03-28T01:30", id="hour-that-is-left-out"),
        pytest.param("22:00-08:00 No/Where", "2026-12-01T23:00", "2026-12-02T08:00", id="zone-that-was-removed"),
    ],
)
def test_reminder_waits_for_the_end_of_quiet_hours(text: str, now: str, end: str | None) -> None:
    """In local time, always later than now, also where clocks change."""
    expected = None if end is None else datetime.fromisoformat(end).replace(tzinfo=UTC)
    assert find_end_of_quiet_hours(text, datetime.fromisoformat(now).replace(tzinfo=UTC)) == expected


@pytest.mark.parametrize(("failures", "seconds"), [(1, 5), (2, 10), (3, 20), (6, 160), (7, 300), (10**6, 300)])
def test_wait_is_multiplied_up_to_its_bound(failures: int, seconds: float) -> None:
    assert Wait(5.0, 2.0, 300.0).after(failures) == timedelta(seconds=seconds)


def test_wait_without_a_factor_grows_by_the_first_one() -> None:
    assert [Wait(60.0).after(failures).total_seconds() for failures in (1, 2, 5)] == [60, 120, 300]
    assert [Wait(60.0, 1.0).after(failures).total_seconds() for failures in (1, 2, 5)] == [60, 60, 60]


def test_jitter_is_added_to_the_bounded_wait() -> None:
    wait = Wait(5.0, 2.0, 300.0, jitter=0.25)

    assert wait.after(2, chance=0.5) == timedelta(seconds=10 * 1.125)
    assert wait.after(9, chance=1.0) == timedelta(seconds=375)
    assert Wait(5.0, 2.0).after(2, chance=1.0) == timedelta(seconds=10)


def test_number_of_failures_never_overflows() -> None:
    """Multiplying ends after a number of steps; a bound beyond that shows it."""
    endless = Wait(1.0, 2.0, float(2 ** (STEPS_MAX + 8)))

    assert endless.after(STEPS_MAX) == timedelta(seconds=2.0 ** (STEPS_MAX - 1))
    assert endless.after(STEPS_MAX + 1) == timedelta(seconds=2.0**STEPS_MAX)
    assert endless.after(10**6) == timedelta(seconds=2.0**STEPS_MAX)


@pytest.mark.parametrize(("waited_s", "failures"), [(0, 0), (59, 0), (60, 1), (119, 1), (1500, 5), (3600, STEPS_MAX)])
def test_wait_says_after_how_many_failures_it_was(waited_s: float, failures: int) -> None:
    """A wait in between is that of the failure before; at the bound it may have been any number."""
    wait = Wait(60.0, 2.0, 3600.0)

    assert wait.count_failures(timedelta(seconds=waited_s)) == failures
    assert wait.after(failures + 1) == timedelta(seconds=min(60 * 2**failures, 3600))
