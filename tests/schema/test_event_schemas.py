"""The JSON Schemas of events and webhook messages: approved, true of every event, and strict enough to be of use."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import jsonschema_rs
import msgspec
import orjson
import pytest

from api.schemas.events.event_schemas import Schema, event_schemas, message_schemas
from api.schemas.events.event_view import view_of
from domain.events.event import Event
from projections.event_store.codec import decode, encode
from projections.read_models.stream_entry import Entry
from projections.repositories.webhook_deliveries import DueDelivery
from tests.schema.approved_event_schemas import ASYNCAPI_PATH, PATH, render_asyncapi, render_schemas
from tests.schema.event_examples import EXAMPLES
from tests.simulation.model import LedgerModel
from workers.webhooks.message import build_message

STREAM = UUID(int=12)


def view(event: Event, position: int = 7) -> dict[str, Any]:
    shown: dict[str, Any] = orjson.loads(orjson.dumps(view_of(Entry(STREAM, 3, position, event, None, None))))
    return shown


def message(event: Event) -> dict[str, Any]:
    topic, state = encode(event)
    built = build_message(DueDelivery(UUID(int=1), 0, None, 7, STREAM, 3, topic, state))
    body: dict[str, Any] = orjson.loads(msgspec.json.encode(built))
    return body


def validators(schemas: Mapping[str, Schema]) -> dict[str, jsonschema_rs.Draft202012Validator]:
    return {name: jsonschema_rs.Draft202012Validator(schema, validate_formats=True) for name, schema in schemas.items()}


def without_each_required(schema: Schema, document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The document without one required member at a time, also of its data."""
    for name in schema["required"]:
        yield {key: value for key, value in document.items() if key != name}
    for name in schema["properties"]["data"]["required"]:
        yield document | {"data": {key: value for key, value in document["data"].items() if key != name}}


def test_schemas_are_the_approved_ones() -> None:
    """`make approve` writes them; a client was made from the former ones."""
    assert render_schemas() == PATH.read_text(encoding="utf-8")
    assert render_asyncapi() == ASYNCAPI_PATH.read_text(encoding="utf-8")


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_every_example_is_described_and_nothing_less_is_valid(event: Event) -> None:
    """In the feed and as a message: every member has a schema, and none that is required may lack."""
    name = type(event).__name__
    for schema, document in ((event_schemas()[name], view(event)), (message_schemas()[name], message(event))):
        validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)

        validator.validate(document)
        assert document.keys() == schema["properties"].keys()
        assert document["data"].keys() <= schema["properties"]["data"]["properties"].keys()
        assert not any(map(validator.is_valid, without_each_required(schema, document)))
        assert not validator.is_valid(document | {"type": "AnotherType"})


def validate_simulated(count_min: int) -> None:
    """Validate the events of simulated ledgers, and the messages about them, until there were that many.

    Nearly all of the time is that of the simulation. It decides each batch once here, and twice in its own tests.
    """
    events, messages, count = validators(event_schemas()), validators(message_schemas()), 0
    for seed in itertools.count():
        if count >= count_min:
            return
        model = LedgerModel(seed)
        model.store.on_decision = lambda *_: None
        try:
            model.run()
        finally:
            model.close()
        for position, stored in enumerate(model.store.log, 1):
            event = decode(stored.topic, stored.state)
            name = type(event).__name__
            events[name].validate(view(event, position))
            messages[name].validate(message(event))
            count += 1


def test_events_of_simulated_ledgers_are_valid() -> None:
    validate_simulated(500)


@pytest.mark.night(of="extremes")
def test_hundred_thousand_events_are_valid() -> None:
    """As many as a ledger of some size has, in some three minutes; the first ones are those of the fast test."""
    validate_simulated(100_000)
