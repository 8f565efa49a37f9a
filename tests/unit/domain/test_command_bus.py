"""Every command that can be given is decided by exactly one decision."""

from typing import get_args

from domain.command_bus import HANDLERS, Command


def test_every_command_has_its_decision() -> None:
    """A command without one would be refused by a KeyError in production."""
    assert set(get_args(Command)) == set(HANDLERS)
