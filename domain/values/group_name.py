"""Names of groups. Events hold them permanently, so they are short and contain no personal data."""

import re
from typing import Final, Literal

from msgspec import Struct

from domain.values.identifiers import MalformedCodeError, is_native, normalize_code

NAME_LENGTH_MAX: Final = 200

ADDRESS: Final = r'[^"\s@]+@[^"\s@]+[.][^"\s@]+'
"""Text that looks like an email address. No event may hold one (invariant 9)."""

GroupFault = Literal["length", "signs", "address", "code"]
_ADDRESS = re.compile(ADDRESS)


def group_name_error(name: str) -> GroupFault | None:
    """Return why a text cannot be a group's name; None if it can. The empty text stands for no group."""
    if len(name) > NAME_LENGTH_MAX:
        return "length"
    if not name.isprintable() or name != name.strip():
        return "signs"
    if _ADDRESS.search(name):
        return "address"
    return "code" if _is_code(name) else None


def is_group_name(text: str) -> bool:
    """Return whether a text is the name of a group; the empty text is none."""
    return text != "" and group_name_error(text) is None


def _is_code(name: str) -> bool:
    """Return whether a text reads as a native code, in any spelling."""
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
    """Return the name if it may be a group's.

    Raises:
        ValueError: It may not; the message says why.
    """
    if (fault := group_name_error(name)) is not None:
        raise ValueError(FAULTS[fault])
    return name


class NamesGroup(Struct, frozen=True, kw_only=True):
    """Base of commands whose events name a group: it rejects a name that events may not hold."""

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
