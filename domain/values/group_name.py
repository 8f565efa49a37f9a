"""Names of groups: they stand in events for ever, so they are short and name no person."""

import re
from typing import Final, Literal

from msgspec import Struct

from domain.values.identifiers import MalformedCodeError, is_native, normalize_code

NAME_LENGTH_MAX: Final = 200

ADDRESS: Final = r'[^"\s@]+@[^"\s@]+[.][^"\s@]+'
"""What looks like an email address. No event may hold one (invariant 9)."""

GroupFault = Literal["length", "signs", "address", "code"]
_ADDRESS = re.compile(ADDRESS)


def group_name_error(name: str) -> GroupFault | None:
    """What keeps a text from being a group's name; None if nothing does. The empty one stands for no group."""
    if len(name) > NAME_LENGTH_MAX:
        return "length"
    if not name.isprintable() or name != name.strip():
        return "signs"
    if _ADDRESS.search(name):
        return "address"
    return "code" if _is_code(name) else None


def _is_code(name: str) -> bool:
    """Whether it reads as a code that we issue, in any spelling."""
    try:
        return is_native(normalize_code(name))
    except MalformedCodeError:
        return False


FAULTS: Final[dict[GroupFault, str]] = {
    "length": f"a group's name has at most {NAME_LENGTH_MAX} characters",
    "signs": "a group's name is one printable line without spaces around it",
    "address": "a group's name is stored in events, where no email address may be",
    "code": "a group's name is stored in events, where no redeem code may be",
}


def checked_group(name: str) -> str:
    """The name, if it may be a group's.

    Raises:
        ValueError: It may not; the message says why.
    """
    if (fault := group_name_error(name)) is not None:
        raise ValueError(FAULTS[fault])
    return name


class NamesGroup(Struct, frozen=True, kw_only=True):
    """A command whose events name a group: it can't be made with a name that events may not hold."""

    def named_group(self) -> str | None:
        """Return the group that the events will name: the field `group`, unless a command says otherwise."""
        return getattr(self, "group", None)

    def __post_init__(self) -> None:
        """Check the name.

        Raises:
            ValueError: It may not be a group's.
        """
        if (name := self.named_group()) is not None:
            checked_group(name)
