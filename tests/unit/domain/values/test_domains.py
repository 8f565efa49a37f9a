"""Domains: how terms write them and what they cover, how people read them, which were mistyped or are thrown away."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.values import mistyped_domains
from domain.values.domain_display import describe_domain, describe_domains, show_domain, show_domains
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
from domain.values.mistyped_domains import PROVIDERS, USED_NEIGHBORS, suggest_address, suggest_domain
from domain.values.persons import throwaway_domains
from domain.values.persons.throwaway_domains import is_throwaway, is_throwaway_rule, read_names


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


MISTYPED: Final = {
    "gmail.com": "gmial.com gmal.com gamil.com gmali.com gmai.com gnail.com gmail.con gmail.co gmail.cm gmial.con",
    "hotmail.com": "hotmial.com hotmai.com hotmil.com hotmal.com hotmail.con",
    "outlook.com": "outlok.com outllok.com outlook.con",
    "yahoo.com": "yaho.com yahooo.com yhaoo.com",
    "icloud.com": "icoud.com iclod.com icloud.con",
    "qq.com": "qq.con qq.cm qq.om qq.ocm",
    "163.com": "163.con 163.cm 163.om",
    "126.com": "126.con",
    "vip.qq.com": "vip.qq.con",
    "foxmail.com": "foxmial.com foxmal.com",
    "sina.com": "sina.con",
    "aliyun.com": "aliyum.com",
    "yeah.net": "yeah.ent",
}
REAL: Final = """
 mail.com email.com ymail.com gmx.com gmx.de gmx.at gmx.ch web.de t-online.de freenet.de mail.ru yandex.ru
ya.ru bk.ru inbox.ru list.ru rambler.ru orange.fr free.fr laposte.net wanadoo.fr sfr.fr hotmail.fr hotmail.de
hotmail.it hotmail.es hotmail.co.uk live.fr live.cn live.nl live.co.uk outlook.fr outlook.de outlook.jp
outlook.es yahoo.fr yahoo.de yahoo.cn yahoo.co.jp yahoo.co.uk yahoo.com.cn yahoo.com.br rocketmail.com
proton.me pm.me tutanota.com mailbox.org posteo.de hey.com mac.com aim.com comcast.net verizon.net att.net
cox.net sbcglobal.net bellsouth.net charter.net naver.com daum.net hanmail.net kakao.com nate.com docomo.ne.jp
softbank.ne.jp 188.com vip.163.com vip.126.com 163.net 263.net 126.net 21cn.net sina.cn sina.com.cn
vip.sina.com sohu.net vip.sohu.com 189.cn wo.cn wo.com.cn 10086.cn taobao.com tmall.com baidu.com
tencent.com bytedance.com huawei.com xiaomi.com jd.com meituan.com netease.com corp.netease.com
alibaba-inc.com tsinghua.edu.cn mails.tsinghua.edu.cn pku.edu.cn stu.pku.edu.cn sjtu.edu.cn zju.edu.cn
fudan.edu.cn ustc.edu.cn mail.ustc.edu.cn xjtu.edu.cn hku.hk ust.hk cuhk.edu.hk ntu.edu.tw example.com
example.org mit.edu stanford.edu ox.ac.uk cam.ac.uk ethz.ch tum.de google.com microsoft.com apple.com
amazon.com meta.com github.com gitlab.com mozilla.org debian.org python.org cloud.com line.com give.com
life.com like.com msn.cn ms.com aon.com aol.de aol.fr tim.com index.com yandex.kz yandex.by ukr.net seznam.cz
centrum.cz wp.pl o2.pl onet.pl interia.pl libero.it virgilio.it tiscali.it alice.it uol.com.br bol.com.br
terra.com.br sapo.pt telenet.be skynet.be ziggo.nl xs4all.nl bluewin.ch telia.com bigpond.com optusnet.com.au
shaw.ca rogers.com sympatico.ca pchome.com.tw hinet.net rediffmail.com
"""
"""Domains in use, chosen to be hard: providers of many countries, Chinese providers and portals whose names are three
digits, universities, employers, and companies whose names are one character away from a provider's.
"""


@pytest.mark.parametrize(
    ("typed", "meant"), [(typed, meant) for meant, texts in MISTYPED.items() for typed in texts.split()]
)
def test_mistyped_domain_is_traced_to_its_provider(typed: str, meant: str) -> None:
    assert suggest_domain(typed) == meant


def test_no_real_domain_is_asked_about() -> None:
    domains = REAL.split()
    questioned = {domain: meant for domain in (*domains, *PROVIDERS) if (meant := suggest_domain(domain))}

    assert len(domains) > 160
    assert questioned == {}


def test_each_exception_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    neighbors = USED_NEIGHBORS
    monkeypatch.setattr(mistyped_domains, "USED_NEIGHBORS", frozenset())

    assert [domain for domain in neighbors if suggest_domain(domain) is None] == []


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        ("Li.Wei+news@GMIAL.com", "Li.Wei+news@gmail.com"),
        (" li@qq.con ", "li@qq.com"),
        ("li@gmail.com", None),
        ("not an address", None),
        ("", None),
    ],
)
def test_suggested_address_keeps_its_local_part(typed: str, suggested: str | None) -> None:
    assert suggest_address(typed) == suggested


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
