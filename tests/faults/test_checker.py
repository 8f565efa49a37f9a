"""The checker finds what it is there for: each broken promise, planted manually, is named."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.chaos.checker import violations
from tests.faults.chaos.observations import Acknowledgement, BalanceFacts, LogFact, Observations, ReservationFacts

Kind = str | tuple[str, dict[str, Any]]
CODE, RESERVATION = "c0de", "1234"
MAIL = f"<{RESERVATION}.1@example.com>"


def facts(*kinds: Kind) -> list[LogFact]:
    log_facts = []
    for version, kind in enumerate(["CodeIssued", *kinds], start=1):
        name, more = kind if isinstance(kind, tuple) else (kind, {})
        about = {} if name == "CodeIssued" else {"reservation_id": RESERVATION}
        log_facts.append(LogFact(CODE, version, name, {"actor": "worker", **about, **more}))
    return log_facts


RESERVED: Kind = ("UseReserved", {"actor": "person"})
BACK: Kind = ("UseRefunded", {"held": "reserved", "actor": "sweep"})
SENT: list[Kind] = [RESERVED, "InviteAttempted", "InviteSent"]
GOOD = Observations(
    acks=[Acknowledgement("a", RESERVATION), Acknowledgement("a", RESERVATION)],
    states={RESERVATION: "sent"},
    facts=facts(*SENT),
    rows=[ReservationFacts(RESERVATION, CODE, "sent", has_case=False)],
    balances=[BalanceFacts(CODE, 1, 1, 0)],
    message_ids=[MAIL],
)


def test_good_run_breaks_nothing() -> None:
    assert violations(GOOD) == []


def test_unknown_outcome_that_was_retried_may_be_mailed_twice() -> None:
    """Allowed, with one Message-ID."""
    log = facts(RESERVED, "InviteAttempted", "InviteOutcomeUnknown", "InviteAttempted", "InviteSent")

    assert violations(replace(GOOD, facts=log, message_ids=[MAIL, MAIL])) == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"acks": [Acknowledgement("a", "9999")]}, "lost: 9999"),
        ({"acks": [Acknowledgement("a", RESERVATION), Acknowledgement("a", "9999")]}, "several reservations"),
        ({"acks": [Acknowledgement("a", RESERVATION), Acknowledgement("b", RESERVATION)]}, "given to several"),
        ({"defects": ["500 on a redeem"]}, "500 on a redeem"),
        ({"rows": [ReservationFacts(RESERVATION, CODE, "live", has_case=False)]}, "stuck"),
        ({"balances": [BalanceFacts(CODE, 1, 0, 0)]}, "row says 0+0, log says 1+0"),
        ({"balances": [BalanceFacts(CODE, 0, 1, 0)]}, "over the limit"),
        ({"message_ids": []}, "counted and never mailed"),
        ({"message_ids": [MAIL, MAIL]}, "mailed 2 times without a doubt"),
        ({"message_ids": [MAIL, f"<{RESERVATION}.2@example.com>"]}, "several Message-IDs"),
        ({"states": {RESERVATION: "refunded"}}, "the API says 'refunded'"),
        ({"states": {RESERVATION: ""}}, "the API says ''"),
    ],
)
def test_broken_guarantee_is_named(changes: dict[str, Any], word: str) -> None:
    assert any(word in violation for violation in violations(replace(GOOD, **changes)))


@pytest.mark.parametrize(
    ("log", "word"),
    [
        ([*SENT, "InviteSent"], "double count"),
        ([RESERVED, BACK, BACK], "double refund"),
        ([*SENT, BACK], "double refund"),
        ([RESERVED, "InviteAttempted", "InviteOutcomeUnknown", BACK], "gave back a doubt"),
        ([RESERVED, BACK, "InviteSent"], "double count"),
        ([*SENT, ("LateSuccessRecorded", {"effect": "retaken"})], "double count by a retake"),
        ([RESERVED, "InviteAttempted", BACK], "free use"),
    ],
)
def test_broken_history_is_named(log: Sequence[Any], word: str) -> None:
    status = "refunded" if word == "free use" else "sent"
    seen = replace(GOOD, facts=facts(*log), rows=[ReservationFacts(RESERVATION, CODE, status, has_case=False)])

    assert any(word in violation for violation in violations(seen))
