"""Reports about emails, taken in: by their token, once, whatever they say."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from domain.command_bus import Command
from domain.commands.campaign.waiting_list import LeaveWaitingList
from domain.commands.context import CommandContext
from domain.commands.delivery.record_bounce import RecordMailReport
from domain.commands.hand_out.hand_out_mail import RecordHandOutReport
from domain.errors import HandOutMailConflict, NoSuchCampaign, NothingSent, Refusal, ReservationUnknown
from domain.model.suppression import ReportKind, Suppression
from domain.report_intake import REPORT_CHARS_MAX, MailReport, ReportedOffer, ReportIntake
from domain.results import Result, WaitingResult
from domain.values.mail.mail_token import MailKind, MailRef, mail_token
from tests.support.ledger.code_terms import make_campaign_terms
from tests.support.ledger.scenario import Scenario, done

SECRET = b"secret"
NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
CONTEXT = CommandContext(now=NOW, actor="worker", actor_id="mailbox")


class Drafted:
    def __init__(self, text: str, text_id: UUID, reservation_id: UUID | None) -> None:
        self.text, self.text_id, self.reservation_id = text, text_id, reservation_id


@dataclass
class NotedCommands:
    result: Result
    has_recipient: bool = True
    commands: list[Command] = field(default_factory=list)
    offer: ReportedOffer | None = None
    places: list[LeaveWaitingList] = field(default_factory=list)
    left: WaitingResult | Refusal = field(default_factory=NoSuchCampaign)

    def take(
        self,
        ref: MailRef,
        kind: ReportKind = "bounced",
        *,
        secret: bytes = SECRET,
        at: datetime = NOW,
        reason: str = "mailbox_unknown",
    ) -> str:
        intake = ReportIntake(
            SECRET, self._execute, Drafted, uuid4, lambda _: self.has_recipient, lambda _: self.offer, self._leave
        )
        report = MailReport(kind, ("nonsense", mail_token(secret, ref, at)), "no such user", reason=reason)
        result = intake.take(report, CONTEXT)
        assert result.ref in {ref, None}
        return result.outcome if result.event is None else result.event

    def _leave(self, command: LeaveWaitingList) -> WaitingResult | Refusal:
        self.places.append(command)
        return self.left

    def _execute(self, commands: Sequence[Command]) -> list[Result]:
        self.commands += commands
        return [self.result] * len(commands)


@pytest.fixture(scope="module")
def changed() -> Result:
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
    noted = NotedCommands(changed)

    assert noted.take(MailRef("invite", UUID(int=5), 1), secret=secret, at=NOW - age) == "no_token"
    assert noted.commands == []


def test_report_about_an_erased_person_changes_nothing(changed: Result) -> None:
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
    scenario = Scenario()
    reservation_id = scenario.sent()
    scenario.bounce(reservation_id)
    again = scenario.bounce(reservation_id)

    assert not done(again).changed
    assert NotedCommands(again).take(MailRef("invite", reservation_id, 1)) == "known"


OFFER = MailRef("offer", UUID(int=9), 1)


def offered() -> WaitingResult:
    scenario = Scenario(campaign=make_campaign_terms(max_uses=1, waiting_hours=24), max_uses=9, bound=False)
    scenario.sent("first")
    result = scenario.wait("li")
    assert isinstance(result, WaitingResult)
    return result


@pytest.mark.parametrize(
    ("kind", "reason", "suppression"),
    [
        ("bounced", "mailbox_unknown", Suppression("mailbox_unknown")),
        ("bounced", "mailbox_full", None),
        ("complained", "other", Suppression("complained", "red", is_of_group=True)),
    ],
)
def test_report_about_an_offer_ends_the_place(
    changed: Result, kind: ReportKind, reason: str, suppression: object
) -> None:
    """The use goes to the next person; the address is not written to if the report is about it."""
    noted = NotedCommands(changed, offer=ReportedOffer(UUID(int=3), UUID(int=4), "red"), left=offered())

    assert noted.take(OFFER, kind, reason=reason) == "WaitingListLeft"
    (leave,) = noted.places
    assert (leave.campaign_id, leave.place_id, leave.cause) == (UUID(int=3), UUID(int=9), "undeliverable")
    assert leave.note is not None
    new = leave.suppression
    assert (None if new is None else new.suppression) == suppression
    assert new is None or (new.recipient_id, new.since) == (UUID(int=4), NOW)
    assert noted.commands == []


def test_delay_of_an_offer_changes_nothing(changed: Result) -> None:
    noted = NotedCommands(changed, offer=ReportedOffer(UUID(int=3), UUID(int=4), None), left=offered())

    assert (noted.take(OFFER, "delayed"), noted.places) == ("known", [])


def test_report_about_an_offer_of_another_database_or_an_erased_person_is_unknown(changed: Result) -> None:
    erased = NotedCommands(changed)
    other = NotedCommands(changed, offer=ReportedOffer(UUID(int=3), UUID(int=4), None))

    assert [erased.take(OFFER), other.take(OFFER)] == ["unknown", "unknown"]
