"""A reservation as its events tell it: how it begins, and what its state says of it."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.events.access import AccessExpired, ExpiryAnnounced
from domain.events.code import CodePaused
from domain.events.event import ActorKind
from domain.events.registry import EVENT_TYPES
from domain.events.reservation import InviteSent, NoteAdded, RebindReserved, ReservationEvent, UseRefunded, UseReserved
from domain.model.access import Access
from domain.model.reservation import Lease, Reservation
from domain.model.reservation_transitions import TRANSITIONS, evolve_reservation, fold_reservation
from tests.support.ledger.scenario import START

CODE, ID, OTHER, CASE = (UUID(int=number) for number in range(1, 5))
AT, LATER, DEADLINE = (START + timedelta(hours=hours) for hours in (1, 2, 3))
TICK = timedelta(microseconds=1)
RESERVED = UseReserved(
    at=START, actor="key", request_id="r1", reservation_id=ID, recipient_id=OTHER, deadline=DEADLINE, language="en"
)
LIVE = fold_reservation(CODE, [(2, RESERVED)])
SENT = replace(LIVE, status="sent", sent_at=AT, next_attempt_at=None, proved_deliveries=(1,))
REFUNDED = replace(LIVE, status="refunded", refunded_at=AT, next_attempt_at=None)
LEASE = Lease(attempt=1, version=3, channel="smtp", until=LATER, worker="w1", task_id="t1")
ENDED = Access(validity_days=30, ending="expired", ended_at=AT, removal="removing", removal_at=LATER)


def test_use_reserved_begins_a_reservation_with_its_fields() -> None:
    event = replace(RESERVED, group="Red", follows=CASE, corrects=OTHER, at=AT)

    assert fold_reservation(CODE, [(2, event)]) == Reservation(
        reservation_id=ID,
        code_id=CODE,
        recipient_id=OTHER,
        versions=(2,),
        moved_by=2,
        reserved_at=AT,
        delivery_at=AT,
        deadline=DEADLINE,
        language="en",
        kind="redeem",
        group="Red",
        follows=CASE,
        corrects=OTHER,
        next_attempt_at=AT,
        timed_at=AT,
        opened_by="key",
        request_id="r1",
    )


@pytest.mark.parametrize("start", [UseReserved, RebindReserved])
def test_reservation_begins_with_each_field_of_the_same_name(start: type[UseReserved | RebindReserved]) -> None:
    """A field that is added to both is named in the fold, too: each has another value here than by default."""
    names = [name for name in start.__struct_fields__ if name in Reservation.__struct_fields__]
    values = {name: UUID(int=number) for number, name in enumerate(names, start=100)}
    fields: dict[str, Any] = {"at": START, "actor": "key", **values}
    event = start(**fields)
    reservation = fold_reservation(CODE, [(2, event)])

    assert {name: getattr(reservation, name) for name in names} == values
    assert len(names) > 5


def test_rebind_begins_a_reservation_that_waits() -> None:
    event = RebindReserved(
        at=START,
        actor="staff",
        reservation_id=ID,
        recipient_id=OTHER,
        deadline=DEADLINE,
        language="zh",
        waits_for=CASE,
        validity_days=30,
        activated_at=START,
        moves=2,
        announced=3,
    )

    reservation = fold_reservation(CODE, [(2, event)])

    assert (reservation.kind, reservation.waits_for, reservation.next_attempt_at) == ("rebind", CASE, None)
    assert reservation.access == Access(validity_days=30, activated_at=START, moves=2, announced=(3,))


@pytest.mark.parametrize(
    ("promise", "access"),
    [
        ({}, None),
        ({"validity_days": 30}, Access(validity_days=30)),
        ({"activated_at": START}, Access(activated_at=START)),
        ({"moves": 1}, Access(moves=1)),
        ({"announced": 7}, Access(announced=(7,))),
    ],
)
def test_access_is_kept_where_there_is_something_to_say(promise: dict[str, Any], access: Access | None) -> None:
    assert fold_reservation(CODE, [(2, replace(RESERVED, **promise))]).access == access


@pytest.mark.parametrize("actor", ["staff", "key", "operator", "worker", "person", "sweep", "channel", "import"])
def test_event_is_kept_as_the_last_one_and_as_the_last_act_of_staff(actor: ActorKind) -> None:
    """Versions add up; only actors with rights leave their request and the name of their act."""
    event = ExpiryAnnounced(at=START, actor=actor, reservation_id=ID, request_id="r2", days=7)

    after = evolve_reservation(replace(SENT, staff_request_id="r0", staff_act="NoteAdded"), CODE, 9, event)

    has_rights = actor in {"staff", "key", "operator"}
    assert (after.versions, after.moved_by) == ((2, 9), 9)
    assert (after.staff_request_id, after.staff_act) == (
        ("r2", "ExpiryAnnounced") if has_rights else ("r0", "NoteAdded")
    )


def test_note_moves_nothing() -> None:
    """It is one of the versions; what comes next still follows from the event before."""
    after = evolve_reservation(
        LIVE, CODE, 9, NoteAdded(at=START, actor="staff", reservation_id=ID, request_id="r2", text_id=OTHER)
    )

    assert after == replace(LIVE, versions=(2, 9))


def test_fold_rejects_what_begins_no_reservation() -> None:
    with pytest.raises(ValueError, match=r"^a reservation has at least one event$"):
        fold_reservation(CODE, [])
    with pytest.raises(LookupError, match=rf"^no event before it opens reservation {ID}$"):
        evolve_reservation(None, CODE, 2, NoteAdded(at=START, actor="staff", reservation_id=ID, text_id=OTHER))
    with pytest.raises(TypeError, match=r"^no fold for CodePaused$"):
        evolve_reservation(LIVE, CODE, 2, CodePaused(at=START, actor="staff"))  # type: ignore[arg-type]  # what a bug would pass


@pytest.mark.parametrize(
    ("reservation", "is_live", "is_processed", "occupies"),
    [
        (LIVE, True, True, True),
        (SENT, False, False, True),
        (replace(SENT, resending=True), False, True, True),
        (REFUNDED, False, False, False),
    ],
)
def test_status_shows_what_is_reserved_and_processed(
    reservation: Reservation, *, is_live: bool, is_processed: bool, occupies: bool
) -> None:
    assert (reservation.is_live, reservation.is_being_processed, reservation.occupies_use) == (
        is_live,
        is_processed,
        occupies,
    )


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, "reserved"),
        ({"status": "refunded", "case_id": CASE}, "refunded"),
        ({"status": "sent", "case_id": CASE}, "sent"),
        ({"case_id": CASE, "lease": LEASE}, "unknown"),
        ({"lease": LEASE, "ever_unknown": True}, "sending"),
        ({"ever_unknown": True, "deferred": True}, "unknown"),
        ({"deferred": True}, "waiting"),
        ({"waits_for": CASE}, "waiting"),
    ],
)
def test_public_state_is_the_first_that_applies(change: dict[str, Any], state: str) -> None:
    """Settled before parked, parked before sending, sending before unknown, unknown before waiting."""
    assert replace(LIVE, **change).public_state == state


@pytest.mark.parametrize(
    ("change", "due_at"),
    [
        ({}, START),
        ({"next_attempt_at": DEADLINE + TICK}, DEADLINE),
        ({"next_attempt_at": None}, DEADLINE),
        ({"lease": LEASE, "next_attempt_at": None}, LATER),
        ({"case_id": CASE, "lease": LEASE}, None),
        ({"waits_for": CASE, "lease": LEASE}, None),
        ({"status": "sent"}, None),
        ({"status": "refunded"}, None),
        ({"status": "sent", "resending": True}, START),
    ],
)
def test_due_time_is_the_next_attempt_the_lease_or_the_deadline(
    change: dict[str, Any], due_at: datetime | None
) -> None:
    assert replace(LIVE, **change).due_at == due_at


@pytest.mark.parametrize(
    ("change", "is_deferred"),
    [
        ({"deferred": True}, True),
        ({}, False),
        ({"deferred": True, "case_id": CASE}, False),
        ({"deferred": True, "status": "sent"}, False),
    ],
)
def test_only_a_pending_reservation_without_a_case_is_deferred(change: dict[str, Any], *, is_deferred: bool) -> None:
    assert replace(LIVE, **change).is_deferred is is_deferred


def test_rebind_is_no_use() -> None:
    assert (LIVE.is_use, replace(LIVE, kind="rebind").is_use) == (True, False)


@pytest.mark.parametrize(
    ("change", "activated_at", "ends_at"),
    [
        ({}, None, None),
        ({"sent_at": AT}, AT, None),
        ({"sent_at": AT, "access": Access(validity_days=2)}, AT, AT + timedelta(days=2)),
        ({"sent_at": AT, "access": Access(activated_at=START, validity_days=2)}, START, START + timedelta(days=2)),
        ({"access": Access(activated_at=START)}, START, None),
        ({"access": Access(validity_days=2)}, None, None),
    ],
)
def test_access_begins_with_its_first_activation(
    change: dict[str, Any], activated_at: datetime | None, ends_at: datetime | None
) -> None:
    reservation = replace(LIVE, **change)

    assert (reservation.activated_at, reservation.access_ends_at) == (activated_at, ends_at)


def test_access_is_due_only_where_the_invitation_is_sent() -> None:
    timed = Access(validity_days=30)

    assert replace(SENT, access=timed).access_due_at == AT + timedelta(days=23)
    assert replace(SENT, access=timed, status="refunded").access_due_at is None
    assert SENT.access_due_at is None
    assert replace(SENT, access=ENDED).access_due_at == LATER


@pytest.mark.parametrize(
    ("reservation", "has_access", "needs_none"),
    [
        (SENT, True, False),
        (replace(SENT, access=Access()), True, False),
        (replace(SENT, access=ENDED), False, True),
        (LIVE, False, False),
        (replace(LIVE, accepted_at=AT), False, True),
        (replace(SENT, accepted_at=AT), True, True),
    ],
)
def test_further_delivery_is_needed_until_acceptance_or_end(
    reservation: Reservation, *, has_access: bool, needs_none: bool
) -> None:
    assert (reservation.has_active_access, reservation.needs_no_delivery) == (has_access, needs_none)


@pytest.mark.parametrize(
    ("change", "is_elsewhere"),
    [
        ({"proved_deliveries": (1,), "channels": ("hook",)}, True),
        ({"ever_unknown": True, "channels": ("hook",)}, True),
        ({"proved_deliveries": (1,)}, True),
        ({"channels": ("hook",)}, False),
        ({"proved_deliveries": (1,), "channels": ("smtp",)}, False),
        ({"proved_deliveries": (1,), "channels": ("smtp", "hook")}, True),
        ({"proved_deliveries": (1,), "channels": ("hook",), "access": Access(validity_days=1)}, True),
        ({"proved_deliveries": (1,), "channels": ("hook",), "access": ENDED}, False),
    ],
)
def test_external_system_holds_what_it_may_have_received(change: dict[str, Any], *, is_elsewhere: bool) -> None:
    assert replace(LIVE, **change).is_held_elsewhere is is_elsewhere


@pytest.mark.parametrize(
    ("channels", "is_by_email"),
    [((), False), (("smtp",), True), (("smtp", "hook"), False), (("hook",), False)],
)
def test_only_email_was_asked(channels: tuple[str, ...], *, is_by_email: bool) -> None:
    """Of what was imported it is not known."""
    assert replace(LIVE, channels=channels).is_by_email_only is is_by_email


def test_bounds_of_time_belong_to_one_side_each() -> None:
    timed = replace(SENT, access=Access(validity_days=1))
    end = AT + timedelta(days=1)
    assert [timed.is_access_over(now) for now in (end - TICK, end, end + TICK)] == [False, True, True]
    assert not SENT.is_access_over(end)

    last = AT + timedelta(seconds=60)
    assert [SENT.may_person_correct(now, 60) for now in (last - TICK, last, last + TICK)] == [True, True, False]
    assert LIVE.may_person_correct(last + TICK, 60)
    for bounced_at, late in ((AT + timedelta(hours=5), last + timedelta(hours=5)), (AT - timedelta(hours=5), last)):
        bounced = replace(SENT, bounced_at=bounced_at)
        assert [bounced.may_person_correct(now, 60) for now in (late, late + TICK)] == [True, False]

    leased = replace(LIVE, lease=LEASE)
    assert [leased.is_leased(now) for now in (LATER - TICK, LATER, LATER + TICK)] == [True, False, False]
    assert not LIVE.is_leased(START)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "sent"},
        {"status": "refunded"},
        {"deadline": DEADLINE + TICK},
        {"lease": LEASE},
        {"ever_unknown": True},
        {"case_id": CASE},
        {"waits_for": CASE},
    ],
)
def test_each_obstacle_prevents_an_automatic_refund(change: dict[str, Any]) -> None:
    """At the deadline, and not before; each of the others alone is enough too."""
    assert LIVE.is_overdue(DEADLINE)
    assert not replace(LIVE, **change).is_overdue(DEADLINE)


@pytest.mark.parametrize(
    ("request_id", "event_types", "is_handled"),
    [
        ("r2", (InviteSent, UseRefunded), True),
        ("r2", (AccessExpired,), False),
        ("r2", (), False),
        ("r3", (UseRefunded,), False),
        (None, (UseRefunded,), False),
    ],
)
def test_request_is_handled_by_the_last_act_of_staff(
    request_id: str | None, event_types: tuple[Any, ...], *, is_handled: bool
) -> None:
    reservation = replace(REFUNDED, staff_request_id="r2", staff_act="UseRefunded")

    assert reservation.was_handled_in_request(request_id, *event_types) is is_handled
    assert not replace(reservation, staff_request_id=None).was_handled_in_request(None, UseRefunded)


def test_every_event_of_a_reservation_has_a_transition() -> None:
    kinds = {kind for kind in EVENT_TYPES.values() if issubclass(kind, ReservationEvent)}

    assert set(TRANSITIONS) == kinds - {UseReserved, RebindReserved}
