"""When an access ends, and when its recipient is notified of it: every bound on both of its sides."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from domain.model.access import WARNING_DAYS, Access
from domain.values.timestamps import LAST
from tests.support.ledger.scenario import START

TICK = timedelta(microseconds=1)
END = START + timedelta(days=30)
TIMED = Access(validity_days=30)
ENDED = Access(validity_days=30, ending="withdrawn", ended_at=START, removal="removing", removal_at=START)


def days_before(days: int) -> datetime:
    return END - timedelta(days=days)


def test_access_is_as_it_is_promised_until_something_happens() -> None:
    assert Access() == Access(
        validity_days=None,
        activated_at=None,
        moves=0,
        announced=(),
        ending=None,
        ended_at=None,
        replaced_by=None,
        removal=None,
        removal_attempts=0,
        removal_at=None,
    )


@pytest.mark.parametrize(
    ("access", "sent_at", "ends_at"),
    [
        (TIMED, START, END),
        (TIMED, None, None),
        (Access(), START, None),
        (Access(validity_days=30, activated_at=START), START + timedelta(days=9), END),
        (Access(validity_days=30, activated_at=START), None, END),
        (Access(activated_at=START), START, None),
    ],
)
def test_end_follows_the_first_activation(access: Access, sent_at: datetime | None, ends_at: datetime | None) -> None:
    assert access.ends_at(sent_at) == ends_at


def test_end_beyond_the_calendar_is_its_last_timestamp() -> None:
    assert Access(validity_days=10**7).ends_at(START) == LAST


@pytest.mark.parametrize(
    ("announced", "due_at"),
    [
        ((), days_before(7)),
        ((7,), days_before(3)),
        ((7, 3), days_before(1)),
        ((3,), days_before(1)),
        ((7, 3, 1), END),
        ((1,), END),
    ],
)
def test_next_mark_is_due_after_the_announced_ones(announced: tuple[int, ...], due_at: datetime) -> None:
    assert Access(validity_days=30, announced=announced).due_at(START, is_sent=True) == due_at


@pytest.mark.parametrize(
    ("access", "is_accepted", "due_at"),
    [
        (Access(validity_days=30, remind_days=10), False, days_before(10)),
        (Access(validity_days=30, remind_days=10), True, days_before(7)),
        (Access(validity_days=30, remind_days=5), False, days_before(7)),
        (Access(validity_days=30, remind_days=5, announced=(7,)), False, days_before(5)),
        (Access(validity_days=30, remind_days=5, announced=(7,)), True, days_before(3)),
        (Access(validity_days=30, remind_days=5, announced=(7,), reminded=5), False, days_before(3)),
        (Access(validity_days=30, remind_days=7, reminded=7), False, days_before(3)),
        (Access(validity_days=30, remind_days=30), False, days_before(7)),
        (Access(remind_days=5), False, None),
    ],
)
def test_reminder_of_an_unaccepted_invitation_is_due_among_the_warnings(
    access: Access, due_at: datetime | None, *, is_accepted: bool
) -> None:
    """Once, and only if it is after the sending; it stands for the warnings that are due by then."""
    assert access.due_at(START, is_sent=True, is_accepted=is_accepted) == due_at


@pytest.mark.parametrize(
    ("sent_at", "due_at"),
    [
        (days_before(7) - TICK, days_before(7)),
        (days_before(7), days_before(3)),
        (days_before(3), days_before(1)),
        (days_before(1) - TICK, days_before(1)),
        (days_before(1), END),
    ],
)
def test_mark_before_the_sending_is_never_due(sent_at: datetime, due_at: datetime) -> None:
    assert Access(validity_days=30, activated_at=START).due_at(sent_at, is_sent=True) == due_at


@pytest.mark.parametrize(
    ("access", "sent_at", "is_sent"),
    [(TIMED, START, False), (TIMED, None, True), (Access(), START, True), (Access(activated_at=START), None, True)],
)
def test_nothing_is_due_without_an_end_or_a_sent_invitation(
    access: Access, sent_at: datetime | None, *, is_sent: bool
) -> None:
    assert access.due_at(sent_at, is_sent=is_sent) is None


def test_nothing_is_due_of_a_moved_access_whose_invitation_was_not_sent() -> None:
    """It has an end already, but no invitation of its own."""
    moved = Access(validity_days=30, activated_at=START)

    assert moved.due_at(None, is_sent=True) is None
    assert moved.due_at(START, is_sent=False) is None


@pytest.mark.parametrize("is_sent", [True, False])
def test_ended_access_is_due_to_be_removed(*, is_sent: bool) -> None:
    assert ENDED.due_at(START, is_sent=is_sent) == START
    assert Access(validity_days=30, ending="moved", replaced_by=UUID(int=1)).due_at(START, is_sent=is_sent) is None


@pytest.mark.parametrize(
    ("now", "announced", "mark"),
    [
        (days_before(7) - TICK, (), None),
        (days_before(7), (), 7),
        (days_before(3) - TICK, (), 7),
        (days_before(3), (), 3),
        (days_before(3), (7,), 3),
        (days_before(3), (3,), None),
        (days_before(3), (1,), None),
        (days_before(1), (7, 3), 1),
        (END - TICK, (7, 3, 1), None),
        (END - TICK, (), 1),
        (END, (), None),
        (END + TICK, (), None),
    ],
)
def test_mark_is_the_nearest_that_has_passed(now: datetime, announced: tuple[int, ...], mark: int | None) -> None:
    assert Access(validity_days=30, announced=announced).mark_at(START, now) == mark


@pytest.mark.parametrize(
    ("sent_at", "mark"),
    [(days_before(3) - TICK, 3), (days_before(3), None), (days_before(2), None)],
)
def test_mark_before_the_sending_is_not_announced(sent_at: datetime, mark: int | None) -> None:
    """The invitation itself named the end."""
    access = Access(validity_days=30, activated_at=START)

    assert access.mark_at(sent_at, days_before(2) + TICK) == mark


def test_access_without_an_end_has_no_mark() -> None:
    assert Access().mark_at(START, END) is None


def test_warning_days_fall() -> None:
    assert WARNING_DAYS == (7, 3, 1)
