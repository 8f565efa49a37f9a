"""Which addresses reach one mailbox, and what of an address is shown."""

import pytest

from domain.values.identifiers import EmailAddress
from domain.values.persons.mailboxes import ALIAS_DOMAINS, DOTLESS_DOMAINS, find_mailbox, is_person_rule, mask_email


@pytest.mark.parametrize(
    ("typed", "mailbox"),
    [
        ("li@example.com", "li@example.com"),
        ("Li+Gift+2@Example.com", "li@example.com"),
        ("l.i@example.com", "l.i@example.com"),
        ("L.I.Wei+a@GoogleMail.com", "liwei@gmail.com"),
        ("li.wei@gmail.com", "liwei@gmail.com"),
        ("+li@example.com", "+li@example.com"),
        ("+l.i@gmail.com", "+li@gmail.com"),
        ("ｌｉ＋gift@example.com", "li@example.com"),
        ("ﬁn@example.com", "fin@example.com"),
        ("Ｌ．Ｉ@gmail.com", "li@gmail.com"),
        ("li@me.com", "li@icloud.com"),
        ("li@pm.me", "li@proton.me"),
        ("li@ya.ru", "li@yandex.ru"),
        ("li@hotmail.com", "li@hotmail.com"),
        ("李@例子.公司", "李@xn--fsqu00a.xn--55qx5d"),
    ],
)
def test_mailbox_joins_the_spellings_that_reach_one_inbox(typed: str, mailbox: str) -> None:
    """And no others: dots where a provider heeds them, and providers whose domains have accounts of their own."""
    assert find_mailbox(EmailAddress.parse(typed).normal) == mailbox
    assert find_mailbox(mailbox) == mailbox


def test_domains_of_providers_lead_to_one_that_stands_for_itself() -> None:
    assert {*ALIAS_DOMAINS.values()} & {*ALIAS_DOMAINS} == set()
    assert {ALIAS_DOMAINS.get(domain, domain) for domain in DOTLESS_DOMAINS} == {*DOTLESS_DOMAINS}


def test_person_rule_is_one_of_few_words() -> None:
    """The exact address is no rule: it is what counts without one."""
    assert [is_person_rule(text) for text in ("mailbox", "exact", "Mailbox", "")] == [True, False, False, False]


@pytest.mark.parametrize(
    ("address", "masked"),
    [("li.wei@example.com", "l***@example.com"), ("a@b.test", "a***@b.test"), ("李@example.com", "李***@example.com")],
)
def test_masked_address_shows_its_first_character_and_domain(address: str, masked: str) -> None:
    """Always three stars, so that the length is not told."""
    assert masked == mask_email(address)
