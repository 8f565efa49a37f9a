"""The bounce mailbox, message by message: removed once it is in the ledger, and never before."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest

from domain.command_bus import Command
from domain.commands.context import CommandContext
from domain.report_intake import ReportIntake
from domain.results import Result
from projections.database.errors import StorageUnavailableError
from tests.support.ledger.scenario import Scenario
from tests.unit.workers.mail_reports.reports import NOW, SECRET, VACATION, status_report
from workers.mail_reports import take_reports
from workers.mail_reports.report_mailbox import Mailbox, MailboxError
from workers.mail_reports.take_reports import take_mailbox

VACATIONS = VACATION.format(token="x").encode()


class Drafted:
    """A text under its id."""

    def __init__(self, text: str, text_id: UUID, reservation_id: UUID | None) -> None:
        self.text, self.text_id, self.reservation_id = text, text_id, reservation_id


@dataclass
class FakeMailbox:
    """Messages in memory, and what became of each."""

    contents: list[bytes]
    breaks_at: int | None = None
    fates: list[str] = field(default_factory=list)

    def messages(self) -> Iterator[bytes]:
        """Yield them."""
        for number, content in enumerate(self.contents):
            if number == self.breaks_at:
                raise MailboxError("connection lost")
            yield content

    def remove(self) -> None:
        """Note it."""
        self.fates.append("removed")

    def set_aside(self) -> None:
        """Note it."""
        self.fates.append("set aside")


def run(mailbox: FakeMailbox, *, is_away: bool = False, stop_after: int = 100) -> dict[str, int]:
    """Take a mailbox in; the numbers of outcomes."""
    scenario = Scenario()
    result: Result = scenario.bounce(scenario.sent())
    begun: list[Command] = []

    def execute(commands: Sequence[Command]) -> Sequence[Result]:
        if is_away:
            raise StorageUnavailableError("away")
        begun.extend(commands)
        return [result]

    def open_box() -> AbstractContextManager[Mailbox]:
        return nullcontext(mailbox)

    intake = ReportIntake(SECRET, execute, Drafted, uuid4, lambda _: True)
    context = CommandContext(now=NOW, actor="worker", actor_id="mailbox")
    return dict(take_mailbox(open_box, intake, lambda: context, lambda: len(mailbox.fates) >= stop_after))


def test_reports_are_removed_and_other_messages_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person may look at them."""
    monkeypatch.setattr(take_reports, "MESSAGES_MAX", 4)
    mailbox = FakeMailbox([status_report(), VACATIONS, status_report(token="a" * 47), b"\xff"])

    assert run(mailbox) == {"taken": 1, "no_report": 2, "no_token": 1}
    assert mailbox.fates == ["removed", "set aside", "set aside", "set aside"]


def test_message_stays_while_the_database_is_unavailable() -> None:
    """The task fails, and the next run takes it."""
    mailbox = FakeMailbox([status_report()] * 2)

    with pytest.raises(StorageUnavailableError):
        run(mailbox, is_away=True)
    assert mailbox.fates == []


def test_mailbox_that_breaks_off_keeps_the_rest() -> None:
    """What was done is done."""
    mailbox = FakeMailbox([status_report()] * 3, breaks_at=1)

    assert (run(mailbox), mailbox.fates) == ({"taken": 1}, ["removed"])


def test_run_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its number of messages, and by the time of its task."""
    monkeypatch.setattr(take_reports, "MESSAGES_MAX", 3)
    many, slow = FakeMailbox([VACATIONS] * 10_000), FakeMailbox([VACATIONS] * 10)

    assert (run(many), run(slow, stop_after=1)) == ({"no_report": 3}, {"no_report": 1})
