"""What emails say, and that an email is the same to the last octet on every try."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from hashlib import sha256
from pathlib import Path
from typing import get_args

import pytest

from domain.ports import Language, OutboundMessage, Template
from domain.values.identifiers import EmailAddress
from tests.support.channel_builders import MAIL_FROM, MESSAGE, channel_to
from tests.support.servers.mail_server import Disconnect, MailServer
from tests.support.waiting import WAIT_S_MAX
from workers.channels.mail_message import message_bytes
from workers.channels.smtp.addresses import MailFrom

ROOT = Path(__file__).parents[4]
LINK = "https://ledger.example.com/a/AZLwwStcS9GPPzxKfS6bEAABzR0"
WITH_CODE = replace(MESSAGE, code="MCM1-PRY5-KC9W-VE1A-S4PD")
"""What each template can show, as emails of hand-outs do."""
ALL = [(template, language) for template in get_args(Template) for language in get_args(Language)]


def _written(message: OutboundMessage) -> bytes:
    return message_bytes(message, MailFrom.parse(MAIL_FROM).header)


def _read(message: OutboundMessage) -> EmailMessage:
    return message_from_bytes(_written(message), policy=default)


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    content: str = part.get_content()
    return content


@pytest.mark.parametrize(("template", "language"), ALL)
@pytest.mark.parametrize("group", [None, "设计 & <b>"], ids=["no-group", "group"])
def test_text_and_html_say_the_same_with_the_link(template: Template, language: Language, group: str | None) -> None:
    """Each template has both parts in its language, each with the link and the group; operators' has no group."""
    group = None if template == "threshold_digest" else group
    message = _read(replace(WITH_CODE, template=template, language=language, group=group))
    text, html = _part(message, "plain"), _part(message, "html")

    assert message.get_content_type() == "multipart/alternative"
    assert LINK in text
    assert f'href="{LINK}"' in html
    assert (group or "") in text
    assert "<b>" not in html
    assert ("&lt;b&gt;" in html) == (group is not None)
    assert [language == "zh"] * 2 == [bool(re.search("[一-鿿]", part.replace("设计", ""))) for part in (text, html)]


def test_another_process_writes_the_same_octets() -> None:
    """Nothing in an email comes from the process, its clock, its time zone or its randomness."""
    program = "from tests.integration.workers.channels.test_mail_message import digest_all; print(digest_all())"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Shanghai", "PYTHONPATH": str(ROOT)}
    other = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, check=True, timeout=WAIT_S_MAX
    )

    assert other.stdout.decode().strip() == digest_all()


def digest_all() -> str:
    """A digest of each template in each language, written twice."""
    messages = [replace(WITH_CODE, template=template, language=language) for template, language in ALL]
    digests = [sha256(b"".join(map(_written, messages))).hexdigest() for _ in range(2)]
    assert digests[0] == digests[1]
    return digests[0]


def test_every_try_puts_the_same_octets_on_the_wire(mail_server: MailServer) -> None:
    """A try whose answer was lost and the next one are equal."""
    mail_server.at("dot", Disconnect(), times=1)
    with channel_to(mail_server.url) as channel:
        channel.send(MESSAGE)
        channel.send(MESSAGE)
    first, second = mail_server.received

    assert first.content == second.content


def test_headers_are_those_of_the_message() -> None:
    """Ids, date, sender and recipient are what the email and the settings say."""
    message = _read(MESSAGE)

    assert MESSAGE.message_id == message["Message-ID"]
    assert datetime(2026, 11, 24, 8, 30, tzinfo=UTC) == message["Date"].datetime
    assert message["From"] == MAIL_FROM
    assert message["To"] == "li.wei@example.com"
    assert message["Subject"] == "您的邀请：加入 design"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "zh"


def test_long_ids_and_addresses_stay_whole() -> None:
    """No header is folded inside an id or an address, however long."""
    message_id = f"<{MESSAGE.reservation_id}.1@{'long-domain.' * 12}example.com>"
    recipient = f"{'a' * 64}@{'long-domain.' * 14}example.com"
    lines = _written(replace(MESSAGE, message_id=message_id, recipient=EmailAddress.parse(recipient))).split(b"\r\n")

    assert f"Message-ID: {message_id}".encode() in lines
    assert f"To: {recipient}".encode() in lines


def test_long_subjects_are_folded_and_come_out_whole() -> None:
    """A long group name makes encoded words of at most 76 characters a line."""
    group = "很长的团队名称" * 20
    message = replace(MESSAGE, group=group)
    head = _written(message).partition(b"\r\n\r\n")[0]

    assert f"您的邀请：加入 {group}" == _read(message)["Subject"]
    assert max(map(len, head.split(b"\r\n"))) <= 78


@pytest.mark.parametrize("mark", ["\r\n", "\n", "\r", "\v", "\x85", "\u2028", "\x00"])
def test_group_name_can_not_add_a_header(mark: str) -> None:
    """Line breaks of every kind in a group's name become spaces."""
    message = _read(replace(MESSAGE, language="en", group=f"a{mark}Bcc: b@example.com"))

    assert None is message["Bcc"]
    assert "Your invitation to a" in message["Subject"]


@pytest.mark.parametrize("mark", ["\r\n", "\n", "\r", "\r\n ", "\r\n\r\n"])
def test_message_id_can_not_add_a_header(mark: str) -> None:
    """A Message-ID with a line break is a mistake of the caller and never written."""
    outbound = replace(MESSAGE, message_id=f"<1@example.com>{mark}Bcc: b@example.com")
    try:
        message = _read(outbound)
    except ValueError:
        return

    assert None is message["Bcc"]


@pytest.mark.parametrize(("template", "language"), ALL)
def test_message_is_seven_bit_with_crlf_and_short_lines(template: Template, language: Language) -> None:
    """Every server can carry it: ASCII, CRLF only, no line above RFC 5322's 78, the encoded ones at most 76."""
    octets = _written(replace(WITH_CODE, template=template, language=language, group="设计"))

    assert octets.isascii()
    assert octets.endswith(b"\r\n")
    assert octets.count(b"\n") == octets.count(b"\r\n") == octets.count(b"\r")
    head, _, body = octets.partition(b"\r\n\r\n")
    assert max(map(len, head.split(b"\r\n"))) <= 78
    assert max(map(len, body.split(b"\r\n"))) <= 76


@pytest.mark.parametrize(("language", "start"), [("en", "Test: "), ("zh", "测试：")])
def test_subject_of_a_test_says_so(language: Language, start: str) -> None:
    """Before the subject that recipients get, also before a group's own one; theirs has no such word."""
    for subject in ("", "100% <free> & yours"):
        message = replace(MESSAGE, language=language, subject=subject)
        usual = _read(message)["Subject"]

        assert _read(replace(message, is_test=True))["Subject"] == f"{start}{usual}"
        assert not usual.startswith(start)


@pytest.mark.parametrize("is_test", [False, True])
def test_no_cache_keeps_a_message(*, is_test: bool) -> None:
    """It has an address and a code, which an erasure could not reach there."""
    message = replace(WITH_CODE, is_test=is_test)
    referrers = sys.getrefcount(message)
    _written(message)

    assert sys.getrefcount(message) == referrers
