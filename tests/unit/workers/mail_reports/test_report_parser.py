import random

import pytest

from domain.report_intake import REPORT_CHARS_MAX
from domain.values.mail.mail_token import MailRef, mail_token, read_mail_token
from tests.unit.workers.mail_reports.reports import (
    COMPLAINT,
    NOW,
    QMAIL,
    REF,
    SECRET,
    TOKEN,
    VACATION,
    status_report,
)
from workers.mail_reports.report_parser import REPORT_BYTES_MAX, parse_report


@pytest.mark.parametrize(
    ("status", "diagnostic", "reason", "code"),
    [
        ("5.1.1", "550 5.1.1 no such user", "mailbox_unknown", 550),
        ("5.2.2", "552 5.2.2 mailbox is full", "mailbox_full", 552),
        ("5.0.0", "550 5.1.2 bad domain", "domain_unknown", 550),
        ("5.7.1", "554 5.7.1 blocked by a list", "refused", 554),
        ("4.4.7", "delivery time expired", "expired", None),
        ("5.0.0", "no", "other", None),
    ],
)
def test_failed_notification_is_a_bounce_with_its_reason(
    status: str, diagnostic: str, reason: str, code: int | None
) -> None:
    report = parse_report(status_report("failed", status, diagnostic))

    assert report is not None
    assert (report.kind, report.reason, report.reply_code) == ("bounced", reason, code)
    assert read_mail_token(SECRET, report.tokens[0], NOW) == REF
    assert report.text.startswith("Reporting-MTA: dns; mx.example")


def test_delay_is_none_and_success_reports_nothing() -> None:
    delayed = parse_report(status_report("delayed", "4.4.1"))

    assert delayed is not None
    assert delayed.kind == "delayed"
    assert [parse_report(status_report(action)) for action in ("delivered", "relayed", "expanded", "")] == [None] * 4


def test_complaint_names_the_email_by_its_return_path() -> None:
    """The report itself goes to any address of ours."""
    report = parse_report(COMPLAINT.format(kind="abuse", token=TOKEN).encode())

    assert report is not None
    assert (report.kind, report.tokens) == ("complained", (TOKEN,))
    assert parse_report(COMPLAINT.format(kind="not-spam", token=TOKEN).encode()) is None


def test_old_servers_are_understood() -> None:
    report = parse_report(QMAIL.format(token=TOKEN).encode())

    assert report is not None
    assert (report.kind, report.reason, report.reply_code, report.tokens) == (
        "bounced",
        "mailbox_unknown",
        550,
        (TOKEN,),
    )
    assert report.text.startswith("Hi. This is the qmail-send program")
    assert "Subject: failure notice" in report.text


def test_vacation_notice_is_no_report() -> None:
    assert parse_report(VACATION.format(token=TOKEN).encode()) is None


def test_tokens_of_the_returned_message_come_last() -> None:
    """What the report was addressed to says more than what it quotes."""
    other = mail_token(SECRET, MailRef("invite", REF.subject_id, 2), NOW)
    content = status_report().replace(f"Return-Path: <bounces+{TOKEN}".encode(), f"Return-Path: <b+{other}".encode())

    report = parse_report(content)

    assert report is not None
    assert report.tokens == (TOKEN, other)


def test_report_about_a_report_is_about_the_outer_one() -> None:
    inner = status_report("failed", "5.1.1").decode().replace("--B", "--C").replace('"B"', '"C"')
    content = status_report("delayed", "4.4.1").decode()
    content = content.replace(
        "Content-Type: text/rfc822-headers\r\n\r\n", f"Content-Type: message/rfc822\r\n\r\n{inner}"
    )

    report = parse_report(content.encode())

    assert report is not None
    assert report.kind == "delayed"


def test_huge_report_is_read_to_a_bound() -> None:
    content = status_report() + b"x" * 10_000_000

    report = parse_report(content)

    assert report is not None
    assert (report.kind, len(report.text) <= REPORT_CHARS_MAX) == ("bounced", True)
    assert len(content) > REPORT_BYTES_MAX


def test_wrong_charset_of_a_report_is_no_obstacle() -> None:
    for charset, words in ((b"nonsense", b"\xff\xfe"), (b"utf-8", "\u9080\u8bf7\u672a\u9001\u8fbe".encode("gbk"))):
        content = status_report().replace(
            b"Content-Type: text/plain\r\n\r\n", b"Content-Type: text/plain; charset=%b\r\n\r\n%b" % (charset, words)
        )
        report = parse_report(content)

        assert report is not None
        assert (report.kind, report.tokens, report.reason) == ("bounced", (TOKEN,), "mailbox_unknown")
        assert report.text.encode().startswith(b"Reporting-MTA")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 1000,
        b"Content-Type: multipart/report; boundary=B\r\n\r\n" + b"--B\r\n" * 5000,
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(3000)),
        b"Content-Type: text/plain; charset=nonsense\r\n\r\n\xff\xfe",
        b"Subject: =?nonsense?q?x?=\r\nTo: =?utf-8?b?!!!?=\r\n\r\nhello",
        "Subject: \u9080\u8bf7\r\n\r\n\u4f60\u597d".encode("gbk"),
    ],
)
def test_malformed_message_reports_nothing(content: bytes) -> None:
    assert parse_report(content) is None


def test_damaged_reports_never_raise() -> None:
    seed = random.randrange(2**32)
    chance, content = random.Random(seed), status_report()
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(chance.randrange(1, 30)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            parse_report(bytes(damaged))
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
