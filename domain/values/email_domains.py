"""Domains of email addresses, as terms name them: `example.com` itself, or `*.example.com` for all its subdomains.

Names are compared in the normal form that addresses have, lower-case A-labels. A set of names is one text in normal
form, so that equal sets are equal texts wherever they are stored or compared.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, Literal, NamedTuple, NewType

from domain.values.identifiers import MalformedEmailError, domain_to_ascii

DomainNames = NewType("DomainNames", str)
"""Names in normal form, sorted, each once, with a space between two of them; never empty."""
NAMES_MAX: Final = 100
NAME_LENGTH_MAX: Final = 253
"""RFC 1035 2.3.4: 255 octets, less the length octet of the first label and the root's."""
DOMAINS_LENGTH_MAX: Final = NAMES_MAX * (NAME_LENGTH_MAX + len("*. "))
SUBDOMAINS: Final = "*."
"""Begins a name that stands for all subdomains of the domain behind it, and not for that domain itself."""
SETS_CACHED_MAX: Final = 1_024

DomainFault = Literal["domain_address", "domain_dot", "domain_star", "domain_name", "domain_count"]
FAULTS: Final[dict[DomainFault, str]] = {
    "domain_address": "has an email address: write only what follows its @",
    "domain_dot": "begins with a dot: for all subdomains of example.com write *.example.com",
    "domain_star": "has * in another place than as *. at its beginning: for all subdomains write *.example.com",
    "domain_name": "is not a domain name such as example.com",
    "domain_count": f"is not 1 to {NAMES_MAX} domain names",
}
"""What is wrong, as a sentence whose subject is left out: the name, or the field that it is in."""
_SEPARATORS: Final = re.compile(r"[\s,;]+")
_SHOWN_LENGTH_MAX: Final = 40


class DomainError(ValueError):
    """A text does not name domains. The message is a sentence whose subject, the field, is left out.

    Attributes:
        fault: Which rule it breaks.
        name: The beginning of the name that breaks it; empty if none does, or if it is an email address.
    """

    def __init__(self, fault: DomainFault, name: str = "") -> None:
        self.fault: DomainFault = fault
        self.name = name[:_SHOWN_LENGTH_MAX]
        super().__init__(f"has {self.name!a}, which {FAULTS[fault]}" if name else FAULTS[fault])


class _NameSet(NamedTuple):
    """A set of names in the form in which a domain is looked up: whole names, and domains whose subdomains it has."""

    names: frozenset[str]
    parents: frozenset[str]

    def covers(self, name: str) -> bool:
        """Return whether every domain that a name stands for is in the set."""
        if name.startswith(SUBDOMAINS):
            parent = name.removeprefix(SUBDOMAINS)
            return parent in self.parents or self._has_parent_of(parent)
        return name in self.names or self._has_parent_of(name)

    def _has_parent_of(self, domain: str) -> bool:
        return bool(self.parents) and any(parent in self.parents for parent in parents_of(domain))


def join_domains(names: Iterable[str]) -> DomainNames:
    """Return the set of names that were typed one by one.

    Raises:
        DomainError: One of them is not a name, or there are none or too many.
    """
    normal = {_normalize(name) for name in names}
    if not 0 < len(normal) <= NAMES_MAX:
        raise DomainError("domain_count")
    return DomainNames(" ".join(sorted(normal)))


def parse_domains(text: str) -> DomainNames:
    """Return the set of names of a text that has spaces, commas or semicolons between them.

    Raises:
        DomainError: As `join_domains`.
    """
    return join_domains(name for name in _SEPARATORS.split(text) if name)


def split_domains(domains: DomainNames) -> list[str]:
    """Return the names of a set, in order."""
    return domains.split(" ")


@lru_cache(maxsize=SETS_CACHED_MAX)
def is_domain_set(domains: str) -> bool:
    """Return whether a text is a set of names in normal form."""
    try:
        return parse_domains(domains) == domains
    except DomainError:
        return False


def admits_domain(domain: str, allowed: DomainNames | None, denied: DomainNames | None) -> bool:
    """Return whether terms admit addresses of a domain, which is in normal form. A denied name takes precedence.

    Args:
        domain: Of the address.
        allowed: The only domains that are admitted; None: every one.
        denied: Domains that are not admitted; None: no one.
    """
    if denied is not None and _set_of(denied).covers(domain):
        return False
    return allowed is None or _set_of(allowed).covers(domain)


def find_useless_name(allowed: DomainNames | None, denied: DomainNames | None) -> str | None:
    """Return an allowed name that is denied altogether, so that it can only be a mistake; None if there is none."""
    if allowed is None or denied is None:
        return None
    denied_set = _set_of(denied)
    return next((name for name in split_domains(allowed) if denied_set.covers(name)), None)


@lru_cache(maxsize=SETS_CACHED_MAX)
def _set_of(domains: DomainNames) -> _NameSet:
    names = split_domains(domains)
    parents = (name.removeprefix(SUBDOMAINS) for name in names if name.startswith(SUBDOMAINS))
    return _NameSet(frozenset(names), frozenset(parents))


def parents_of(domain: str) -> Iterator[str]:
    """Yield the domains that a domain is a subdomain of, the nearest first."""
    _, dot, parent = domain.partition(".")
    while dot:
        yield parent
        _, dot, parent = parent.partition(".")


def _normalize(typed: str) -> str:
    """Return one name in normal form.

    Raises:
        DomainError: It is not a name.
    """
    name = typed.strip()
    if "@" in name:
        raise DomainError("domain_address")  # an address is personal data, so no message repeats it
    if name.startswith("."):
        raise DomainError("domain_dot", name)
    is_parent = name.startswith(SUBDOMAINS)
    domain = name.removeprefix(SUBDOMAINS)
    if "*" in domain:
        raise DomainError("domain_star", name)
    try:
        # All subdomains of a top-level domain can be meant (*.edu), and an address has at least two labels.
        normal = domain_to_ascii(f"a.{domain}").removeprefix("a.") if is_parent else domain_to_ascii(domain)
    except MalformedEmailError as error:
        raise DomainError("domain_name", name) from error
    if len(normal) > NAME_LENGTH_MAX:
        raise DomainError("domain_name", name)
    return f"{SUBDOMAINS}{normal}" if is_parent else normal
