"""The stored shape of every event, as an approved snapshot. From release 1.0 on, a difference is a broken promise."""

import json
from pathlib import Path

import pytest
from msgspec.structs import fields, replace

from domain.events import EVENT_TYPES, Event, InviteSent, topic_of
from projections.event_store.codec import UnreadableEventError, decode, encode
from tests.schema.event_examples import AT, EXAMPLES, R
from tests.schema.event_shapes import Shape, approve_shapes, compute_seal, latest_shapes, read_shapes

APPROVE = "if the change is meant, approve it: .venv/bin/python -m tests.schema.event_shapes"

SHAPES = read_shapes()
LATEST = latest_shapes(SHAPES)


def test_every_event_type_has_an_example() -> None:
    """A type without a snapshot could change unseen."""
    assert {type(event) for event in EXAMPLES} == set(EVENT_TYPES)
    assert {topic_of(kind) for kind in EVENT_TYPES} <= {*LATEST}, APPROVE


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: topic_of(type(event)))
def test_every_field_of_an_example_differs_from_its_default(event: Event) -> None:
    """A field at its default is not stored, so its name and type could change unseen."""
    at_default = [field.name for field in fields(type(event)) if getattr(event, field.name) == field.default]

    assert at_default == [], "tests/schema/event_examples.py: give these fields another value"


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: topic_of(type(event)))
def test_the_stored_shape_is_the_approved_one(event: Event) -> None:
    """Bytes that were written must stay readable, and what we write must be what was approved."""
    topic, state = encode(event)

    assert json.loads(state) == LATEST[topic], APPROVE
    assert decode(topic, state) == event


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.topic}-{shape.seal}")
def test_every_shape_that_was_ever_written_is_read(shape: Shape) -> None:
    """A log written by any version is read by every later one."""
    event = decode(shape.topic, json.dumps(shape.fields).encode())

    assert type(event) in EVENT_TYPES


def test_approved_shapes_are_only_added() -> None:
    """Each seal is over the line before: an edited, moved or removed line breaks it."""
    seals = ["", *(shape.seal for shape in SHAPES)]
    computed = [compute_seal(before, shape.topic, shape.fields) for before, shape in zip(seals, SHAPES, strict=False)]

    assert seals[1:] == computed, "tests/schema/approved_events.jsonl: restore the lines that were approved before"


def test_only_new_shapes_are_appended(tmp_path: Path) -> None:
    """Approving twice adds nothing; a changed shape gets a line below the former one."""
    path = tmp_path / "approved.jsonl"
    path.touch()
    event = InviteSent(at=AT, actor="worker", reservation_id=R, attempt=1, server="mx:25")

    assert approve_shapes([event], path) == ["InviteSent:1"]
    assert approve_shapes([event], path) == []
    assert approve_shapes([replace(event, delivery=2)], path) == ["InviteSent:1"]
    assert [shape.fields.get("delivery", 1) for shape in read_shapes(path)] == [1, 2]


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=topic_of)
def test_an_event_is_read_without_the_fields_that_were_added_later(kind: type[Event]) -> None:
    """A field that a type gained has a default, so what was written before it still reads."""
    topic = topic_of(kind)
    needed = {field.name for field in fields(kind) if field.required}
    state = {name: value for name, value in LATEST[topic].items() if name in needed}

    assert encode(decode(topic, json.dumps(state).encode()))[0] == topic


def test_fields_at_their_default_are_left_out() -> None:
    """The log is forever, so it holds no filler."""
    _, state = encode(InviteSent(at=AT, actor="worker", reservation_id=R, attempt=1, server="mx:25"))

    assert set(json.loads(state)) == {"at", "actor", "reservation_id", "attempt", "server"}


@pytest.mark.parametrize(
    ("topic", "state"),
    [("Nothing:1", b"{}"), ("InviteSent:2", b"{}"), ("InviteSent:1", b"{}"), ("CodeIssued:1", b"not json")],
)
def test_unreadable_input_is_reported(topic: str, state: bytes) -> None:
    """A poison event names its topic."""
    with pytest.raises(UnreadableEventError, match=topic.split(":", maxsplit=1)[0]):
        decode(topic, state)


def test_no_personal_field() -> None:
    """No event has a field that could hold an address, a code or free text."""
    names = {name for kind in EVENT_TYPES for name in kind.__struct_fields__}

    assert not names & {"email", "address", "code", "text", "note", "reply", "name"}
