"""The emails with a handed-out code: each outcome is recorded once, and only of the newest email."""

from typing import Any, Literal
from uuid import UUID

import pytest

from domain.commands.code.issue import HandOutPlace, IssueCode
from domain.commands.hand_out.hand_out_mail import (
    MAILS_MAX,
    RecordHandOutMail,
    RecordHandOutReport,
    RemindOfHandOut,
    ResendHandOut,
)
from domain.errors import Refusal, RefusalWithReason
from domain.events.hand_out import SkipReason
from domain.model.hand_out import HandedOutCode
from domain.ports import FinalOutcome
from domain.results import Result
from tests.support.ledger.code_terms import make_campaign_terms, make_terms
from tests.support.ledger.scenario import LOST, REFUSED, SENT, Scenario, ScenarioDraft, done

RECIPIENT, HAND_OUT, CODE = UUID(int=1), UUID(int=2), UUID(int=9)
MORE = UUID(int=10)


class ReportText:
    """A text whose id is that of a report about an email, the same when it comes again."""

    def __init__(self, mail: int) -> None:
        self.text_id = UUID(int=mail)


class Mail:
    """A code that was handed out, in a campaign; with another one on the same line if it has two codes."""

    def __init__(self, codes: int = 1) -> None:
        self.scenario = Scenario(campaign=make_campaign_terms())
        if codes == 2:
            self.issue(MORE, b"more", codes=2, line_id=CODE)
        self.issue(codes=codes)

    def issue(self, code_id: UUID = CODE, text: bytes = b"handed out", **line: Any) -> Result:
        result = self.scenario.run(
            IssueCode(
                context=self.scenario.context("worker"),
                code_id=code_id,
                text=ScenarioDraft([text], code_id),
                terms=make_terms(),
                bound=True,
                campaign_id=self.scenario.campaign_id,
                handed_out=HandOutPlace(HAND_OUT, RECIPIENT, **line),
            )
        )
        self.scenario.working_set.code_ids[text] = code_id
        return result

    def record(self, outcome: FinalOutcome | SkipReason, mail: int = 1) -> Result:
        context = self.scenario.context("worker")
        return self.scenario.run(RecordHandOutMail(context=context, code_id=CODE, mail=mail, outcome=outcome))

    def resend(self) -> Result:
        return self.scenario.run(ResendHandOut(context=self.scenario.context("staff"), code_id=CODE))

    def bounce(self) -> Result:
        return self.scenario.run(RecordHandOutReport(context=self.scenario.context("key"), code_id=CODE))

    def report_bounce(self, mail: int) -> Result:
        context, note = self.scenario.context("worker"), ReportText(mail)
        command = RecordHandOutReport(context=context, code_id=CODE, text=note, mail=mail, reason="mailbox_unknown")
        return self.scenario.run(command)

    def report(self, kind: Literal["delayed", "complained"], mail: int) -> Result:
        context, report = self.scenario.context("worker"), ReportText(mail)
        return self.scenario.run(RecordHandOutReport(context=context, code_id=CODE, mail=mail, kind=kind, text=report))

    def remind(self, waiting_id: UUID | None = None) -> Result:
        command = RemindOfHandOut(context=self.scenario.context("sweep"), code_id=CODE, waiting_id=waiting_id)
        return self.scenario.run(command)

    @property
    def state(self) -> HandedOutCode:
        return self.scenario.working_set.handed_out[CODE]


def why(result: Result) -> str:
    assert isinstance(result, Refusal), result
    return result.why if isinstance(result, RefusalWithReason) else result.code


def test_code_is_issued_and_handed_out_in_one_decision() -> None:
    mail = Mail()
    kinds = [type(event).__name__ for event in mail.scenario.events[-2:]]
    again = done(mail.issue())

    assert kinds == ["CodeIssued", "CodeHandedOut"]
    assert not again.changed
    assert (mail.state.hand_out_id, mail.state.recipient_id, mail.state.mail) == (HAND_OUT, RECIPIENT, 1)


@pytest.mark.parametrize(
    ("outcome", "state"), [(SENT, "sent"), (REFUSED, "failed"), (LOST, "unknown"), ("opted_out", "skipped")]
)
def test_outcome_is_recorded_once(outcome: FinalOutcome | SkipReason, state: str) -> None:
    mail = Mail()
    first, second = done(mail.record(outcome)), done(mail.record(SENT))

    assert (first.changed, second.changed, mail.state.mail_state) == (True, False, state)


def test_resend_keeps_the_code_and_ignores_outcomes_of_older_emails() -> None:
    mail = Mail()
    mail.record(REFUSED)
    first, second = done(mail.resend()), done(mail.resend())
    old = done(mail.record(SENT))
    new = done(mail.record(SENT, mail=2))

    assert (first.changed, second.changed, old.changed, new.changed) == (True, False, False, True)
    assert (mail.state.mail, mail.state.mail_state) == (2, "sent")


def test_resends_are_bounded() -> None:
    mail = Mail()
    for number in range(1, MAILS_MAX):
        mail.record(SENT, mail=number)
        assert done(mail.resend()).changed
    mail.record(SENT, mail=MAILS_MAX)

    assert why(mail.resend()) == "too_many"
    assert (mail.state.mail, mail.state.mail_state) == (MAILS_MAX, "sent")


def test_bounce_needs_an_email_that_may_have_been_sent() -> None:
    mail = Mail()
    early = mail.bounce()
    mail.record(LOST)
    first, second = done(mail.bounce()), done(mail.bounce())

    assert why(early) == "not_sent"
    assert (first.changed, second.changed, mail.state.mail_state) == (True, False, "bounced")


def test_reported_bounce_is_recorded_before_the_outcome_of_its_email() -> None:
    """The worker that sent it may have died; what it records later changes nothing, and the email is not sent again."""
    mail = Mail()
    first, second = done(mail.report_bounce(1)), done(mail.report_bounce(1))
    sent = done(mail.record(SENT))

    assert (first.changed, second.changed, sent.changed, mail.state.mail_state) == (True, False, False, "bounced")


@pytest.mark.parametrize("state", ["queued", "sent"])
def test_bounce_of_an_earlier_email_is_recorded_once_and_keeps_the_state(state: str) -> None:
    """Servers report after days, when a reminder was requested or sent. The address is not written to after it."""
    mail = Mail()
    mail.record(SENT)
    mail.remind()
    if state == "sent":
        mail.record(SENT, mail=2)
    first, second = done(mail.report_bounce(1)), done(mail.report_bounce(1))

    assert (first.changed, second.changed) == (True, False)
    assert (mail.state.mail, mail.state.mail_state) == (2, state)
    assert mail.scenario.working_set.suppressions[RECIPIENT][0].cause == "mailbox_unknown"
    assert done(mail.report_bounce(2)).changed
    assert mail.state.mail_state == "bounced"


@pytest.mark.parametrize("kind", ["delayed", "complained"])
def test_report_about_an_earlier_email_is_recorded_once_while_the_next_is_queued(
    kind: Literal["delayed", "complained"],
) -> None:
    mail = Mail()
    mail.record(SENT)
    mail.resend()
    first, second = done(mail.report(kind, 1)), done(mail.report(kind, 1))

    assert (first.changed, second.changed, mail.state.mail_state) == (True, False, "queued")
    assert [why(mail.report(kind, 3)), why(mail.report_bounce(3))] == ["not_sent", "not_sent"]


def test_revoked_code_is_not_sent_again() -> None:
    mail = Mail()
    mail.record(SENT)
    mail.scenario.code_id = CODE
    mail.scenario.revoke()

    assert why(mail.resend()) == "revoked"


def test_reminder_is_due_once_and_not_after_redeeming() -> None:
    mail = Mail()
    early = done(mail.remind())
    mail.record(SENT)
    first, second = done(mail.remind()), done(mail.remind())
    mail.record(SENT, mail=2)
    third = done(mail.remind())
    other = Mail()
    other.record(SENT)
    other.scenario.redeem(code=b"handed out")
    redeemed = done(other.remind())

    assert [each.changed for each in (early, first, second, third, redeemed)] == [False, True, False, False, False]
    assert (mail.state.reminder, mail.state.mail, mail.state.mail_state) == (2, 2, "sent")


def test_line_is_reminded_of_the_code_that_waits() -> None:
    mail = Mail(codes=2)
    mail.record(SENT)
    mail.scenario.redeem(code=b"handed out")
    results = [done(mail.remind(waiting_id)) for waiting_id in (None, CODE, MORE)]
    mail.record(SENT, mail=2)
    results.append(done(mail.remind(MORE)))

    assert [each.changed for each in results] == [False, False, True, False]
    assert (mail.state.codes, mail.state.line_id, mail.state.reminder) == (2, None, 2)


def test_emails_of_a_line_are_those_of_its_first_code() -> None:
    """They go on although that code was revoked; the other codes have none."""
    mail = Mail(codes=2)
    mail.record(SENT)
    mail.scenario.code_id = CODE
    mail.scenario.revoke()
    context = mail.scenario.context("staff")
    more = mail.scenario.working_set.handed_out[MORE]

    assert done(mail.resend()).changed
    assert (more.codes, more.line_id, more.recipient_id) == (2, CODE, RECIPIENT)
    assert why(mail.scenario.run(ResendHandOut(context=context, code_id=MORE))) == "HAND_OUT_NOT_FOUND"


def test_codes_that_no_hand_out_issued_have_no_emails() -> None:
    scenario = Scenario()
    context = scenario.context("staff")
    results = [
        scenario.run(ResendHandOut(context=context, code_id=scenario.code_id)),
        scenario.run(RecordHandOutReport(context=context, code_id=scenario.code_id)),
        scenario.run(RecordHandOutMail(context=context, code_id=scenario.code_id, mail=1, outcome=SENT)),
    ]

    assert [why(result) for result in results] == ["HAND_OUT_NOT_FOUND"] * 3
