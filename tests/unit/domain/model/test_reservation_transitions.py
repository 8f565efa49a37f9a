"""Each event changes exactly what it says of a reservation, and nothing else."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import asdict, replace

from domain.events.access import (
    AccessCorrected,
    AccessExpired,
    AccessRemovalFailed,
    AccessRemoved,
    AccessReplaced,
    AccessRevoked,
    ExpiryAnnounced,
    InviteReminded,
)
from domain.events.reservation import (
    CaseClosed,
    CaseOpened,
    InviteAccepted,
    InviteAttempted,
    InviteBounced,
    InviteDeferred,
    InviteFailed,
    InviteOutcomeUnknown,
    InviteReleased,
    InviteSent,
    LateSuccessRecorded,
    NoteAdded,
    ResendRequested,
    ReservationEvent,
    UseRefunded,
    UseReserved,
)
from domain.model.access import Access
from domain.model.reservation import Lease, Reservation
from domain.model.reservation_transitions import evolve_reservation, fold_reservation
from tests.support.ledger.scenario import START

CODE, ID, OTHER, CASE = (UUID(int=number) for number in range(1, 5))
AT, LATER, DEADLINE = (START + timedelta(hours=hours) for hours in (1, 2, 3))
FIELDS: dict[str, Any] = {"at": AT, "actor": "worker", "reservation_id": ID}
ATTEMPT: dict[str, Any] = {**FIELDS, "attempt": 3}
RESERVED = UseReserved(
    at=START, actor="key", request_id="r1", reservation_id=ID, recipient_id=OTHER, deadline=DEADLINE, language="en"
)
LEASE = Lease(attempt=2, version=4, channel="smtp", until=LATER, worker="w1", task_id="t1")
LIVE = replace(
    fold_reservation(CODE, [(2, RESERVED)]),
    attempts=2,
    connection_failures=5,
    last_attempt=2,
    next_attempt_at=START,
    deferred=True,
    lease=LEASE,
    channels=("smtp",),
)
IDLE = replace(LIVE, lease=None)
SENT = replace(
    LIVE, status="sent", sent_at=START, proved_attempts=(2,), proved_deliveries=(1,), delivery=2, resending=True
)
IDLE_SENT = replace(SENT, lease=None)
REFUNDED = replace(
    LIVE,
    status="refunded",
    lease=None,
    refunded_at=START,
    refund_cause="staff",
    refund_request_id="r9",
    next_attempt_at=None,
)
ENDED = Access(
    validity_days=30, ending="expired", ended_at=START, removal="removing", removal_attempts=4, removal_at=START
)
STANDING = Access(validity_days=30, announced=(7,))


def find_changes(before: Reservation, event: ReservationEvent) -> dict[str, Any]:
    """The fields that one event changes, but for those that every event does and the time of waits."""
    after = asdict(evolve_reservation(before, CODE, 9, event))
    if after["access"] is not None:
        after["access"] = replace(after["access"], removal_timed_at=None)
    changes = {name: value for name, value in after.items() if value != getattr(before, name)}
    return {name: value for name, value in changes.items() if name not in {"versions", "moved_by", "timed_at"}}


def end_of(ending: str, **more: Any) -> Access:
    fields: dict[str, Any] = {"ending": ending, "ended_at": AT, "removal": "removing", "removal_at": AT}
    return Access(**{**fields, **more})


PROVED_3 = {"last_attempt": 3, "proved_attempts": (3,), "proved_deliveries": (1,)}
PARKED, PARKED_SENT = replace(LIVE, case_id=CASE), replace(SENT, case_id=CASE)
DELIVERY: dict[str, tuple[Reservation, ReservationEvent, dict[str, Any]]] = {
    "attempt-by-a-new-channel": (
        replace(IDLE, channels=("hook",)),
        InviteAttempted(**ATTEMPT, lease_until=LATER, channel="smtp", actor_id="w2", request_id="t2"),
        {
            "lease": Lease(attempt=3, version=9, channel="smtp", until=LATER, worker="w2", task_id="t2"),
            "attempts": 3,
            "last_attempt": 3,
            "next_attempt_at": None,
            "deferred": False,
            "channels": ("hook", "smtp"),
        },
    ),
    "attempt-by-the-same-channel": (
        replace(IDLE, next_attempt_at=None, deferred=False),
        InviteAttempted(**ATTEMPT, lease_until=LATER, channel="smtp"),
        {
            "lease": Lease(attempt=3, version=9, channel="smtp", until=LATER, worker=None, task_id=None),
            "attempts": 3,
            "last_attempt": 3,
        },
    ),
    "sent": (
        LIVE,
        InviteSent(**ATTEMPT, server="mx:25"),
        {"status": "sent", "lease": None, "next_attempt_at": None, "sent_at": AT, **PROVED_3},
    ),
    "newest-delivery-sent": (
        replace(SENT, next_attempt_at=START),
        InviteSent(**ATTEMPT, delivery=2, server="mx:25"),
        {
            "lease": None,
            "next_attempt_at": None,
            "resending": False,
            "last_attempt": 3,
            "proved_attempts": (2, 3),
            "proved_deliveries": (1, 2),
        },
    ),
    "older-delivery-sent": (
        replace(SENT, delivery=3, last_attempt=7),
        InviteSent(**ATTEMPT, delivery=2, server="mx:25"),
        {"proved_attempts": (2, 3), "proved_deliveries": (1, 2)},
    ),
    "late-success-counted-again": (
        REFUNDED,
        LateSuccessRecorded(**ATTEMPT, recipient_id=OTHER, server="mx:25", effect="retaken"),
        {
            "status": "sent",
            "sent_at": AT,
            "refunded_at": None,
            "refund_cause": None,
            "refund_request_id": None,
            **PROVED_3,
        },
    ),
    "late-success-keeps-the-first-time-of-sending": (
        replace(REFUNDED, sent_at=START),
        LateSuccessRecorded(**ATTEMPT, recipient_id=OTHER, server="mx:25", effect="retaken"),
        {"status": "sent", "refunded_at": None, "refund_cause": None, "refund_request_id": None, **PROVED_3},
    ),
    **{
        f"late-success-{effect}": (
            replace(SENT, access=replace(ENDED, removal="removed"), channels=("hook",)),
            LateSuccessRecorded(**ATTEMPT, recipient_id=OTHER, server="mx:25", effect=effect),
            {"last_attempt": 3, "proved_attempts": (2, 3)},
        )
        for effect in ("duplicate", "not_retaken")
    },
    **{
        f"late-success-of-{removal}-access-asks-removal-again": (
            replace(SENT, access=replace(ENDED, removal=removal), channels=("smtp", "hook")),
            LateSuccessRecorded(**ATTEMPT, recipient_id=OTHER, server="mx:25", effect="ended"),
            {
                "last_attempt": 3,
                "proved_attempts": (2, 3),
                "access": replace(ENDED, removal="removing", removal_attempts=0, removal_at=AT),
            },
        )
        for removal in ("removed", "told")
    },
    **{
        name: (
            replace(SENT, access=access, channels=channels),
            LateSuccessRecorded(**ATTEMPT, recipient_id=OTHER, server="mx:25", effect="ended"),
            {"last_attempt": 3, "proved_attempts": (2, 3)},
        )
        for name, access, channels in (
            ("late-success-by-email-only", replace(ENDED, removal="removed"), ("smtp",)),
            ("late-success-while-removing", ENDED, ("hook",)),
            ("late-success-after-failed-removal", replace(ENDED, removal="removal_failed"), ("hook",)),
            ("late-success-without-access", None, ("hook",)),
        )
    },
    "failure": (
        LIVE,
        InviteFailed(**ATTEMPT, server="mx:25", reason="temporary", retry_at=LATER),
        {"lease": None, "next_attempt_at": LATER, "connection_failures": 0},
    ),
    "failure-of-the-connection": (
        LIVE,
        InviteFailed(**ATTEMPT, server="mx:25", reason="temporary", retry_at=LATER, about_connection=True),
        {"lease": None, "next_attempt_at": LATER, "attempts": 1, "connection_failures": 6},
    ),
    "last-failure-of-an-unneeded-resend": (
        replace(SENT, accepted_at=START),
        InviteFailed(**ATTEMPT, server="mx:25", reason="temporary"),
        {"lease": None, "next_attempt_at": None, "connection_failures": 0, "resending": False},
    ),
    "failure-of-an-unneeded-resend": (
        replace(SENT, accepted_at=START),
        InviteFailed(**ATTEMPT, server="mx:25", reason="temporary", retry_at=LATER),
        {"lease": None, "next_attempt_at": LATER, "connection_failures": 0},
    ),
    "last-failure-of-a-resend": (
        SENT,
        InviteFailed(**ATTEMPT, server="mx:25", reason="temporary"),
        {"lease": None, "next_attempt_at": None, "connection_failures": 0},
    ),
    "deferral": (
        replace(LIVE, deferred=False),
        InviteDeferred(**ATTEMPT, server="hook", reason="full", until=LATER, deadline=LATER),
        {"lease": None, "attempts": 1, "next_attempt_at": LATER, "deadline": LATER, "deferred": True},
    ),
    "unknown": (
        LIVE,
        InviteOutcomeUnknown(**ATTEMPT, cause="timeout"),
        {"lease": None, "next_attempt_at": None, "ever_unknown": True},
    ),
    "unknown-of-an-unneeded-resend": (
        replace(SENT, accepted_at=START),
        InviteOutcomeUnknown(**ATTEMPT, cause="timeout"),
        {"lease": None, "next_attempt_at": None, "ever_unknown": True, "resending": False},
    ),
    "unknown-of-an-unneeded-resend-with-a-retry": (
        replace(SENT, accepted_at=START),
        InviteOutcomeUnknown(**ATTEMPT, cause="timeout", retry_at=LATER),
        {"lease": None, "next_attempt_at": LATER, "ever_unknown": True},
    ),
    "bounce": (
        replace(SENT, bounced_deliveries=(1,)),
        InviteBounced(**FIELDS, reason="other", delivery=2),
        {"bounced_deliveries": (1, 2), "bounced_at": AT},
    ),
    "bounce-of-an-earlier-delivery": (
        replace(SENT, bounced_deliveries=(2,), bounced_at=START),
        InviteBounced(**FIELDS, reason="other", delivery=1),
        {"bounced_deliveries": (2, 1)},
    ),
    "acceptance": (
        IDLE_SENT,
        InviteAccepted(**FIELDS, via="link"),
        {"accepted_at": AT, "accepted_via": "link", "next_attempt_at": None, "resending": False},
    ),
    "second-acceptance-while-sending": (
        replace(SENT, accepted_at=START, accepted_via="link"),
        InviteAccepted(**FIELDS, via="hook"),
        {},
    ),
    "refund": (
        replace(SENT, waits_for=OTHER),
        UseRefunded(**FIELDS, request_id="r2", cause="cancelled", held="used"),
        {
            "lease": None,
            "next_attempt_at": None,
            "resending": False,
            "waits_for": None,
            "status": "refunded",
            "refunded_at": AT,
            "refund_cause": "cancelled",
            "refund_request_id": "r2",
        },
    ),
    "case-opened": (
        LIVE,
        CaseOpened(**FIELDS, case_id=CASE, cause="bounced"),
        {"next_attempt_at": None, "case_id": CASE},
    ),
}
STAFF_OR_ACCESS: dict[str, tuple[Reservation, ReservationEvent, dict[str, Any]]] = {
    "closed-live": (PARKED, CaseClosed(**FIELDS, case_id=CASE, how="resolved_sent"), {"case_id": None}),
    "closed-while-resending": (PARKED_SENT, CaseClosed(**FIELDS, case_id=CASE, how="resolved_sent"), {"case_id": None}),
    "closed-after-the-last-attempt-of-a-resend": (
        replace(PARKED_SENT, lease=None),
        CaseClosed(**FIELDS, case_id=CASE, how="resolved_sent"),
        {"case_id": None, "resending": False},
    ),
    "access-removed-manually": (
        replace(PARKED_SENT, access=ENDED),
        CaseClosed(**FIELDS, case_id=CASE, how="removed_by_hand"),
        {"case_id": None, "access": replace(ENDED, removal="removed")},
    ),
    "access-is-left-as-it-is": (
        replace(PARKED_SENT, access=ENDED),
        CaseClosed(**FIELDS, case_id=CASE, how="resolved_sent"),
        {"case_id": None},
    ),
    "no-access": (PARKED_SENT, CaseClosed(**FIELDS, case_id=CASE, how="removed_by_hand"), {"case_id": None}),
    "removal-is-tried-again": (
        replace(PARKED_SENT, access=replace(ENDED, removal="removal_failed", removal_at=None)),
        CaseClosed(**FIELDS, case_id=CASE, how="retry", retry_at=LATER),
        {"case_id": None, "access": replace(ENDED, removal_attempts=0, removal_at=LATER)},
    ),
    "sending-is-tried-again": (
        replace(PARKED, access=ENDED),
        CaseClosed(**FIELDS, case_id=CASE, how="retry", retry_at=LATER, deadline=LATER),
        {
            "case_id": None,
            "attempts": 0,
            "connection_failures": 0,
            "next_attempt_at": LATER,
            "deadline": LATER,
        },
    ),
    "resend-is-tried-again-until-the-same-deadline": (
        PARKED_SENT,
        CaseClosed(**FIELDS, case_id=CASE, how="retry", retry_at=LATER),
        {"case_id": None, "attempts": 0, "connection_failures": 0, "next_attempt_at": LATER},
    ),
    "resend-requested": (
        replace(SENT, resending=False, delivery=1, next_attempt_at=None),
        ResendRequested(**FIELDS, delivery=2, deadline=LATER),
        {
            "delivery": 2,
            "delivery_at": AT,
            "deadline": LATER,
            "next_attempt_at": AT,
            "attempts": 0,
            "connection_failures": 0,
            "deferred": False,
            "resending": True,
        },
    ),
    "announcement": (
        replace(IDLE_SENT, access=STANDING),
        ExpiryAnnounced(**FIELDS, days=3),
        {"access": replace(STANDING, announced=(7, 3))},
    ),
    "first-announcement": (IDLE_SENT, ExpiryAnnounced(**FIELDS, days=3), {"access": Access(announced=(3,))}),
    "reminder": (IDLE_SENT, InviteReminded(**FIELDS, days=5), {"access": Access(reminded=5)}),
    "expiry": (
        replace(IDLE_SENT, access=replace(STANDING, removal_attempts=4)),
        AccessExpired(**FIELDS),
        {
            "access": end_of("expired", validity_days=30, announced=(7,)),
            "next_attempt_at": None,
            "resending": False,
        },
    ),
    "expiry-before-an-import-while-sending": (
        SENT,
        AccessExpired(**FIELDS, notify=False),
        {"access": Access(ending="expired", ended_at=AT)},
    ),
    "replacement": (
        IDLE_SENT,
        AccessReplaced(**FIELDS, by=OTHER),
        {"access": end_of("moved", replaced_by=OTHER), "next_attempt_at": None, "resending": False},
    ),
    "correction": (
        replace(REFUNDED, access=STANDING),
        AccessCorrected(**FIELDS, by=OTHER),
        {"access": end_of("corrected", replaced_by=OTHER, validity_days=30, announced=(7,))},
    ),
    "release": (
        replace(LIVE, waits_for=OTHER, next_attempt_at=None),
        InviteReleased(**FIELDS, deadline=LATER),
        {"waits_for": None, "next_attempt_at": AT, "deadline": LATER},
    ),
    "revocation-by-staff": (
        IDLE_SENT,
        AccessRevoked(**{**FIELDS, "actor": "staff"}, request_id="r2"),
        {
            "access_revoked_at": AT,
            "access": end_of("withdrawn"),
            "next_attempt_at": None,
            "resending": False,
            "staff_request_id": "r2",
            "staff_act": "AccessRevoked",
        },
    ),
    "revocation-that-a-channel-reports": (
        IDLE_SENT,
        AccessRevoked(**{**FIELDS, "actor": "channel"}),
        {
            "access_revoked_at": AT,
            "access": end_of("withdrawn", removal="removed", removal_at=None),
            "next_attempt_at": None,
            "resending": False,
        },
    ),
    "revocation-of-an-ended-access": (
        replace(SENT, access=ENDED),
        AccessRevoked(**{**FIELDS, "actor": "channel"}),
        {"access_revoked_at": AT, "access": replace(ENDED, removal="removed", removal_at=None)},
    ),
    **{
        f"removal-{effect}": (
            replace(IDLE_SENT, access=ENDED),
            AccessRemoved(**FIELDS, channel="smtp", server="mx:25", cause="expired", effect=effect),
            {"access": replace(ENDED, removal=effect, removal_at=None)},
        )
        for effect in ("removed", "told")
    },
    "removal-without-access": (
        IDLE_SENT,
        AccessRemoved(**FIELDS, channel="smtp", server="mx:25", cause="expired"),
        {"access": Access(removal="removed")},
    ),
    "failed-removal-with-a-retry": (
        replace(IDLE_SENT, access=ENDED),
        AccessRemovalFailed(**ATTEMPT, channel="h", server="s", cause="expired", reason="timeout", retry_at=LATER),
        {"access": replace(ENDED, removal_attempts=3, removal_at=LATER)},
    ),
    "last-failed-removal": (
        replace(IDLE_SENT, access=ENDED),
        AccessRemovalFailed(**ATTEMPT, channel="h", server="s", cause="expired", reason="timeout"),
        {"access": replace(ENDED, removal="removal_failed", removal_attempts=3, removal_at=None)},
    ),
    "note": (LIVE, NoteAdded(**FIELDS, text_id=OTHER), {}),
}


@pytest.mark.parametrize(
    ("before", "event", "changes"), [*DELIVERY.values(), *STAFF_OR_ACCESS.values()], ids=[*DELIVERY, *STAFF_OR_ACCESS]
)
def test_event_changes_exactly_its_fields(
    before: Reservation, event: ReservationEvent, changes: dict[str, Any]
) -> None:
    assert find_changes(before, event) == changes


@pytest.mark.parametrize(
    ("before", "proved"), [((), (3,)), ((2,), (2, 3)), ((3,), (3,)), ((2, 3, 5), (2, 3, 5)), ((2, 5), (2, 3, 5))]
)
def test_proved_attempts_are_in_order_and_once_each(before: tuple[int, ...], proved: tuple[int, ...]) -> None:
    reservation = replace(SENT, proved_attempts=before, last_attempt=5)

    after = evolve_reservation(reservation, CODE, 9, InviteSent(**ATTEMPT, delivery=2, server="mx:25"))

    assert (after.proved_attempts, after.last_attempt) == (proved, 5)
