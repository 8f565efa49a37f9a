"""What a caller of the API may do: scopes, and roles as sets of them (docs/reference/roles-and-scopes.md)."""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, get_args

Scope = Literal[
    "codes:read",
    "codes:write",
    "codes:issue",
    "redeem",
    "redeem:batch",
    "reservations:read",
    "reservations:write",
    "refunds:write",
    "cases:read",
    "events:read",
    "admin",
]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

_VIEWER: Final[frozenset[Scope]] = frozenset({"codes:read", "reservations:read", "events:read"})
_SUPPORT: Final[frozenset[Scope]] = _VIEWER | {
    "codes:write",
    "redeem",
    "redeem:batch",
    "reservations:write",
    "refunds:write",
    "cases:read",
}
GRANTS: Final[Mapping[str, frozenset[Scope]]] = {
    "viewer": _VIEWER,
    "support": _SUPPORT,
    "admin": frozenset(SCOPES),
}
"""Scopes of the roles: of staff, and of keys that were created with a role instead of scopes."""


def scopes_of(role: str, named: Iterable[str] | None) -> frozenset[Scope]:
    """Return a key's scopes: those that it names, else those of its role. `admin` grants everything."""
    if named is None:
        return GRANTS.get(role, frozenset())
    scopes = frozenset(scope for scope in SCOPES if scope in set(named))
    return frozenset(SCOPES) if "admin" in scopes else scopes
