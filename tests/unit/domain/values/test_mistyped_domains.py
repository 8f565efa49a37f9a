"""Mistyped domains of email addresses: which are asked about, and that real ones are not."""

from typing import Final

import pytest

from domain.values import mistyped_domains
from domain.values.mistyped_domains import PROVIDERS, USED_NEIGHBORS, suggest_address, suggest_domain

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
