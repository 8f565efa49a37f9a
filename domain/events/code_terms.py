"""The terms of a code. A term is declared here, once as a value and once as events store it.

What else a term needs: a row of `api.code_terms` (how people and files write it), a column, and its rule.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import fields, replace

from domain.events.event import Event
from domain.values.email_domains import DomainNames, find_useless_name, is_domain_set
from domain.values.limits.thresholds import Thresholds, are_thresholds
from domain.values.number_bounds import DAYS, REBINDS, USES, Bounds
from domain.values.timestamps import is_within_bounds


class CodeTerms(Struct, frozen=True, gc=False):
    """What a code promises. No term has a default, so nothing can leave one out by mistake.

    Attributes:
        max_uses: How many uses it has; no limit if absent.
        starts_at: When it begins to take reservations; from its issue on if absent.
        expires_at: When it stops taking new reservations; never if absent.
        validity_days: Days of access after the invitation; no end if absent.
        group: Name of the group that people are invited to; no group if absent.
        rebinds_max: How often each access that it gives may be moved; as often as the policy says if absent.
        allowed_domains: The only domains of email addresses that may redeem it; all if absent.
        denied_domains: Domains of email addresses that may not redeem it, even if they are allowed; none if absent.
        notify_at: Thresholds of its limit and before its end whose crossing is reported; none if absent.
    """

    max_uses: int | None
    starts_at: datetime | None
    expires_at: datetime | None
    validity_days: int | None
    group: str | None
    rebinds_max: int | None
    allowed_domains: DomainNames | None
    denied_domains: DomainNames | None
    notify_at: Thresholds | None


class TermsEvent(Event, frozen=True, kw_only=True):
    """An event that says all terms of a code. Each has its name in `CodeTerms`; None is left out when it is stored."""

    max_uses: int | None
    expires_at: datetime | None = None
    validity_days: int | None = None
    group: str | None = None
    rebinds_max: int | None = None
    starts_at: datetime | None = None
    allowed_domains: DomainNames | None = None
    denied_domains: DomainNames | None = None
    notify_at: Thresholds | None = None

    @property
    def terms(self) -> CodeTerms:
        """The terms as one value."""
        # Spelled out, and mypy misses none: reading the names in a loop takes twice as long in every rebuild.
        return CodeTerms(
            max_uses=self.max_uses,
            starts_at=self.starts_at,
            expires_at=self.expires_at,
            validity_days=self.validity_days,
            group=self.group,
            rebinds_max=self.rebinds_max,
            allowed_domains=self.allowed_domains,
            denied_domains=self.denied_domains,
            notify_at=self.notify_at,
        )


TERM_NAMES: Final = tuple(field.name for field in fields(CodeTerms))
"""Every term, in the order of `CodeTerms`."""
BOUNDS: Final[Mapping[str, Bounds]] = {"max_uses": USES, "validity_days": DAYS, "rebinds_max": REBINDS}
"""Bounds of the terms that are numbers."""
NO_TERMS: Final = CodeTerms(**dict.fromkeys(CodeTerms.__struct_fields__))
"""No term: everywhere None."""
SINGLE_USE: Final = replace(NO_TERMS, max_uses=1)
"""The terms of a code for which nothing else is said."""
DOMAIN_TERMS: Final = frozenset(field.name for field in fields(CodeTerms) if field.type == DomainNames | None)
"""Terms that are sets of domains."""
Contradiction = Literal["starts_after_end", "domains_overlap"]
BLAMED_TERM: Final[Mapping[Contradiction, str]] = {"starts_after_end": "starts_at", "domains_overlap": "denied_domains"}
"""The term that a form or a file marks where two of them contradict each other."""

Check = Callable[[Any], bool]
_CHECKS: Final[Mapping[object, Check]] = {
    datetime | None: is_within_bounds,
    DomainNames | None: is_domain_set,
    Thresholds | None: are_thresholds,
}
"""Whether a value lies within the bounds of a term, by the type of the term."""
_CHECKED_BY_COMMANDS: Final = frozenset({"group"})
"""Terms that commands check when they are created (`NamesGroup`)."""


def list_checks(
    terms: type[Struct], bounds: Mapping[str, Bounds], texts: Mapping[str, Check] = MappingProxyType({})
) -> Mapping[str, Check]:
    """Return the check of each term that has values to check, by its name.

    Args:
        terms: The terms.
        bounds: Bounds of those that are numbers.
        texts: Checks of those that are texts.

    Raises:
        TypeError: A term has no check.
    """
    by_name = {name: each.holds for name, each in bounds.items()} | dict(texts)
    checks = {field.name: by_name.get(field.name) or _CHECKS.get(field.type) for field in fields(terms)}
    for name, check in checks.items():
        if check is None and name not in _CHECKED_BY_COMMANDS:
            what_to_do = "give a number bounds, and a text its check. Free text belongs in the vault, as notes do"
            raise TypeError(f"the values of {terms.__name__}.{name} are not checked: {what_to_do}")
    return {name: check for name, check in checks.items() if check is not None}


CHECKS: Final = list_checks(CodeTerms, BOUNDS)


def find_invalid_term(terms: Mapping[str, object], checks: Mapping[str, Check] = CHECKS) -> str | None:
    """Return the name of a term that lies outside its bounds; None if there is none. None as a value bounds nothing."""
    for name, value in terms.items():
        if value is not None and name in checks and not checks[name](value):
            return name
    return None


def find_contradictions(terms: CodeTerms) -> list[Contradiction]:
    """Return every reason why terms exclude one another, so that a use which they promise could never be redeemed."""
    contradictions: list[Contradiction] = []
    if terms.starts_at is not None and terms.expires_at is not None and terms.starts_at >= terms.expires_at:
        contradictions.append("starts_after_end")
    if find_useless_name(terms.allowed_domains, terms.denied_domains) is not None:
        contradictions.append("domains_overlap")
    return contradictions
