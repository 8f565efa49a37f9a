"""Domains of throw-away addresses: what a list covers, and how one is changed."""

import pytest

from domain.values.persons import throwaway_domains
from domain.values.persons.throwaway_domains import is_throwaway, is_throwaway_rule, read_names


@pytest.mark.parametrize(
    ("domain", "is_listed"),
    [
        ("mailinator.com", True),
        ("a.b.mailinator.com", True),
        ("notmailinator.com", False),
        ("mailinator.com.example", False),
        ("com", False),
    ],
)
def test_name_covers_its_subdomains(domain: str, *, is_listed: bool) -> None:
    assert is_throwaway(domain, frozenset({"mailinator.com"})) is is_listed


def test_lines_add_names_and_remove_names_that_are_listed() -> None:
    lines = ["# ours", "", "Throwaway.Example  # since May", "-b.example", "例子.公司"]

    assert read_names(lines, frozenset({"a.example", "b.example"})) == {
        "a.example",
        "throwaway.example",
        "xn--fsqu00a.xn--55qx5d",
    }
    assert read_names(["-*", "c.example"], frozenset({"a.example"})) == {"c.example"}


@pytest.mark.parametrize("line", ["li@example.com", "*.example.com", "localhost", "- a.example b.example"])
def test_line_that_is_no_domain_name_is_refused_with_its_number(line: str) -> None:
    """The line itself may hold personal data, so the message leaves it out."""
    with pytest.raises(ValueError, match=r"^line 2 is not a domain name such as example.com$"):
        read_names(["a.example", line])


def test_list_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not a list does not fill the memory."""
    monkeypatch.setattr(throwaway_domains, "NAMES_MAX", 2)

    assert len(read_names(["a.example", "b.example", "a.example"])) == 2
    with pytest.raises(ValueError, match="has more than 2 names"):
        read_names(["a.example", "b.example", "c.example"])


def test_rule_is_one_of_few_words() -> None:
    assert [is_throwaway_rule(word) for word in ("flag", "refuse", "allow", "")] == [True, True, False, False]
