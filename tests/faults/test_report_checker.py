"""The checker of reports finds what it is there for: each broken guarantee, planted manually, is named."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.chaos.checker import violations
from tests.faults.chaos.hand_out_observations import CodeEmail, HandOutObservations, RowClaim
from tests.faults.chaos.observations import BalanceFacts, LogFact, Observations, ReservationFacts
from tests.faults.chaos.report_checker import find_broken_reports
from tests.faults.chaos.report_observations import (
    AcknowledgedReport,
    ArrivedEmail,
    EmailId,
    RepeatedRedeem,
    ReportObservations,
)

CODE, HANDED_OUT, RESERVATION = "c0de", "4a4d", "1234"
LI, ZHANG = "li.wei@example.com", "zhang@example.com"
INVITATION, CODE_EMAIL = EmailId(False, RESERVATION, 1), EmailId(True, HANDED_OUT, 1)


def make_fact(version: int, kind: str, code_id: str = CODE, **data: Any) -> LogFact:
    """Return an event; those of a code's redeem requests are about one reservation."""
    about = {"reservation_id": RESERVATION} if code_id == CODE else {}
    return LogFact(code_id, version, kind, {"actor": "worker", **about, **data})


BOUNCED = make_fact(5, "InviteBounced", actor="channel", delivery=1, reason="mailbox_unknown")
REFUNDED = make_fact(6, "UseRefunded", actor="channel", cause="bounced", held="used")
SENT = [
    make_fact(1, "CodeIssued", reservation_id=""),
    make_fact(2, "UseReserved", actor="person"),
    make_fact(3, "InviteAttempted"),
    make_fact(4, "InviteSent"),
]
CODE_BOUNCED = make_fact(3, "HandOutBounced", HANDED_OUT, actor="operator", mail=1, reason="mailbox_unknown")
CODE_SENT = [make_fact(2, "HandOutSent", HANDED_OUT, mail=1)]
GOOD = [*SENT, BOUNCED, REFUNDED, *CODE_SENT, CODE_BOUNCED]
EMAILS = [ArrivedEmail(1000.0, INVITATION, LI), ArrivedEmail(1001.0, CODE_EMAIL, ZHANG)]


def observe(**changes: Any) -> ReportObservations:
    seen = ReportObservations(
        begun={(INVITATION, "bounced"), (CODE_EMAIL, "bounced")},
        acknowledged=[
            AcknowledgedReport(1005.0, INVITATION, "bounced", LI),
            AcknowledgedReport(1005.0, CODE_EMAIL, "bounced", ZHANG),
        ],
        redeems=[RepeatedRedeem(LI, "ADDRESS_UNDELIVERABLE")],
        emails=EMAILS,
    )
    return replace(seen, **changes)


def send_codes(*at: float, claimed_at: float) -> HandOutObservations:
    emails = [
        CodeEmail(each, ZHANG, f"<{HANDED_OUT}.code-{number}@example.com>", "AB12", "/invite", "/opt-out", "Text")
        for number, each in enumerate(at, start=1)
    ]
    return HandOutObservations(emails=emails, claims=[RowClaim(HANDED_OUT, "1", claimed_at)])


CODES = send_codes(1001.0, claimed_at=1000.0)


def test_good_run_with_reports_breaks_nothing() -> None:
    """The control: nothing is found where nothing is wrong; the use that a bounce refunded was sent."""
    seen = Observations(
        facts=GOOD,
        rows=[ReservationFacts(RESERVATION, CODE, "refunded", has_case=False)],
        balances=[BalanceFacts(CODE, 1, 0, 0)],
        message_ids=[f"<{RESERVATION}.1@example.com>"],
    )

    assert find_broken_reports(observe(), CODES, GOOD) == []
    assert violations(seen) == []


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"emails": [*EMAILS, ArrivedEmail(1006.0, INVITATION, LI)]}, CODES),
        ({}, send_codes(1001.0, 1006.0, claimed_at=1004.0)),
        ({"acknowledged": []}, CODES),
    ],
)
def test_emails_in_flight_and_reports_without_an_answer_are_allowed(
    changes: dict[str, Any], codes: HandOutObservations
) -> None:
    """A second copy of an invitation, an email that a worker had already, a report that a process died over."""
    assert find_broken_reports(observe(**changes), codes, GOOD) == []


@pytest.mark.parametrize(
    "log",
    [
        [*SENT, BOUNCED, *CODE_SENT, CODE_BOUNCED, make_fact(4, "HandOutBounced", HANDED_OUT, actor="key", mail=1)],
        [*SENT, BOUNCED, *CODE_SENT, make_fact(3, "HandOutBounced", HANDED_OUT, actor="key", mail=1)],
        [*GOOD, make_fact(4, "HandOutBounced", HANDED_OUT, actor="key", mail=2)],
        [*GOOD, make_fact(7, "InviteBounced", actor="channel", delivery=1, mail="notice")],
    ],
)
def test_bounces_of_staff_and_of_notices_are_allowed(log: Sequence[LogFact]) -> None:
    """Staff record the bounce of an email that a server reports, before it or after it, or never."""
    assert find_broken_reports(observe(), CODES, log) == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"defects": ["exit code 1"]}, "exit code 1"),
        ({"begun": {(INVITATION, "bounced")}}, "was never reported"),
        ({"acknowledged": [AcknowledgedReport(1005.0, INVITATION, "delayed", LI)]}, "lost: delayed"),
        ({"acknowledged": [AcknowledgedReport(1005.0, EmailId(False, "9", 1), "bounced", LI)]}, "lost: bounced"),
        ({"redeems": [RepeatedRedeem(LI, "202")]}, "was answered 202"),
        ({"emails": [*EMAILS, ArrivedEmail(1006.0, EmailId(False, "9", 1), LI)]}, "1.0 s after a report"),
    ],
)
def test_broken_guarantee_of_reports_is_named(changes: dict[str, Any], word: str) -> None:
    assert any(word in violation for violation in find_broken_reports(observe(**changes), CODES, GOOD))


def test_email_with_a_code_after_a_report_is_named() -> None:
    """Its worker took the row after the report was acknowledged."""
    codes = send_codes(1007.0, claimed_at=1006.0)

    assert any("2.0 s after a report" in violation for violation in find_broken_reports(observe(), codes, GOOD))


@pytest.mark.parametrize(
    ("log", "word"),
    [
        ([*SENT, *CODE_SENT, CODE_BOUNCED], "lost: bounced"),
        ([*SENT, BOUNCED], "lost: bounced"),
        ([*GOOD, make_fact(7, "InviteBounced", actor="operator", delivery=1)], "is in the log 2 times"),
        ([*GOOD, make_fact(4, "HandOutBounced", HANDED_OUT, actor="channel", mail=1)], "is in the log 2 times"),
        ([*GOOD, make_fact(7, "InviteComplained", actor="channel", delivery=1)], "was never reported"),
        ([*GOOD, make_fact(7, "LateSuccessRecorded", actor="channel")], "a report led to LateSuccessRecorded"),
        ([*SENT[:3], make_fact(4, "InviteOutcomeUnknown"), BOUNCED, REFUNDED], "an uncertain bounce refunded"),
        ([*SENT, make_fact(4, "InviteOutcomeUnknown"), BOUNCED, REFUNDED], "an uncertain bounce refunded"),
        ([*SENT, make_fact(4, "InviteAttempted"), BOUNCED, REFUNDED], "an uncertain bounce refunded"),
        ([*SENT, REFUNDED], "an uncertain bounce refunded"),
    ],
)
def test_broken_history_of_reports_is_named(log: Sequence[LogFact], word: str) -> None:
    assert any(word in violation for violation in find_broken_reports(observe(), CODES, log))


@pytest.mark.parametrize("actor", ["channel", "operator"])
def test_report_that_refunds_an_unknown_outcome_is_named(actor: str) -> None:
    """By the rule that holds for every machine."""
    doubt = [*SENT[:3], make_fact(4, "InviteOutcomeUnknown")]
    log = [*doubt, make_fact(5, "UseRefunded", actor=actor, cause="bounced", held="reserved")]
    seen = Observations(facts=log, rows=[ReservationFacts(RESERVATION, CODE, "refunded", has_case=False)])

    assert any("gave back a doubt" in violation for violation in violations(seen))
