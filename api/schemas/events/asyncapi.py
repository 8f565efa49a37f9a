"""The AsyncAPI document of the stream of events, of webhooks and of relays: https://www.asyncapi.com.

Generators of clients and of documentation read it. It has the schemas of `event_schemas`, and what carries their
messages.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from api.schemas.events.cloud_event import CloudEvent, describe_message_envelope
from api.schemas.events.event_schemas import Schema, event_schemas, message_schemas
from domain.webhooks.cloud_events import BATCH, ONE_EVENT

ASYNCAPI_VERSION: Final = "3.0.0"
"""The newest version that all of AsyncAPI's own tools read."""
HTTP_BINDING: Final = "0.3.0"
KAFKA_BINDING: Final = "0.5.0"
JSON: Final = "application/json"
DESCRIPTION: Final = (
    "Events of the ledger, as a stream, as webhook messages and as relays send them. Within v1, types and members are "
    "only added: accept those that you do not know."
)
STREAM: Final = (
    "Server-sent events: first those after a position, then new ones as they appear. `id` is the position, `event` the "
    "type and `data` the message. `GET /api/v1/events` returns the same events as pages, as the OpenAPI document says. "
    "With the query `format=cloudevents`, a message is `data` of a CloudEvent."
)
WEBHOOK: Final = (
    "Requests to the URL of an endpoint, signed as Standard Webhooks 1.0. A message can arrive more than once, and "
    "after a message about a newer event. An endpoint with the format `cloudevents` gets it as `data` of a CloudEvent."
)
RELAY_TOPIC: Final = (
    "Records that `ledger relay` writes to a topic, in the binary mode of CloudEvents: the value is the event as the "
    "stream has it, the attributes are headers, and the key is the id of the history, whose events so stay in order. "
    "Delivery is at least once: ignore a record whose position is not greater than all before it in its partition."
)
RELAY_REQUESTS: Final = (
    "Requests of `ledger relay` to a URL: a batch of CloudEvents in the order of the log. A status from 200 to 299 "
    "acknowledges it; after any other answer it is sent again. With a secret it is signed as webhook messages are."
)
HEADERS: Final[Schema] = {
    "type": "object",
    "properties": {
        "webhook-id": {"type": "string", "description": "Id of the message, equal in each of its deliveries."},
        "webhook-timestamp": {"type": "string", "description": "Time of the delivery in seconds since 1970."},
        "webhook-signature": {"type": "string", "description": "A signature by each valid secret."},
    },
    "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
}
SIGNED: Final[Schema] = {
    "headers": {"$ref": "#/components/schemas/webhookHeaders"},
    "correlationId": {
        "location": "$message.header#/webhook-id",
        "description": "By which a receiver recognizes a repeat.",
    },
}


def describe_messages(public_url: str, stream_query: Schema) -> Schema:
    """Return the document.

    Args:
        public_url: Address of the ledger.
        stream_query: JSON Schema of the query of requests to the stream.
    """
    events = {f"event.{name}": _describe_message(schema) for name, schema in event_schemas().items()}
    posted = {f"message.{name}": _describe_message(schema) | SIGNED for name, schema in message_schemas().items()}
    events["event.cloudEvent"] = _describe_envelope(CloudEvent.model_json_schema())
    posted["message.cloudEvent"] = _describe_envelope(describe_message_envelope()) | SIGNED
    relayed = {f"record.{name}": _describe_record(name) for name in event_schemas()}
    batch = {"batch.cloudEvents": _describe_batch()}
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "id": "urn:redemption-ledger",
        "info": {"title": "Redemption Ledger: events", "version": "1.0.0", "description": DESCRIPTION},
        "defaultContentType": JSON,
        "servers": _describe_servers(public_url),
        "channels": {
            "events": _describe_channel("/api/v1/events/stream", STREAM, "ledger", events),
            "webhooks": _describe_channel(None, WEBHOOK, "endpoint", posted),
            "relayTopic": _describe_channel("{topic}", RELAY_TOPIC, "kafka", relayed)
            | {"parameters": {"topic": {"description": "Topic of the URL of a relay."}}},
            "relayRequests": _describe_channel(None, RELAY_REQUESTS, "endpoint", batch),
        },
        "operations": {
            "sendEvents": _describe_sending("events", "GET", "Send events to readers of the stream", stream_query),
            "sendWebhooks": _describe_sending("webhooks", "POST", "Send messages to webhook endpoints"),
            "sendRecords": _describe_sending("relayTopic", None, "Send events to a topic of Kafka"),
            "sendBatches": _describe_sending("relayRequests", "POST", "Send events to a URL in batches"),
        },
        "components": {
            "messages": events | posted | relayed | batch,
            "schemas": {
                "webhookHeaders": HEADERS,
                "batchHeaders": {name: HEADERS[name] for name in ("type", "properties")},
                "recordHeaders": _describe_record_headers(),
            },
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key with the scope `events:read`.",
                }
            },
        },
    }


def _describe_servers(public_url: str) -> Schema:
    server = urlsplit(public_url)
    return {
        "ledger": {
            "host": server.netloc,
            **({"pathname": path} if (path := server.path.rstrip("/")) else {}),
            "protocol": server.scheme,
            "security": [{"$ref": "#/components/securitySchemes/apiKey"}],
        },
        "endpoint": {
            "host": "{host}",
            "protocol": "https",
            "variables": {"host": {"description": "Host of the URL of a webhook endpoint, or of a relay."}},
        },
        "kafka": {
            "host": "{brokers}",
            "protocol": "kafka",
            "variables": {"brokers": {"description": "Brokers of the URL of a relay."}},
        },
    }


def _describe_channel(address: str | None, description: str, server: str, messages: Mapping[str, Schema]) -> Schema:
    return {
        "address": address,
        "description": description,
        "servers": [{"$ref": f"#/servers/{server}"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }


def _describe_message(schema: Schema) -> Schema:
    """Return a message with its schema, without the dialect: AsyncAPI has its own, which contains what we use."""
    payload = {name: part for name, part in schema.items() if name != "$schema"}
    return {
        "name": schema["title"],
        "title": schema["title"],
        "summary": schema["description"],
        "contentType": JSON,
        "payload": payload,
    }


def _describe_envelope(payload: Schema) -> Schema:
    """Return the message of a reader or an endpoint that asks for CloudEvents; `dataschema` names that of its data."""
    return {
        "name": "CloudEvent",
        "title": "CloudEvent",
        "summary": "Each of the other messages, for who asks for the format `cloudevents`.",
        "contentType": ONE_EVENT,
        "payload": payload,
    }


def _describe_record(name: str) -> Schema:
    """Return the message of a record: its value is the event as the stream has it."""
    return {
        "name": name,
        "title": name,
        "contentType": JSON,
        "headers": {"$ref": "#/components/schemas/recordHeaders"},
        "payload": {"$ref": f"#/components/messages/event.{name}/payload"},
        "bindings": {"kafka": {"key": {"type": "string", "format": "uuid"}, "bindingVersion": KAFKA_BINDING}},
    }


def _describe_record_headers() -> Schema:
    """Return the JSON Schema of a record's headers: the attributes of its CloudEvent."""
    attributes = CloudEvent.model_json_schema()["properties"]
    content_type, _ = attributes.pop("datacontenttype"), attributes.pop("data")
    return {
        "type": "object",
        "properties": {"content-type": content_type, **{f"ce_{name}": each for name, each in attributes.items()}},
        "required": ["content-type", *(f"ce_{name}" for name in attributes)],
    }


def _describe_batch() -> Schema:
    return {
        "name": "CloudEvents",
        "title": "CloudEvents",
        "summary": "At least one event, and as many as fit into a request.",
        "contentType": BATCH,
        "headers": {"$ref": "#/components/schemas/batchHeaders"},
        "payload": {"type": "array", "minItems": 1, "items": CloudEvent.model_json_schema()},
    }


def _describe_sending(channel: str, method: str | None, summary: str, query: Schema | None = None) -> Schema:
    sending: Schema = {"action": "send", "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}
    if method is None:
        return sending
    queries = {} if query is None else {"query": query}
    return sending | {"bindings": {"http": {"method": method, **queries, "bindingVersion": HTTP_BINDING}}}
