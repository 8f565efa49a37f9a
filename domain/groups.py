"""Names of groups: they stand in events for ever, so they are short and name no person."""

import re
from typing import Final, Literal

NAME_LENGTH_MAX: Final = 200

ADDRESS: Final = r'[^"\s@]+@[^"\s@]+[.][^"\s@]+'
"""What looks like an e-mail address. No event may hold one (invariant 9)."""

GroupFault = Literal["length", "signs", "address"]
_ADDRESS = re.compile(ADDRESS)


def fault_of_group(name: str) -> GroupFault | None:
    """What keeps a text from being a group's name; None if nothing does. The empty one stands for no group."""
    if len(name) > NAME_LENGTH_MAX:
        return "length"
    if not name.isprintable():
        return "signs"
    return "address" if _ADDRESS.search(name) else None


def without_address(name: str) -> str:
    """The name, if it is no e-mail address.

    Raises:
        ValueError: It is one.
    """
    if fault_of_group(name) == "address":
        raise ValueError("a group's name stands in events, where no e-mail address may be")
    return name
