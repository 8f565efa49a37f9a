"""What strangers send to the bounce address costs at most 0.2 s of CPU time per megabyte, whatever it holds.

Before reports were bounded, 0.5 MB of nested parts cost 6 s on a quick machine, and 150 s on the one of its finder.
"""

import time
from collections.abc import Iterator
from typing import Final

import pytest

from workers.mail_reports.report_parser import REPORT_BYTES_MAX, parse_report

pytestmark = pytest.mark.night(of="extremes")

SECONDS_PER_MB: Final = 0.2
START: Final = b"Subject: Undelivered\r\n\r\n"
MIXED: Final = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
STATUS: Final = b"--b\r\nContent-Type: message/delivery-status\r\n\r\n"
NESTED: Final = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(900))


def hostile_messages() -> Iterator[tuple[str, bytes, bytes]]:
    """A name, a beginning, and what is repeated until the message is as long as is read."""
    yield "innermost boundaries of nested parts", NESTED, b"--b899\r\n"
    yield "short lines in nested parts", NESTED[:3000], b"\n"
    yield "parts", MIXED, b"--b\r\nContent-Type: text/plain\r\n\r\nHi <a@b.c>\r\n"
    yield "empty parts", MIXED, b"--b\r\n"
    yield "messages in messages", b"", b"Content-Type: message/rfc822\r\n\r\n"
    yield "blocks of a status", MIXED + STATUS, b"Action: failed\r\n\r\n"
    yield "headers", b"", b"To: a@b.c\r\n"
    yield "folded header", b"X-Failed-Recipients: a@b.c\r\n", b" , a@b.c\r\n"
    yield "long header", b"X-Failed-Recipients: ", b"a@b.c, "
    yield "parameters", b"Content-Type: multipart/mixed; ", b"a=b; "
    yield "folded parameters", b"Content-Type: multipart/mixed;\r\n", b' a="b;";\r\n'
    yield "lines of an old server", b"From: mailer-daemon@yahoo.com\r\n" + START, b"<a@b.c>:\n"
    yield "addresses", START, b"<a@b.c>\n"
    yield "status codes", START, b"5.1.1"
    yield "spaces", START, b" "
    yield "octets that are no text", START, b"\xff"


@pytest.mark.parametrize(("begins", "repeats"), [pytest.param(*more, id=name) for name, *more in hostile_messages()])
def test_hostile_message_costs_little(begins: bytes, repeats: bytes) -> None:
    content = begins + repeats * (REPORT_BYTES_MAX // len(repeats))
    began = time.process_time()

    parse_report(content)

    assert time.process_time() - began < SECONDS_PER_MB * len(content) / 1_000_000
