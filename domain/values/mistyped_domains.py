"""Which well-known mailbox provider a mistyped email domain may have meant: `gmial.com` is probably `gmail.com`.

The result is only ever a question to the person who typed the address. A wrong suggestion costs one click, and a
missing one costs an email that never arrives, so the rule is wide where real domains are rare and narrow elsewhere:

- The ending may have one error if all that precedes it is a provider's name (`163.con`). Only `com` and `net` are
  compared: `cn` and `de` have neighbors that are countries.
- The name may have one error if it has at least five characters (`gmial.com`). Shorter names have real domains all
  around them: `126.com` and `163.com`, `live.com` and `line.com`.
- Domains that people really use, but that the rules above would question, are listed.
"""

from typing import Final

from domain.values.identifiers import EmailAddress, MalformedEmailError
from domain.values.similar_texts import count_errors

PROVIDERS: Final = (
    *("gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "msn.com", "yahoo.com", "icloud.com"),
    *("me.com", "aol.com", "protonmail.com", "fastmail.com", "yandex.com", "gmx.net", "zoho.com"),
    *("qq.com", "vip.qq.com", "foxmail.com", "163.com", "126.com", "yeah.net", "sina.com", "sohu.com", "aliyun.com"),
    *("139.com", "21cn.com", "tom.com"),
)
"""Common providers of mailboxes, worldwide and in China. A few names cover nearly all typing errors."""
USED_NEIGHBORS: Final = frozenset({"mail.com", "email.com", "ymail.com", "cloud.com"})
"""Domains with mailboxes that the rules would question."""
NAME_LENGTH_MIN: Final = 5
_ENDINGS: Final = frozenset({"com", "net"})


def suggest_address(typed: str) -> str | None:
    """Return the address that was probably meant, with its local part as typed; None if nothing is suspicious."""
    try:
        address = EmailAddress.parse(typed)
    except MalformedEmailError:
        return None
    domain = suggest_domain(address.domain)
    return f"{address.typed.rpartition('@')[0]}@{domain}" if domain else None


def suggest_domain(domain: str) -> str | None:
    """Return the provider's domain that was probably meant; None if the domain is one, or resembles none.

    Args:
        domain: In normal form.
    """
    if domain in PROVIDERS or domain in USED_NEIGHBORS:
        return None
    name, _, ending = domain.rpartition(".")
    candidates = [provider for provider in PROVIDERS if _may_mean(name, ending, provider)]
    return min(candidates, key=lambda provider: count_errors(domain, provider), default=None)


def _may_mean(name: str, ending: str, provider: str) -> bool:
    its_name, _, its_ending = provider.rpartition(".")
    name_errors, ending_errors = count_errors(name, its_name), count_errors(ending, its_ending)
    has_same_ending = ending_errors == 0 or (ending_errors == 1 and its_ending in _ENDINGS)
    return has_same_ending and (name_errors == 0 or (name_errors == 1 and len(its_name) >= NAME_LENGTH_MIN))
