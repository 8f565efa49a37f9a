"""JSON Schemas (2020-12) of events as the feed shows them, and of webhook messages, derived from the types of events.

Readers must accept more fields and types than these name: within a version of the API, both are only added.
"""

import inspect
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints
from uuid import UUID

from msgspec import structs

from domain.events.campaign import CampaignEvent
from domain.events.event import Event
from domain.events.registry import EVENT_TYPES, topic_of
from projections.repositories.webhook_deliveries import TEST_TYPE

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
LEFT_OUT: Final = frozenset(
    {
        *("at", "recorded_at", "actor", "actor_id", "approved_by", "request_id", "correlation_id", "text_id"),
        *("reservation_id", "crossed_by"),
    }
)
"""Fields of an event that are outside of its data, or that name staff, requests and encrypted texts."""
NAMED_IN_MESSAGES: Final = (
    ("code_id", "code_id"),
    ("reservation_id", "reservation_id"),
    ("reservation_id", "crossed_by"),
    ("threshold", "threshold"),
)
"""Members of the data of a message, and the fields of events that they come from."""
TIME: Final = {"type": "string", "format": "date-time"}
ID: Final = {"type": "string", "format": "uuid"}
NOTHING: Final = {"type": "null"}
COUNTED: Final = {"type": "integer", "minimum": 1}
PLAIN: Final[Mapping[object, Schema]] = {
    datetime: TIME,
    UUID: ID,
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    str: {"type": "string"},
}
ATTRIBUTE: Final = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)
"""An attribute in a docstring, with what follows on deeper lines."""


def describe_event(kind: type[Event]) -> Schema:
    """Return the schema of an event in the feed."""
    is_of_campaign = issubclass(kind, CampaignEvent)
    members, meanings = read_members(kind), describe_members(kind)
    data = {name: schema for name, schema in members.items() if name not in LEFT_OUT}
    code_id = {"anyOf": [data.pop("code_id"), NOTHING]} if is_of_campaign and "code_id" in data else NOTHING
    names_reservation = members.keys() & {"reservation_id", "crossed_by"}
    return {
        "$schema": DIALECT,
        "$id": f"urn:redemption-ledger:event:{topic_of(kind)}",
        "title": kind.__name__,
        "description": summarize(kind),
        "type": "object",
        "properties": {
            "position": COUNTED
            | {"description": "Position in the event log: increases, may have gaps, never changes."},
            "type": {"const": kind.__name__},
            "code_id": code_id if is_of_campaign else ID,
            "campaign_id": ID if is_of_campaign else NOTHING,
            "version": COUNTED | {"description": "Number in the history of the code or campaign, without gaps."},
            "at": TIME | {"description": meanings["at"]},
            "recorded_at": TIME | {"description": "When it was stored."},
            "actor": members["actor"] | {"description": meanings["actor"]},
            "reservation_id": {"anyOf": [ID, NOTHING]} if names_reservation else NOTHING,
            "correlation_id": {"anyOf": [ID, NOTHING], "description": meanings["correlation_id"]},
            "data": {
                "type": "object",
                "properties": {name: schema | {"description": meanings[name]} for name, schema in data.items()},
                "required": [name for name in data if name not in read_optional_members(kind)],
            },
        },
        "required": [
            *("position", "type", "code_id", "campaign_id", "version", "at", "recorded_at", "actor"),
            *("reservation_id", "correlation_id", "data"),
        ],
    }


def describe_message(kind: type[Event]) -> Schema:
    """Return the schema of a webhook message about an event: ids and a time; clients read the rest from the API."""
    members, is_of_campaign = read_members(kind), issubclass(kind, CampaignEvent)
    stream = "campaign_id" if is_of_campaign else "code_id"
    named: Schema = {stream: ID, "version": COUNTED, "position": COUNTED}
    optional: set[str] = set()
    for name, source in NAMED_IN_MESSAGES:
        if source in members and name not in named:
            named[name] = members[source]
            if source in read_optional_members(kind):
                optional.add(name)
    return _describe_body(kind.__name__, summarize(kind), named, [name for name in named if name not in optional])


def describe_test_message() -> Schema:
    """Return the schema of the message that is about no event."""
    return _describe_body(TEST_TYPE, "Sent on request, to test an endpoint. It is about no event.", {}, [])


def _describe_body(name: str, description: str, data: Schema, required: list[str]) -> Schema:
    return {
        "$schema": DIALECT,
        "$id": f"urn:redemption-ledger:webhook:{name}",
        "title": name,
        "description": description,
        "type": "object",
        "properties": {
            "type": {"const": name},
            "timestamp": TIME | {"description": "Time at which the event took effect."},
            "data": {"type": "object", "properties": data, "required": required},
        },
        "required": ["type", "timestamp", "data"],
    }


@cache
def event_schemas() -> Mapping[str, Schema]:
    """Return the schema of every type of event in the feed, by its name. They are built once, when first asked for."""
    return {name: describe_event(kind) for name, kind in EVENT_TYPES.items()}


@cache
def message_schemas() -> Mapping[str, Schema]:
    """Return the schema of every type of webhook message, by its name."""
    return {
        **{name: describe_message(kind) for name, kind in EVENT_TYPES.items()},
        TEST_TYPE: describe_test_message(),
    }


def summarize(kind: type[Event]) -> str:
    """Return what a type of event means: its docstring without the attributes."""
    return " ".join(inspect.cleandoc(kind.__doc__ or "").partition("\n\nAttributes:")[0].split())


@cache
def read_members(kind: type[Event]) -> Mapping[str, Schema]:
    """Return the schema of each field of an event, by its name. A field without a value is left out of the feed."""
    types = get_type_hints(kind)
    return {field.name: schema_of(types[field.name]) for field in structs.fields(kind)}


@cache
def read_optional_members(kind: type[Event]) -> frozenset[str]:
    """Return the names of the fields of an event that may have no value."""
    types = get_type_hints(kind)
    return frozenset(field.name for field in structs.fields(kind) if NoneType in get_args(types[field.name]))


@cache
def describe_members(kind: type[Event]) -> Mapping[str, str]:
    """Return what each field of an event means, from the docstrings of its class, its bases and its terms.

    Raises:
        ValueError: No docstring explains a field.
    """
    meanings: dict[str, str] = {}
    terms = inspect.getattr_static(kind, "terms", None)
    values = [] if terms is None else [get_type_hints(terms.fget)["return"]]
    for base in (*kind.__mro__, *values):
        for name, meaning in ATTRIBUTE.findall(inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")[2]):
            meanings.setdefault(name, " ".join(meaning.split()))
    if unexplained := [field.name for field in structs.fields(kind) if field.name not in meanings]:
        raise ValueError(f"the docstring of {kind.__name__} or its bases has no line for {', '.join(unexplained)}")
    return meanings


def schema_of(annotation: object) -> Schema:
    """Return the schema of the values that an annotation allows; None among them is left to the caller.

    Raises:
        KeyError: No event had a field of that type before; add it to `PLAIN`.
    """
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    if get_origin(annotation) is Literal:
        return {"enum": list(get_args(annotation))}
    if get_origin(annotation) is tuple:
        return {"type": "array", "items": schema_of(kinds[0])}
    if NoneType in get_args(annotation):
        return schema_of(kinds[0])
    return PLAIN[getattr(annotation, "__supertype__", annotation)]
