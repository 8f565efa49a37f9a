"""The checker of hand-outs finds what it is there for: each broken guarantee, planted manually, is named."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.chaos.hand_out_checker import find_broken_hand_outs
from tests.faults.chaos.hand_out_observations import (
    CodeEmail,
    HandOutObservations,
    ListedRecipient,
    Pause,
    RowClaim,
    SubjectPeriod,
)
from tests.faults.chaos.observations import LogFact

HAND_OUT, CODE, SECOND_CODE, ADDRESS = "4a4d", "c0de", "dead", "li.wei@example.com"


def make_fact(version: int, kind: str, code_id: str = CODE, **data: Any) -> LogFact:
    return LogFact(code_id, version, kind, {"at": "1970-01-01T00:16:41+00:00", **data})


def hand_out(code_id: str = CODE, recipient_id: str = "9e0") -> LogFact:
    return make_fact(2, "CodeHandedOut", code_id, hand_out_id=HAND_OUT, recipient_id=recipient_id)


def make_email(at: float = 1001.0, number: int = 1, **changes: Any) -> CodeEmail:
    email = CodeEmail(at, ADDRESS, f"<{CODE}.code-{number}@example.com>", "AB12", "/invite", "/opt-out", "Text 1")
    return replace(email, **changes)


def issue(code_id: str = CODE, days: int | None = 7) -> LogFact:
    """Return the event that issues a code in the commit that hands it out, with an end so many days later."""
    end = None if days is None else f"1970-01-0{days + 1}T00:16:41+00:00"
    return LogFact(code_id, 1, "CodeIssued", {"at": "1970-01-01T00:16:41+00:00", "expires_at": end})


SENT = [hand_out(), make_fact(3, "HandOutSent", mail=1)]
RESENT = [*SENT, make_fact(4, "HandOutResendRequested", mail=2), make_fact(5, "HandOutSent", mail=2)]
RECIPIENT = ListedRecipient(HAND_OUT, ADDRESS, CODE, "sent")
CLAIMS = [RowClaim(CODE, HAND_OUT, 1000.0), RowClaim(CODE, HAND_OUT, 1200.0)]


def observe(**changes: Any) -> HandOutObservations:
    seen = HandOutObservations(
        subjects=[SubjectPeriod(HAND_OUT, "Text 1", 0.0, 1000.5), SubjectPeriod(HAND_OUT, "Text 2", 1000.2)],
        claims=CLAIMS[:1],
        emails=[make_email()],
        recipients=[RECIPIENT],
    )
    return replace(seen, **changes)


def test_good_run_of_hand_outs_breaks_nothing() -> None:
    assert find_broken_hand_outs(observe(), SENT) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"claims": CLAIMS, "emails": [make_email(), make_email(1201.0, subject="Text 2")]},
        {
            "claims": [CLAIMS[0], RowClaim(CODE, HAND_OUT, 1010.0)],
            "emails": [make_email(), make_email(1011.0, subject="Text 2")],
            "leases_ended": [1005.0],
        },
        {
            "claims": [CLAIMS[0], RowClaim(CODE, HAND_OUT, 1010.0)],
            "emails": [make_email(), make_email(1011.0, subject="Text 2")],
            "clock_ahead": [(998.0, 1005.0)],
        },
        {
            "claims": [CLAIMS[0], RowClaim(CODE, HAND_OUT, 1010.0, is_asked=True)],
            "emails": [make_email(), make_email(1011.0, subject="Text 2")],
        },
        {"opt_outs": {ADDRESS: (1000.1, 1000.2)}},
        {"pauses": [Pause(HAND_OUT, 990.0, 999.0), Pause("other", 990.0, 1010.0)]},
        {"suppressed": {ADDRESS}, "recipients": [replace(RECIPIENT, state="suppressed")]},
    ],
)
def test_results_of_unknown_outcomes_and_running_workers_are_allowed(changes: dict[str, Any]) -> None:
    """A second copy after a lease or at staff's request, an email that was claimed before an opt-out, other pauses."""
    log = [SENT[0], make_fact(3, "HandOutSent", mail=1, at="1970-01-01T00:20:02+00:00")]

    assert find_broken_hand_outs(observe(**changes), log) == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"defects": ["500 on a pause"]}, "500 on a pause"),
        ({"emails": []}, "recorded as sent and never arrived"),
        ({"emails": [make_email(), make_email(1002.0)], "claims": CLAIMS}, "was repeated after 1.0 s"),
        (
            {"emails": [make_email(), make_email(1002.0)], "claims": CLAIMS, "clock_ahead": [(1003.0, 1009.0)]},
            "was repeated after 1.0 s",
        ),
        ({"emails": [make_email(), make_email(1201.0)], "claims": CLAIMS}, "was sent again after HandOutSent"),
        ({"emails": [make_email(), make_email(1002.0)]}, "2 times in 1 claims"),
        ({"emails": [make_email(number=2)]}, "email 2 of code c0de was sent, 1 were requested"),
        ({"emails": [make_email(), make_email(message_id=f"<{CODE}.code-1@b>")]}, "several Message-IDs"),
        ({"emails": [make_email(), make_email(code="CD34")]}, "different codes or links"),
        ({"emails": [make_email(), make_email(link="/invite2")]}, "different codes or links"),
        ({"emails": [make_email(message_id=f"<{SECOND_CODE}.code-1@b>")]}, "a code that no event hands out"),
        ({"opt_outs": {ADDRESS: (999.0, 999.5)}}, "1.5 s after opting out"),
        ({"pauses": [Pause(HAND_OUT, 999.0, 1010.0)]}, "1.0 s after a pause"),
        ({"emails": [make_email(subject="Redeem your code")]}, "outdated subject"),
        ({"claims": [RowClaim(CODE, HAND_OUT, 1000.6)]}, "outdated subject"),
        ({"recipients": [replace(RECIPIENT, state="")]}, "is ''"),
        ({"recipients": [replace(RECIPIENT, state="queued")]}, "is 'queued'"),
        ({"recipients": [replace(RECIPIENT, state="reminded")]}, "is 'reminded'"),
        ({"recipients": [replace(RECIPIENT, state="refused")]}, "is 'refused'"),
        ({"recipients": [replace(RECIPIENT, state="opted_out")]}, "is 'opted_out'"),
        ({"recipients": [replace(RECIPIENT, address="zhang@example.com")]}, "zhang@example.com of 4a4d is 'sent'"),
    ],
)
def test_broken_guarantee_of_hand_outs_is_named(changes: dict[str, Any], word: str) -> None:
    assert any(word in violation for violation in find_broken_hand_outs(observe(**changes), SENT))


@pytest.mark.parametrize(
    ("log", "word"),
    [
        ([*SENT, hand_out(SECOND_CODE)], "several lines"),
        ([*SENT, hand_out(recipient_id="other")], "was handed out 2 times"),
        ([hand_out(), make_fact(3, "HandOutFailed", mail=1)], "arrived and was recorded as failed"),
        (RESENT, "email 2 of code c0de was recorded as sent and never arrived"),
    ],
)
def test_broken_history_of_hand_outs_is_named(log: Sequence[LogFact], word: str) -> None:
    assert any(word in violation for violation in find_broken_hand_outs(observe(), log))


OF_LINE = "listed4@example.com"
MORE = ("dead", "beef")
LINE = [
    *(issue(code_id) for code_id in (CODE, *MORE)),
    hand_out(),
    *(make_fact(2, "CodeHandedOut", each, hand_out_id=HAND_OUT, recipient_id="9e0", line_id=CODE) for each in MORE),
    SENT[1],
]
ENDS = ("1970-01-08T00:16:41Z",) * 3


@pytest.mark.parametrize(
    ("log", "changes", "word"),
    [
        (LINE, {}, None),
        ([fact for fact in LINE if fact.code_id != "beef"], {}, "has 2 codes, the list says 3"),
        ([*LINE, replace(LINE[4], code_id="f00d")], {}, "has 4 codes, the list says 3"),
        (LINE, {"code": "AB12 CD34"}, "has 2 codes, the list says 3"),
        (LINE, {"ends": ENDS[:2]}, "says that its codes end at"),
        (LINE, {"ends": ("1970-01-09T00:16:41Z", *ENDS[:2])}, "says that its codes end at"),
        ([*LINE[:2], issue("beef", days=8), *LINE[3:]], {}, "code beef ends at"),
        ([*LINE[:2], issue("beef", days=None), *LINE[3:]], {}, "code beef ends at None"),
    ],
)
def test_wrong_line_or_end_is_named(log: Sequence[LogFact], changes: dict[str, Any], word: str | None) -> None:
    email = make_email(**{"code": "AB12 CD34 EF56", "link": "/1 /2 /3", "ends": ENDS, "address": OF_LINE, **changes})
    recipient = ListedRecipient(HAND_OUT, OF_LINE, CODE, "sent")
    seen = observe(emails=[email], recipients=[recipient], valid_days={HAND_OUT: 7})

    broken = find_broken_hand_outs(seen, log)
    assert (broken == []) if word is None else any(word in violation for violation in broken)
