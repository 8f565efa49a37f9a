"""The mailbox behind an email address, by which limits per person may count: spellings that reach one inbox are one.

An address is always mailed and shown as it was typed; only limits use this form. Digests are taken of it, so it never
changes: stored digests would no longer match. Another form needs another rule next to `mailbox`.

It joins no more than providers document. Not joined, for example: Outlook, Hotmail and Live (each domain has accounts
of its own), the hyphens of Yahoo (they follow another name), and domains that a company hosts at a provider.
"""

import unicodedata
from collections.abc import Mapping
from typing import Final, Literal, get_args

PersonRule = Literal["mailbox"]
"""How a limit per person counts, if not by exact address."""
ALIAS_DOMAINS: Final[Mapping[str, str]] = {
    "googlemail.com": "gmail.com",
    "me.com": "icloud.com",
    "mac.com": "icloud.com",
    "protonmail.com": "proton.me",
    "protonmail.ch": "proton.me",
    "pm.me": "proton.me",
    "ya.ru": "yandex.ru",
    "yandex.com": "yandex.ru",
    "yandex.by": "yandex.ru",
    "yandex.kz": "yandex.ru",
}
"""Domains of one provider on which the same name is the same inbox, as of 2026-12.

- Google: support.google.com/mail/answer/10313, "Gmail or Googlemail".
- Apple: support.apple.com/en-us/118230, addresses of @icloud.com, @me.com and @mac.com of one account.
- Proton: proton.me/support/addresses-and-aliases, the same name is one user on all domains of Proton.
- Yandex: yandex.com/support/domain/additional/mailbox-alias.xml, each mailbox has its name on the domains of Yandex.
"""
DOTLESS_DOMAINS: Final = frozenset({"gmail.com"})
"""Where dots in the name make no difference: support.google.com/mail/answer/7436150, "Dots don't matter"."""
_HIDDEN: Final = "***"
"""Always three characters, so that the length of the name is not shown."""


def is_person_rule(text: str) -> bool:
    """Return whether a text is a rule of counting persons."""
    return text in get_args(PersonRule)


def find_mailbox(address: str) -> str:
    """Return the mailbox of an email address, which is in normal form.

    NFKC and lower case, without what follows a plus sign, and as the table of providers says.
    """
    name, _, domain = address.rpartition("@")
    domain = ALIAS_DOMAINS.get(domain, domain)
    if not name.isascii():
        name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).lower())
    untagged = name.partition("+")[0] or name
    if domain in DOTLESS_DOMAINS:
        untagged = untagged.replace(".", "") or untagged
    return f"{untagged}@{domain}"


def mask_email(address: str) -> str:
    """Return the first character and the domain of an email address: `l***@example.com`.

    The domain stays, because typing errors show there.
    """
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}{_HIDDEN}{at}{domain}"
