"""The stored shape of every event, as an approved snapshot. From release 1.0 on, a difference is a broken promise."""

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psycopg
import pytest
from msgspec.structs import fields, replace

from domain.events.campaign import CampaignTermsEvent
from domain.events.event import Event
from domain.events.hand_out import HandOutCreated
from domain.events.registry import EVENT_TYPES, topic_of
from domain.events.reservation import InviteAttempted, InviteSent
from projections.event_store.codec import UnreadableEventError, decode, encode
from projections.event_store.stored_state import pack, read_fields
from tests.schema.event_examples import AT, EXAMPLES, R
from tests.schema.event_shapes import Shape, approve_shapes, compute_seal, latest_shapes, read_shapes

APPROVE = "if the change is meant, approve it: .venv/bin/python -m tests.schema.event_shapes"

SHAPES = read_shapes()
LATEST = latest_shapes(SHAPES)
PACKED = (
    "87a26174d7ff1d6f28006b057c40a56163746f72a6776f726b6572a96361757365645f6279ce00011170ae72657365727661"
    "74696f6e5f6964c41000000000000000000000000000000001a7617474656d707401ab6c656173655f756e74696cd6ff6b05"
    "7c40a76368616e6e656ca4736d7470"
)
"""A stored state as this release and every later one reads it."""


def test_every_event_type_has_an_example() -> None:
    """A type without a snapshot could change unseen."""
    assert {type(event) for event in EXAMPLES} == set(EVENT_TYPES.values())
    assert {*map(topic_of, EVENT_TYPES.values())} <= {*LATEST}, APPROVE


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: topic_of(type(event)))
def test_every_field_of_an_example_differs_from_its_default(event: Event) -> None:
    """A field at its default is not stored, so its name and type could change unseen."""
    at_default = [field.name for field in fields(type(event)) if getattr(event, field.name) == field.default]

    assert at_default == [], "tests/schema/event_examples.py: give these fields another value"


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: topic_of(type(event)))
def test_stored_shape_is_the_approved_one(event: Event) -> None:
    """Bytes that were written must stay readable, and what we write must be what was approved."""
    topic, state = encode(event)

    assert read_fields(state) == LATEST[topic], APPROVE
    assert decode(topic, state) == event


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.topic}-{shape.seal}")
def test_every_shape_that_was_ever_written_is_read(shape: Shape) -> None:
    event = decode(shape.topic, json.dumps(shape.fields).encode())

    assert type(event) in EVENT_TYPES.values()


def test_approved_shapes_are_only_added() -> None:
    """Each seal is over the line before: an edited, moved or removed line breaks it."""
    seals = ["", *(shape.seal for shape in SHAPES)]
    computed = [compute_seal(before, shape.topic, shape.fields) for before, shape in zip(seals, SHAPES, strict=False)]

    assert seals[1:] == computed, "tests/schema/approved_events.jsonl: restore the lines that were approved before"


def test_only_new_shapes_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "approved.jsonl"
    path.touch()
    event = InviteSent(at=AT, actor="worker", reservation_id=R, attempt=1, server="mx:25")

    assert approve_shapes([event], path) == ["InviteSent:1"]
    assert approve_shapes([event], path) == []
    assert approve_shapes([replace(event, delivery=2)], path) == ["InviteSent:1"]
    assert [shape.fields.get("delivery", 1) for shape in read_shapes(path)] == [1, 2]


@pytest.mark.parametrize("kind", EVENT_TYPES.values(), ids=topic_of)
def test_event_is_read_without_the_fields_that_were_added_later(kind: type[Event]) -> None:
    """A field that a type gained has a default, so what was written before it still reads."""
    topic = topic_of(kind)
    needed = {field.name for field in fields(kind) if field.required}
    state = {name: value for name, value in LATEST[topic].items() if name in needed}

    assert encode(decode(topic, json.dumps(state).encode()))[0] == topic


def test_fields_at_their_default_are_left_out() -> None:
    """The log is forever, so it holds no filler."""
    _, state = encode(InviteSent(at=AT, actor="worker", reservation_id=R, attempt=1, server="mx:25"))

    assert set(read_fields(state)) == {"at", "actor", "reservation_id", "attempt", "server"}


@pytest.mark.parametrize(
    ("topic", "state"),
    [("Nothing:1", b"{}"), ("InviteSent:2", b"{}"), ("InviteSent:1", b"{}"), ("CodeIssued:1", b"not json")],
)
def test_unreadable_input_is_reported(topic: str, state: bytes) -> None:
    with pytest.raises(UnreadableEventError, match=topic.split(":", maxsplit=1)[0]):
        decode(topic, state)


def test_no_personal_field() -> None:
    """No event has a field that could hold an address, a code or free text.

    The names of campaigns and hand-outs are checked as the name of a group is.
    """
    names = {
        name
        for kind in EVENT_TYPES.values()
        for name in kind.__struct_fields__
        if not (issubclass(kind, CampaignTermsEvent | HandOutCreated) and name == "name")
    }

    assert not names & {"email", "address", "code", "text", "note", "reply", "name"}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.topic}-{shape.seal}")
def test_every_approved_shape_reads_alike_in_both_forms(shape: Shape) -> None:
    """Former releases stored JSON; the same event is written as a map today, with the same fields."""
    event = decode(shape.topic, json.dumps(shape.fields).encode())
    topic, state = encode(event)

    assert decode(topic, state) == event
    assert read_fields(state) == json.loads(msgspec.json.encode(event))
    assert len(state) < len(msgspec.json.encode(event))


def test_stored_bytes_are_the_approved_ones() -> None:
    event = InviteAttempted(
        at=AT.replace(microsecond=123456),
        actor="worker",
        caused_by=70_000,
        reservation_id=R,
        attempt=1,
        lease_until=AT.replace(microsecond=0),
        channel="smtp",
    )

    assert pack(event).hex() == PACKED
    assert decode("InviteAttempted:1", bytes.fromhex(PACKED)) == event


def test_database_reads_the_fields_of_every_event(database_url: str) -> None:
    """`event_fields` shows people who ask the database what the program reads, in both forms."""
    far = replace(EXAMPLES[0], at=datetime(8999, 12, 31, 23, 59, 59, 999999, UTC), caused_by=2**40)
    states = [pack(event) for event in [*EXAMPLES, far, *(replace(far, caused_by=number) for number in (200, 40_000))]]
    with psycopg.connect(database_url) as conn:
        rows = conn.execute(
            "SELECT event_fields(packed), event_fields(json) FROM unnest(%s::bytea[], %s::bytea[]) AS s (packed, json)",
            (states, [json.dumps(read_fields(state)).encode() for state in states]),
        ).fetchall()

    assert rows == [(read_fields(state), read_fields(state)) for state in states]
