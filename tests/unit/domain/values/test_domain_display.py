"""Domains as people read them: in Unicode with the stored form, and as stored where they could be taken for others."""

import pytest

from domain.values.domain_display import describe_domain, describe_domains, show_domain, show_domains
from domain.values.email_domains import parse_domains


@pytest.mark.parametrize(
    "typed",
    [
        *("bücher.example", "*.bücher.example", "*.公司", "例子.公司", "faß.de", "пример.рф", "толстой.ru"),
        *("πλάτων.gr", "コマース.jp", "日本々.jp", "hello中国.com", "한글hello.kr", "đại.vn", "भारत.com", "a.ü.com"),
    ],
)
def test_domain_of_one_script_is_shown_in_unicode_and_named_by_both_forms(typed: str) -> None:
    """What is shown names the same domain where it is typed again."""
    stored = parse_domains(f" {typed} ")

    assert show_domain(stored) == typed
    assert describe_domain(stored) == f"{typed} ({stored})"
    assert parse_domains(show_domains(stored)) == stored


@pytest.mark.parametrize(
    "typed",
    [
        "аррӏе.com",  # Cyrillic letters alone that read as apple
        "ρου.com",  # Greek ones that read as pou
        "pаypal.com",  # one Cyrillic letter among Latin ones
        "γreek.com",
        "viɡ.com",  # a phonetic g
        "ıo.com",
        "ᏣᎳ.com",  # not a recommended script
        "मa.com",
    ],
)
def test_domain_that_can_be_taken_for_another_is_shown_as_it_is_stored(typed: str) -> None:
    """So do browsers with such labels."""
    stored = parse_domains(typed)

    assert stored.startswith("xn--")
    assert describe_domain(stored) == show_domain(stored) == stored


def test_labels_are_decided_one_by_one_and_plain_names_are_left_as_they_are() -> None:
    domains = parse_domains("аррӏе.bücher.example example.com *.edu")

    assert describe_domains(domains) == (
        "*.edu, example.com, xn--80ak6aa92e.bücher.example (xn--80ak6aa92e.xn--bcher-kva.example)"
    )
    assert [show_domain(name) for name in ("xn--a.com", "xn--.com", "example.com")] == [
        *("xn--a.com", "xn--.com", "example.com")
    ]
