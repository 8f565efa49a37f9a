"""Reports about emails, taken in: by their token, once, whatever they say."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from domain.command_bus import Command
from domain.commands.context import CommandContext
from domain.commands.delivery.record_bounce import RecordMailReport
from domain.commands.hand_out.hand_out_mail import RecordHandOutReport
from domain.errors import HandOutMailConflict, NothingSent, ReservationUnknown
from domain.report_intake import REPORT_CHARS_MAX, MailReport, ReportIntake, ReportKind
from domain.results import Result
from domain.values.mail.mail_token import MailKind, MailRef, mail_token
from tests.support.ledger.scenario import Scenario, done

SECRET = b"secret"
NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
CONTEXT = CommandContext(now=NOW, actor="worker", actor_id="mailbox")


class Drafted:
    """A text under its id."""

    def __init__(self, text: str, text_id: UUID, reservation_id: UUID | None) -> None:
        self.text, self.text_id, self.reservation_id = text, text_id, reservation_id


@dataclass
class NotedCommands:
    """An intake whose commands are noted, and answered with one result."""

    result: Result
    has_recipient: bool = True
    commands: list[Command] = field(default_factory=list)

    def take(self, ref: MailRef, kind: ReportKind = "bounced", *, secret: bytes = SECRET, at: datetime = NOW) -> str:
        """Take a report about an email in; what became of it."""
        intake = ReportIntake(SECRET, self._execute, Drafted, uuid4, lambda _: self.has_recipient)
        report = MailReport(kind, ("nonsense", mail_token(secret, ref, at)), "no such user", reason="mailbox_unknown")
        result = intake.take(report, CONTEXT)
        assert result.ref in {ref, None}
        return result.outcome if result.event is None else result.event

    def _execute(self, commands: Sequence[Command]) -> list[Result]:
        self.commands += commands
        return [self.result] * len(commands)


@pytest.fixture(scope="module")
def changed() -> Result:
    """The result of a command that changed something."""
    scenario = Scenario()
    return scenario.bounce(scenario.sent())


@pytest.mark.parametrize(
    ("mail", "kind", "command", "event"),
    [
        ("invite", "bounced", RecordMailReport, "InviteBounced"),
        ("notice", "bounced", RecordMailReport, "InviteBounced"),
        ("invite", "delayed", RecordMailReport, "InviteDelayed"),
        ("notice", "complained", RecordMailReport, "InviteComplained"),
        ("hand_out", "bounced", RecordHandOutReport, "HandOutBounced"),
        ("hand_out", "delayed", RecordHandOutReport, "HandOutDelayed"),
        ("hand_out", "complained", RecordHandOutReport, "HandOutComplained"),
    ],
)
def test_report_is_a_command_about_its_email(
    changed: Result, mail: MailKind, kind: ReportKind, command: type[Command], event: str
) -> None:
    """Of each kind of email, and of each kind of report."""
    noted, ref = NotedCommands(changed), MailRef(mail, UUID(int=5), 2)

    assert noted.take(ref, kind) == event
    assert [type(each) for each in noted.commands] == [command]


def test_text_of_the_same_report_has_the_same_id(changed: Result) -> None:
    """By it a report that comes again is recognized; another email's has another one."""
    noted = NotedCommands(changed)
    for number in (1, 1, 2):
        noted.take(MailRef("invite", UUID(int=5), number), "delayed")

    ids = [each.text.text_id for each in noted.commands if isinstance(each, RecordMailReport) and each.text]
    assert (ids[0] == ids[1], ids[0] == ids[2]) == (True, False)


def test_stored_text_says_what_happened_first() -> None:
    """Then the report as it came, up to a bound; what no database stores is left out or replaced."""
    texts = [
        MailReport("bounced", (), said, raw).text
        for said, raw in [(" no such user\n", "\nraw \0\ud800\n"), ("", "raw"), ("said", ""), ("x" * 9_000, "raw")]
    ]

    assert texts == ["no such user\n\nraw ?", "raw", "said", "x" * REPORT_CHARS_MAX]
    assert len(MailReport("bounced", (), "said", "y" * 9_000).text) == REPORT_CHARS_MAX


@pytest.mark.parametrize(("secret", "age"), [(b"forged", timedelta(0)), (SECRET, timedelta(days=62))])
def test_forged_or_old_token_changes_nothing(changed: Result, secret: bytes, age: timedelta) -> None:
    """No command is made of it."""
    noted = NotedCommands(changed)

    assert noted.take(MailRef("invite", UUID(int=5), 1), secret=secret, at=NOW - age) == "no_token"
    assert noted.commands == []


def test_report_about_an_erased_person_changes_nothing(changed: Result) -> None:
    """Nothing about them is stored any more."""
    noted = NotedCommands(changed, has_recipient=False)

    assert (noted.take(MailRef("invite", UUID(int=5), 1)), noted.commands) == ("unknown", [])


@pytest.mark.parametrize(
    ("refusal", "outcome"),
    [(ReservationUnknown(), "unknown"), (NothingSent(), "not_sent"), (HandOutMailConflict("not_sent"), "not_sent")],
)
def test_refused_report_is_named(refusal: Result, outcome: str) -> None:
    """A token of another database with the same secret, or of an email that was never sent."""
    assert NotedCommands(refusal).take(MailRef("invite", UUID(int=5), 1)) == outcome


def test_report_that_changed_nothing_was_known() -> None:
    """It came before."""
    scenario = Scenario()
    reservation_id = scenario.sent()
    scenario.bounce(reservation_id)
    again = scenario.bounce(reservation_id)

    assert not done(again).changed
    assert NotedCommands(again).take(MailRef("invite", reservation_id, 1)) == "known"
