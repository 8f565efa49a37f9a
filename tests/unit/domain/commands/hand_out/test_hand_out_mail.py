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
from domain.model.hand_out import HandedOutCode
from domain.ports import FinalOutcome
from domain.results import Result
from tests.support.ledger.code_terms import make_campaign_terms, make_terms
from tests.support.ledger.scenario import LOST, REFUSED, SENT, Scenario, ScenarioDraft
from tests.unit.domain.histories import answer

RECIPIENT, HAND_OUT, CODE, MORE = (UUID(int=number) for number in (1, 2, 9, 10))
OUTCOMES: dict[str, FinalOutcome | Literal["opted_out"]] = {
    "sent": SENT,
    "refused": REFUSED,
    "lost": LOST,
    "opted_out": "opted_out",
}
WAITING = {"remind": None, "remind:code": CODE, "remind:more": MORE}


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
        self.scenario.code_id = CODE

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

    def report(self, kind: str, mail: int) -> Result:
        context, text = self.scenario.context("worker"), ReportText(mail)
        fields: dict[str, Any] = {"reason": "mailbox_unknown"} if kind == "reported" else {"kind": kind}
        return self.scenario.run(RecordHandOutReport(context=context, code_id=CODE, mail=mail, text=text, **fields))

    def take(self, step: str) -> Result:
        """One step: what staff, the sweep or a mail server does with the email of a number, by default the first."""
        verb, _, number = step.partition("@")
        context = self.scenario.context
        if verb in OUTCOMES:
            mail, outcome = int(number or 1), OUTCOMES[verb]
            return self.scenario.run(
                RecordHandOutMail(context=context("worker"), code_id=CODE, mail=mail, outcome=outcome)
            )
        if verb in WAITING:
            waiting_id = WAITING[verb]
            return self.scenario.run(RemindOfHandOut(context=context("sweep"), code_id=CODE, waiting_id=waiting_id))
        match verb:
            case "resend":
                return self.scenario.run(ResendHandOut(context=context("staff"), code_id=CODE))
            case "bounce":
                return self.scenario.run(RecordHandOutReport(context=context("key"), code_id=CODE))
            case "redeem":
                return self.scenario.redeem(code=b"handed out")
            case "revoke":
                return self.scenario.revoke()
            case _:
                return self.report(verb, int(number))

    def take_all(self, steps: str) -> "Mail":
        """Take the steps, and compare each answer that is named."""
        for text in steps.split():
            step, _, expected = text.partition("=")
            result = answer(self.take(step))
            assert not expected or expected in {result, result.partition("/")[2]}, f"{text}: {result}"
        return self

    @property
    def state(self) -> HandedOutCode:
        return self.scenario.working_set.handed_out[CODE]


@pytest.mark.parametrize(
    ("steps", "mail", "state"),
    [
        ("sent=changed sent=unchanged", 1, "sent"),
        ("refused=changed sent=unchanged", 1, "failed"),
        ("lost=changed sent=unchanged", 1, "unknown"),
        ("opted_out=changed sent=unchanged", 1, "skipped"),
        # A resend keeps the code and ignores outcomes of older emails.
        ("refused resend=changed resend=unchanged sent@1=unchanged sent@2=changed", 2, "sent"),
        (
            " ".join(f"sent@{number} resend=changed" for number in range(1, MAILS_MAX))
            + f" sent@{MAILS_MAX} resend=too_many",
            MAILS_MAX,
            "sent",
        ),
        # A bounce needs an email that may have been sent.
        ("bounce=not_sent lost bounce=changed bounce=unchanged", 1, "bounced"),
        # The worker that sent it may have died; what it records later changes nothing, and the email is not sent again.
        ("reported@1=changed reported@1=unchanged sent=unchanged", 1, "bounced"),
        # Servers report after days, when a reminder was requested or sent.
        ("sent remind reported@1=changed reported@1=unchanged", 2, "queued"),
        ("sent remind sent@2 reported@1=changed reported@1=unchanged", 2, "sent"),
        ("sent remind sent@2 reported@1 reported@2=changed", 2, "bounced"),
        ("sent remind reported@1 reported@2=changed", 2, "bounced"),
        # A report about an earlier email changes no state; an email that was never requested has no report.
        ("sent resend delayed@1=changed delayed@1=unchanged delayed@3=not_sent", 2, "queued"),
        ("sent resend complained@1=changed complained@1=unchanged complained@3=not_sent", 2, "queued"),
        ("sent resend reported@3=not_sent", 2, "queued"),
        ("sent revoke resend=revoked", 1, "sent"),
        # A reminder is an email of its own number; before the code was sent there is none.
        ("remind=unchanged sent remind=changed remind=unchanged sent@2 remind=unchanged", 2, "sent"),
        ("sent redeem remind=unchanged", 1, "sent"),
    ],
)
def test_email_of_a_code_leads_to(steps: str, mail: int, state: str) -> None:
    mail_after = Mail().take_all(steps)

    assert (mail_after.state.mail, mail_after.state.mail_state) == (mail, state)


def test_code_is_issued_and_handed_out_in_one_decision() -> None:
    mail = Mail()
    kinds = [type(event).__name__ for event in mail.scenario.events[-2:]]

    assert kinds == ["CodeIssued", "CodeHandedOut"]
    assert answer(mail.issue()) == "unchanged"
    assert (mail.state.hand_out_id, mail.state.recipient_id, mail.state.mail) == (HAND_OUT, RECIPIENT, 1)


@pytest.mark.parametrize("steps", ["sent remind reported@1", "sent remind sent@2 reported@1"])
def test_address_is_not_written_to_after_a_bounce_of_an_earlier_email(steps: str) -> None:
    mail = Mail().take_all(steps)

    assert mail.scenario.working_set.suppressions[RECIPIENT][0].cause == "mailbox_unknown"


def test_reminder_has_the_number_of_its_email() -> None:
    assert Mail().take_all("sent remind").state.reminder == 2


def test_line_is_reminded_of_the_code_that_waits() -> None:
    """Not of one that is redeemed, and once for all codes of the line."""
    mail = Mail(codes=2).take_all(
        "sent redeem remind=unchanged remind:code=unchanged remind:more=changed sent@2 remind:more=unchanged"
    )

    assert (mail.state.codes, mail.state.line_id, mail.state.reminder) == (2, None, 2)


def test_emails_of_a_line_are_those_of_its_first_code() -> None:
    """They go on although that code was revoked; the other codes have none."""
    mail = Mail(codes=2).take_all("sent revoke resend=changed")
    context = mail.scenario.context("staff")
    more = mail.scenario.working_set.handed_out[MORE]

    assert (more.codes, more.line_id, more.recipient_id) == (2, CODE, RECIPIENT)
    assert answer(mail.scenario.run(ResendHandOut(context=context, code_id=MORE))) == "HAND_OUT_NOT_FOUND"


@pytest.mark.parametrize(
    ("kind", "fields"),
    [(ResendHandOut, {}), (RecordHandOutReport, {}), (RecordHandOutMail, {"mail": 1, "outcome": SENT})],
)
def test_codes_that_no_hand_out_issued_have_no_emails(kind: Any, fields: dict[str, Any]) -> None:  # noqa: ANN401 - three commands
    scenario = Scenario()
    command = kind(context=scenario.context("staff"), code_id=scenario.code_id, **fields)

    assert answer(scenario.run(command)) == "HAND_OUT_NOT_FOUND"
