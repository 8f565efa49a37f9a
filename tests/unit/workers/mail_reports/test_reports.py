import logging
import random
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from domain.command_bus import Command
from domain.commands.context import CommandContext
from domain.commands.delivery.record_bounce import RecordMailReport
from domain.errors import NoSuchCampaign
from domain.report_intake import REPORT_CHARS_MAX, MailReport, ReportIntake
from domain.results import Result
from domain.values.mail.mail_token import MailRef, mail_token, read_mail_token
from projections.database.errors import StorageUnavailableError
from tests.support.ledger.scenario import Scenario
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
from workers.mail_reports import take_reports
from workers.mail_reports.report_mailbox import Mailbox, MailboxError
from workers.mail_reports.report_mailbox_url import MailboxUrl
from workers.mail_reports.report_parser import (
    DELIMITERS_MAX,
    FOLDS_MAX,
    LINE_BYTES_MAX,
    LINES_MAX,
    REPORT_BYTES_MAX,
    TYPES_MAX,
    bound_report,
    parse_report,
)
from workers.mail_reports.take_reports import take_mailbox


def read(content: bytes) -> MailReport:
    report = parse_report(content)
    assert report is not None
    return report


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
    report = read(status_report("failed", status, diagnostic))

    assert (report.kind, report.reason, report.reply_code) == ("bounced", reason, code)
    assert read_mail_token(SECRET, report.tokens[0], NOW) == REF
    assert report.text.startswith("Reporting-MTA: dns; mx.example")


def test_delay_is_none_and_success_reports_nothing() -> None:
    assert read(status_report("delayed", "4.4.1")).kind == "delayed"
    assert [parse_report(status_report(action)) for action in ("delivered", "relayed", "expanded", "")] == [None] * 4


def test_complaint_names_the_email_by_its_return_path() -> None:
    """The report itself goes to any address of ours."""
    report = read(COMPLAINT.format(kind="abuse", token=TOKEN).encode())

    assert (report.kind, report.tokens) == ("complained", (TOKEN,))
    assert parse_report(COMPLAINT.format(kind="not-spam", token=TOKEN).encode()) is None


def test_old_servers_are_understood() -> None:
    report = read(QMAIL.format(token=TOKEN).encode())

    assert (report.kind, report.reason, report.reply_code) == ("bounced", "mailbox_unknown", 550)
    assert report.tokens == (TOKEN,)
    assert report.text.startswith("Hi. This is the qmail-send program")
    assert "Subject: failure notice" in report.text


def test_vacation_notice_is_no_report() -> None:
    assert parse_report(VACATION.format(token=TOKEN).encode()) is None


def test_tokens_of_the_returned_message_come_last() -> None:
    """What the report was addressed to says more than what it quotes."""
    other = mail_token(SECRET, MailRef("invite", REF.subject_id, 2), NOW)
    content = status_report().replace(f"Return-Path: <bounces+{TOKEN}".encode(), f"Return-Path: <b+{other}".encode())

    report = read(content)

    assert report.tokens == (TOKEN, other)


def test_report_about_a_report_is_about_the_outer_one() -> None:
    inner = status_report("failed", "5.1.1").decode().replace("--B", "--C").replace('"B"', '"C"')
    content = status_report("delayed", "4.4.1").decode()
    content = content.replace(
        "Content-Type: text/rfc822-headers\r\n\r\n", f"Content-Type: message/rfc822\r\n\r\n{inner}"
    )

    report = read(content.encode())

    assert report.kind == "delayed"


def test_huge_report_is_read_to_a_bound() -> None:
    content = status_report() + b"x" * 10_000_000

    report = read(content)

    assert (report.kind, len(report.text) <= REPORT_CHARS_MAX) == ("bounced", True)
    assert len(content) > REPORT_BYTES_MAX


@pytest.mark.parametrize(
    "repeats",
    [
        *(b"\n", b"To: a\n", b" folded\n", b"--b\n", b"Content-Type: message/rfc822\n\n", b"x"),
        b"CONTENT-TYPE: multipart/mixed; boundary=b\n\n--b\n",
    ],
)
def test_nothing_that_a_stranger_repeats_is_read_beyond_its_bound(repeats: bytes) -> None:
    """Each costs the parser more than its share: lines, folds, parts, and what is nested."""
    content = bound_report(repeats * 100_000)

    lines = content.split(b"\n")
    assert (len(lines) <= LINES_MAX, max(map(len, lines)) <= LINE_BYTES_MAX) == (True, True)
    assert content.lower().count(b"content-type:") <= TYPES_MAX
    assert content.count(b"--b") <= DELIMITERS_MAX
    assert content.count(b" folded") <= FOLDS_MAX


def test_report_before_what_is_beyond_a_bound_is_read() -> None:
    for repeats in (b"\n", b"--B\n", b"Content-Type: text/plain\n"):
        report = parse_report(status_report() + repeats * 10_000)

        assert report is not None
        assert (report.kind, report.tokens) == ("bounced", (TOKEN,))


def test_wrong_charset_of_a_report_is_no_obstacle() -> None:
    for charset, words in ((b"nonsense", b"\xff\xfe"), (b"utf-8", "\u9080\u8bf7\u672a\u9001\u8fbe".encode("gbk"))):
        content = status_report().replace(
            b"Content-Type: text/plain\r\n\r\n", b"Content-Type: text/plain; charset=%b\r\n\r\n%b" % (charset, words)
        )
        report = read(content)

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
    chance, content = random.Random(7), status_report()
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(chance.randrange(1, 30)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        parse_report(bytes(damaged))


VACATIONS = VACATION.format(token="x").encode()


class Drafted:
    def __init__(self, text: str, text_id: UUID, reservation_id: UUID | None) -> None:
        self.text, self.text_id, self.reservation_id = text, text_id, reservation_id


@dataclass
class FakeMailbox:
    contents: list[bytes]
    breaks_at: int | None = None
    fates: list[str] = field(default_factory=list)

    def messages(self) -> Iterator[bytes]:
        for number, content in enumerate(self.contents[len(self.fates) :]):
            if number == self.breaks_at:
                raise MailboxError("connection lost")
            yield content

    def remove(self) -> None:
        self.fates.append("removed")

    def set_aside(self) -> None:
        self.fates.append("set aside")


def run(
    mailbox: FakeMailbox, *, is_away: bool = False, stop_after: int = 100_000, begun: list[Command] | None = None
) -> dict[str, int]:
    """Take a mailbox in, once; the numbers of outcomes. `begun` gets the commands."""
    scenario = Scenario()
    result: Result = scenario.bounce(scenario.sent())
    begun = [] if begun is None else begun

    def execute(commands: Sequence[Command]) -> Sequence[Result]:
        if is_away:
            raise StorageUnavailableError("away")
        begun.extend(commands)
        return [result]

    def open_box() -> AbstractContextManager[Mailbox]:
        return nullcontext(mailbox)

    intake = ReportIntake(SECRET, execute, Drafted, uuid4, lambda _: True, lambda _: None, lambda _: NoSuchCampaign())
    context = CommandContext(now=NOW, actor="worker", actor_id="mailbox")
    return dict(take_mailbox(open_box, intake, lambda: context, lambda: len(mailbox.fates) >= stop_after))


def test_reports_are_removed_and_other_messages_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(take_reports, "MESSAGES_MAX", 4)
    mailbox = FakeMailbox([status_report(), VACATIONS, status_report(token="a" * 47), b"\xff"])

    assert run(mailbox) == {"taken": 1, "no_report": 2, "no_token": 1}
    assert mailbox.fates == ["removed", "set aside", "set aside", "set aside"]


def test_message_stays_while_the_database_is_unavailable() -> None:
    mailbox = FakeMailbox([status_report()] * 2)

    with pytest.raises(StorageUnavailableError):
        run(mailbox, is_away=True)
    assert mailbox.fates == []


def test_mailbox_that_breaks_off_keeps_the_rest() -> None:
    mailbox = FakeMailbox([status_report()] * 3, breaks_at=1)

    assert (run(mailbox), mailbox.fates) == ({"taken": 1}, ["removed"])


@pytest.mark.usual_world("runs of the usual length")
def test_ten_thousand_reports_at_start_are_taken_in_run_by_run(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    refs = [MailRef("invite", UUID(int=number), 1) for number in range(10_000)]
    mailbox, begun = FakeMailbox([mail_token(SECRET, ref, NOW).encode() for ref in refs]), list[Command]()
    monkeypatch.setattr(take_reports, "parse_report", lambda token: MailReport("delayed", (token.decode(),), "late"))
    with caplog.at_level(logging.INFO):
        runs = [run(mailbox, begun=begun) for _ in range(6)]

    assert runs == [{"taken": 2_000}] * 5 + [{}]
    assert [each.reservation_id for each in begun if isinstance(each, RecordMailReport)] == [
        ref.subject_id for ref in refs
    ]
    assert mailbox.fates == ["removed"] * 10_000
    assert [record.message for record in caplog.records] == ["bounce mailbox"] * 5


@pytest.mark.usual_world("a run of the usual length")
def test_bad_messages_are_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(3000))
    others = [mail_token(b"another ledger's", REF, NOW), mail_token(SECRET, REF, NOW - timedelta(days=62))]
    forged = [status_report(token=token) for token in ("a" * 47, *others)]
    unread = [nested, b"Content-Type: text/plain; charset=nonsense\r\n\r\n\xff\xfe"]
    mailbox = FakeMailbox([*forged, *unread, status_report() + b"x" * 10_000_000])
    with caplog.at_level(logging.INFO):
        counts = run(mailbox)

    assert counts == {"no_token": 3, "no_report": 2, "taken": 1}
    assert mailbox.fates == ["set aside"] * 5 + ["removed"]
    (line,) = caplog.records
    assert (line.message, line.levelname, vars(line)["counts"]) == ("bounce mailbox", "INFO", counts)


def test_run_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(take_reports, "MESSAGES_MAX", 3)
    many, slow = FakeMailbox([VACATIONS] * 10_000), FakeMailbox([VACATIONS] * 10)

    assert (run(many), run(slow, stop_after=1)) == ({"no_report": 3}, {"no_report": 1})


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        ("imaps://b:pass@mx.example/Reports", MailboxUrl("imaps", "mx.example", 993, "b", "pass", "Reports")),
        ("imap+starttls://b:p%40s@mx.example:1143", MailboxUrl("imap+starttls", "mx.example", 1143, "b", "p@s")),
        ("pop3s://b:pass@mx.example", MailboxUrl("pop3s", "mx.example", 995, "b", "pass")),
        ("imap://b:pass@127.0.0.1:1143/A%20B", MailboxUrl("imap", "127.0.0.1", 1143, "b", "pass", "A B")),
        ("pop3://b:pass@localhost", MailboxUrl("pop3", "localhost", 110, "b", "pass")),
    ],
)
def test_url_names_a_mailbox(url: str, parsed: MailboxUrl) -> None:
    assert MailboxUrl.parse(url) == parsed


@pytest.mark.parametrize(
    "url",
    [
        "",
        "smtp://b:geheim@mx.example",
        "imaps://mx.example",
        "imaps://b@mx.example",
        "imaps://b:geheim@",
        "imaps://b:geheim@mx.example:99999",
        "imap://b:geheim@mx.example",
        "pop3://b:geheim@mx.example",
        "pop3s://b:geheim@mx.example/Folder",
    ],
)
def test_unusable_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="LEDGER_BOUNCE_MAILBOX_URL") as refused:
        MailboxUrl.parse(url)

    assert "geheim" not in str(refused.value)
    assert "geheim" not in repr(refused.value)


def test_password_is_in_no_representation() -> None:
    """Logs and tracebacks print it."""
    assert "geheim" not in repr(MailboxUrl.parse("imaps://b:geheim@mx.example"))
