"""Roles of staff, and the groups of an identity provider that have them."""

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal, get_args

Role = Literal["viewer", "support", "admin"]
RANK: Final[Mapping[str, int]] = {role: number for number, role in enumerate(get_args(Role), start=1)}
"""Roles in order; each may do what the ones before it may."""

_GROUP: Final = re.compile(rf"([^=,]+)=\s*({'|'.join(RANK)})")


def parse_group_roles(text: str) -> dict[str, Role]:
    """Parse `group=role,...`.

    Raises:
        ValueError: It has another form; the name of a group has no comma and no equals sign.
    """
    roles: dict[str, Role] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        match = _GROUP.fullmatch(part)
        if match is None or not match[1].strip():
            raise ValueError("write groups and their roles as ledger-admins=admin,helpdesk=support")
        roles[match[1].strip()] = match[2]  # type: ignore[assignment]  # the expression admits no other text
    return roles


def parse_required_roles(text: str) -> frozenset[Role]:
    """Parse the roles that need a second factor: `off`, or `admin,support`.

    Raises:
        ValueError: It has another form.
    """
    roles = [] if text.strip() in {"", "off"} else [part.strip() for part in text.split(",")]
    if not RANK.keys() >= set(roles):
        raise ValueError("write off, or roles as admin,support")
    return frozenset(roles)  # type: ignore[arg-type]  # each is a key of RANK


def highest_role(roles: Iterable[Role]) -> Role | None:
    """Return the role that may do the most; None of no roles."""
    return max(roles, key=RANK.__getitem__, default=None)
