"""Every type of event has an importance; a new one without it stops the program at its import."""

import pytest

from domain.events import EVENT_TYPES, Event, InviteAttempted, InviteFailed, UseReserved
from domain.events.importance import IMPORTANCE, LEVELS, check_complete, types_up_to


class NewFact(Event, frozen=True, kw_only=True):
    """A type that is not declared."""


def test_event_type_without_importance_is_found() -> None:
    """The module compares both when it is imported."""
    check_complete(IMPORTANCE.keys(), set(EVENT_TYPES))

    with pytest.raises(LookupError, match="NewFact"):
        check_complete(IMPORTANCE.keys(), {*EVENT_TYPES, NewFact})
    with pytest.raises(LookupError, match="UseReserved"):
        check_complete(IMPORTANCE.keys(), set(EVENT_TYPES) - {UseReserved})


def test_each_level_shows_what_the_one_before_shows() -> None:
    """The last one shows everything."""
    shown = [set(types_up_to(level)) for level in LEVELS]

    assert shown[0] < shown[1] < shown[2] == set(EVENT_TYPES)
    assert UseReserved in shown[0]
    assert InviteFailed in shown[1] - shown[0]
    assert InviteAttempted in shown[2] - shown[1]
