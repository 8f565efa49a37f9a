import logging
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
from domain.report_intake import MailReport, ReportIntake
from domain.results import Result
from domain.values.mail.mail_token import MailRef, mail_token
from projections.database.errors import StorageUnavailableError
from tests.support.ledger.scenario import Scenario
from tests.unit.workers.mail_reports.reports import NOW, REF, SECRET, VACATION, status_report
from workers.mail_reports import take_reports
from workers.mail_reports.report_mailbox import Mailbox, MailboxError
from workers.mail_reports.take_reports import take_mailbox

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
