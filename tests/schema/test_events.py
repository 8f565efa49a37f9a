"""The stored shape of every event, as an approved snapshot. From release 1.0 on, a difference is a broken promise."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import fields

from domain.events import (
    EVENT_TYPES,
    AccessCorrected,
    AccessExpired,
    AccessRemovalFailed,
    AccessRemoved,
    AccessReplaced,
    AccessRevoked,
    CaseClosed,
    CaseOpened,
    CodeIssued,
    CodeNoted,
    CodePaused,
    CodeResumed,
    CodeRevoked,
    CodeTermsChanged,
    Event,
    ExpiryAnnounced,
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
    OpeningBalanceImported,
    RebindReserved,
    ResendRequested,
    UseRefunded,
    UseReserved,
    topic_of,
)
from projections.event_store.codec import UnreadableEventError, decode, encode

APPROVED = json.loads(Path(__file__).with_name("approved_events.json").read_text(encoding="utf-8"))
AT = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)
LATER = AT + timedelta(hours=1)
R, P, C = (UUID(int=number) for number in (1, 2, 3))
WHO: dict[str, Any] = {
    "at": AT,
    "recorded_at": LATER,
    "occurred_at": AT,
    "actor": "worker",
    "actor_id": "host:1",
    "request_id": "t1",
    "caused_by": 2,
    "correlation_id": UUID(int=9),
}
ATTEMPT: dict[str, Any] = {"reservation_id": R, "delivery": 2, "attempt": 3, "kind": "rebind"}

TERMS: dict[str, Any] = {
    "max_uses": 5,
    "expires_at": LATER,
    "validity_days": 30,
    "group": "blue",
    "text_id": C,
    "rebinds_max": 2,
    "bound_to": P,
}
OPENED: dict[str, Any] = {
    "reservation_id": R,
    "recipient_id": P,
    "deadline": LATER,
    "language": "zh",
    "group": "blue",
    "follows": C,
    "corrects": C,
    "waits_for": C,
    "validity_days": 30,
    "activated_at": AT,
    "moves": 1,
    "announced": 3,
}

FULL: list[Event] = [
    CodeIssued(**WHO, **TERMS, bound=False),
    OpeningBalanceImported(**WHO, uses=3, source="csv", reason="stated"),
    CodeTermsChanged(**WHO, **TERMS),
    CodePaused(**WHO, text_id=C),
    CodeResumed(**WHO, text_id=C),
    CodeRevoked(**WHO, text_id=C),
    CodeNoted(**WHO, text_id=C),
    UseReserved(**WHO, **OPENED),
    RebindReserved(**WHO, **OPENED, text_id=C),
    InviteAttempted(**WHO, **ATTEMPT, lease_until=LATER, channel="smtp"),
    InviteSent(**WHO, **ATTEMPT, server="mx:25", reply_code=250),
    InviteFailed(
        **WHO,
        **ATTEMPT,
        server="mx:25",
        reason="temporary",
        retry_at=LATER,
        reply_code=421,
        text_id=C,
        about_connection=True,
    ),
    InviteDeferred(**WHO, **ATTEMPT, server="team", reason="full", until=LATER, deadline=LATER),
    InviteOutcomeUnknown(**WHO, **ATTEMPT, cause="connection_lost", server="mx:25", retry_at=LATER),
    LateSuccessRecorded(**WHO, **ATTEMPT, recipient_id=P, server="mx:25", effect="retaken", reply_code=250),
    InviteBounced(**WHO, reservation_id=R, delivery=2, reason="mailbox_unknown", reply_code=550, text_id=C),
    InviteAccepted(**WHO, reservation_id=R, delivery=2, via="link"),
    UseRefunded(**WHO, reservation_id=R, cause="staff", held="used", kind="rebind", text_id=C),
    CaseOpened(**WHO, reservation_id=R, case_id=C, cause="unknown_outcome", delivery=2),
    CaseClosed(**WHO, reservation_id=R, case_id=C, how="tried_again", retry_at=LATER, deadline=LATER, text_id=C),
    ResendRequested(**WHO, reservation_id=R, delivery=2, deadline=LATER, text_id=C),
    ExpiryAnnounced(**WHO, reservation_id=R, days=7),
    AccessExpired(**WHO, reservation_id=R, notify=False),
    AccessReplaced(**WHO, reservation_id=R, by=C),
    AccessRevoked(**WHO, reservation_id=R, text_id=C),
    AccessRemoved(**WHO, reservation_id=R, channel="smtp", server="mx:25", cause="expired", effect="told"),
    AccessRemovalFailed(
        **WHO,
        reservation_id=R,
        channel="webhook",
        server="team",
        cause="moved",
        reason="temporary",
        attempt=2,
        retry_at=LATER,
        text_id=C,
    ),
    AccessCorrected(**WHO, reservation_id=R, by=C),
    InviteReleased(**WHO, reservation_id=R, deadline=LATER),
    NoteAdded(**WHO, reservation_id=R, text_id=C),
]


def test_every_event_type_has_an_example() -> None:
    """A type without a snapshot could change unseen."""
    assert {type(event) for event in FULL} == set(EVENT_TYPES)
    assert set(APPROVED) == {topic_of(kind) for kind in EVENT_TYPES}


@pytest.mark.parametrize("event", FULL, ids=lambda event: topic_of(type(event)))
def test_the_stored_shape_is_the_approved_one(event: Event) -> None:
    """Bytes that were written must stay readable, and what we write must be what was approved."""
    topic, state = encode(event)

    assert json.loads(state) == APPROVED[topic]
    assert decode(topic, state) == event


@pytest.mark.parametrize("topic", sorted(APPROVED))
def test_the_approved_shape_is_read_back(topic: str) -> None:
    """A log written by this version is read by every later one."""
    event = decode(topic, json.dumps(APPROVED[topic]).encode())

    assert encode(event)[0] == topic


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=topic_of)
def test_an_event_is_read_without_the_fields_that_were_added_later(kind: type[Event]) -> None:
    """A field that a type gained has a default, so what was written before it still reads."""
    topic = topic_of(kind)
    needed = {field.name for field in fields(kind) if field.required}
    state = {name: value for name, value in APPROVED[topic].items() if name in needed}

    assert encode(decode(topic, json.dumps(state).encode()))[0] == topic


def test_fields_at_their_default_are_left_out() -> None:
    """The log is for ever, so it holds no filler."""
    _, state = encode(InviteSent(at=AT, actor="worker", reservation_id=R, attempt=1, server="mx:25"))

    assert set(json.loads(state)) == {"at", "actor", "reservation_id", "attempt", "server"}


@pytest.mark.parametrize(
    ("topic", "state"),
    [("Nothing:1", b"{}"), ("InviteSent:2", b"{}"), ("InviteSent:1", b"{}"), ("CodeIssued:1", b"not json")],
)
def test_what_cannot_be_read_is_said(topic: str, state: bytes) -> None:
    """A poison event names its topic."""
    with pytest.raises(UnreadableEventError, match=topic.split(":", maxsplit=1)[0]):
        decode(topic, state)


def test_no_personal_field() -> None:
    """No event has a field that could hold an address, a code or free text."""
    names = {name for kind in EVENT_TYPES for name in kind.__struct_fields__}

    assert not names & {"email", "address", "code", "text", "note", "reply", "name"}
