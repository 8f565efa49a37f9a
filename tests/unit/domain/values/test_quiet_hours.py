"""Quiet hours: which texts name some, and when those end that a time is in."""

from datetime import UTC, datetime

import pytest

from domain.values.quiet_hours import find_end_of_quiet_hours, is_quiet_hours

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
