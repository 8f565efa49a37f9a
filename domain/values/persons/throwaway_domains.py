"""Domains whose email addresses are thrown away soon, and what a campaign does about them."""

from collections.abc import Collection, Iterable
from typing import Final, Literal, get_args

from domain.values.email_domains import parents_of
from domain.values.identifiers import MalformedEmailError, domain_to_ascii

ThrowawayRule = Literal["flag", "refuse"]
"""What a campaign does about throw-away addresses, if not to allow them."""
NAMES_MAX: Final = 500_000
"""Most names in one file. The longest public lists have a third of that."""
_EVERY: Final = "*"


def is_throwaway_rule(text: str) -> bool:
    """Return whether a text is a rule about throw-away addresses."""
    return text in get_args(ThrowawayRule)


def is_throwaway(domain: str, listed: Collection[str]) -> bool:
    """Return whether a domain, in normal form, is one of those listed or a subdomain of one."""
    return domain in listed or any(parent in listed for parent in parents_of(domain))


def read_names(lines: Iterable[str], listed: frozenset[str] = frozenset()) -> frozenset[str]:
    """Return the names of a file together with those that are listed already.

    Args:
        lines: One name in each; `-name` removes one, and `-*` all that are listed. What follows a # is a comment.
        listed: Names to begin with.

    Raises:
        ValueError: A line is not a domain name, or there are too many; the message names the line.
    """
    names = set(listed)
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        name = text.removeprefix("-")
        if text.startswith("-") and name == _EVERY:
            names.clear()
            continue
        try:
            normal = domain_to_ascii(name)
        except MalformedEmailError as error:
            raise ValueError(f"line {number} is not a domain name such as example.com") from error
        if text.startswith("-"):
            names.discard(normal)
        else:
            names.add(normal)
        if len(names) > NAMES_MAX:
            raise ValueError(f"has more than {NAMES_MAX:,} names")
    return frozenset(names)
