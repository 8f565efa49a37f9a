"""Domains in terms: how they are written, what they cover, and which mistakes are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.values.email_domains import (
    NAMES_MAX,
    DomainError,
    DomainFault,
    admits_domain,
    find_useless_name,
    is_domain_set,
    join_domains,
    parse_domains,
    split_domains,
)
from domain.values.identifiers import EmailAddress


@pytest.mark.parametrize(
    ("typed", "normal"),
    [
        ("example.com", "example.com"),
        (" Example.COM ", "example.com"),
        ("b.example,a.example;c.example\td.example", "a.example b.example c.example d.example"),
        ("a.example a.example A.example", "a.example"),
        ("*.example.com", "*.example.com"),
        ("*.edu", "*.edu"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("*.Bücher.Example", "*.xn--bcher-kva.example"),
        ("*.中国", "*.xn--fiqs8s"),
        ("例え。jp", "xn--r8jz45g.jp"),
    ],
)
def test_domains_have_one_normal_form(typed: str, normal: str) -> None:
    assert parse_domains(typed) == normal
    assert is_domain_set(normal)
    assert join_domains(split_domains(parse_domains(typed))) == normal


@pytest.mark.parametrize(
    ("typed", "fault"),
    [
        ("", "domain_count"),
        (" , ;", "domain_count"),
        (" ".join(f"d{n}.example" for n in range(NAMES_MAX + 1)), "domain_count"),
        ("li.wei@example.com", "domain_address"),
        ("@example.com", "domain_address"),
        (".example.com", "domain_dot"),
        ("*", "domain_star"),
        ("*example.com", "domain_star"),
        ("*.*.example.com", "domain_star"),
        ("mail.*.com", "domain_star"),
        ("*.", "domain_name"),
        ("localhost", "domain_name"),
        ("example.com.", "domain_name"),
        ("https://example.com", "domain_name"),
        ("exam_ple.com", "domain_name"),
        ("192.0.2.1", "domain_name"),
        (f"{'a' * 64}.com", "domain_name"),
        (".".join(["a" * 60] * 5), "domain_name"),
        ("xn--zz.example", "domain_name"),
    ],
)
def test_mistake_is_refused_by_its_kind(typed: str, fault: DomainFault) -> None:
    """One mistake among good names is enough, and no message repeats an address."""
    with pytest.raises(DomainError) as raised:
        parse_domains(typed)

    assert raised.value.fault == fault
    assert "li.wei" not in str(raised.value)
    assert not is_domain_set(typed)
    if fault != "domain_count":
        with pytest.raises(DomainError):
            parse_domains(f"good.example {typed}")


@pytest.mark.parametrize(
    ("allowed", "denied", "admitted", "refused"),
    [
        (None, None, ["example.com", "a.b"], []),
        ("example.com", None, ["example.com"], ["mail.example.com", "example.org", "badexample.com", "com"]),
        ("*.example.com", None, ["mail.example.com", "a.b.example.com"], ["example.com", "badexample.com"]),
        ("*.edu", None, ["mit.edu", "cs.mit.edu"], ["edu.example", "edu"]),
        (None, "example.com", ["example.org", "mail.example.com"], ["example.com"]),
        (None, "*.example.com", ["example.com"], ["mail.example.com"]),
        ("*.example.com", "bad.example.com", ["good.example.com"], ["bad.example.com"]),
    ],
)
def test_names_cover_exactly_their_domains(
    allowed: str | None, denied: str | None, admitted: list[str], refused: list[str]
) -> None:
    sets = [None if names is None else parse_domains(names) for names in (allowed, denied)]

    assert [domain for domain in [*admitted, *refused] if admits_domain(domain, *sets)] == admitted


LABELS = st.sampled_from(["a", "b", "example", "com"])
DOMAINS = st.lists(LABELS, min_size=2, max_size=4).map(".".join)
NAMES = st.builds("{}{}".format, st.sampled_from(["", "*."]), DOMAINS)
SETS = st.lists(NAMES, min_size=1, max_size=4).map(join_domains)


@given(SETS, DOMAINS)
def test_covering_matches_the_comparison_of_ends(names: str, domain: str) -> None:
    """A reference that knows no sets: equal, or an end after a dot."""
    domains = parse_domains(names)

    covered = any(domain.endswith(name[1:]) if name[0] == "*" else domain == name for name in names.split(" "))

    assert admits_domain(domain, domains, None) is covered
    assert admits_domain(domain, None, domains) is not covered


@given(SETS, SETS, DOMAINS)
def test_useless_name_admits_no_domain(allowed: str, denied: str, domain: str) -> None:
    """What is refused when terms are set could never be used; nothing else is refused."""
    allowed_set, denied_set = parse_domains(allowed), parse_domains(denied)
    useless = find_useless_name(allowed_set, denied_set)

    if useless is not None:
        assert not admits_domain(domain, parse_domains(useless), denied_set)
    else:
        for name in split_domains(allowed_set):
            fresh = name.replace("*.", "unlisted.")
            assert admits_domain(fresh, allowed_set, denied_set)


def test_domain_is_compared_as_addresses_write_it() -> None:
    address = EmailAddress.parse("Li.Wei@BÜCHER.example")

    assert address.domain == "xn--bcher-kva.example"
    assert admits_domain(address.domain, parse_domains("bücher.example"), None)
