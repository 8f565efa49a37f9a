"""Members that a JSON object names twice: a parser keeps the last one silently, so such an input is refused."""

import json
from typing import Any, Final

NAME_LENGTH_MAX: Final = 40
"""Most characters of a name that a sentence repeats."""

IS_REPEATED: Final = "is given twice"


class RepeatedMemberError(Exception):
    """An object names a member twice.

    Attributes:
        name: The beginning of its name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name[:NAME_LENGTH_MAX]


def read_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of an object, as `object_pairs_hook` of a parser.

    Raises:
        RepeatedMemberError: One name appears twice.
    """
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        raise RepeatedMemberError(next(name for name in names if names.count(name) > 1))
    return members


def check_members(text: str | bytes, document: object) -> None:
    """Check that no object in a JSON text names a member twice.

    Args:
        text: Valid JSON.
        document: What a parser made of it.

    Raises:
        RepeatedMemberError: One does.
        RecursionError: It is nested too deeply to tell.
    """
    if not _has_only_members_of(text, document):
        json.loads(text, object_pairs_hook=read_members, parse_int=float)


def _has_only_members_of(text: str | bytes, document: object) -> bool:
    """Return whether the text has no more colons than the objects of a flat document have members: the usual case."""
    if not isinstance(document, dict):
        return False
    members = len(document) + sum(len(value) for value in document.values() if isinstance(value, dict))
    return (text.count(":") if isinstance(text, str) else text.count(b":")) == members
