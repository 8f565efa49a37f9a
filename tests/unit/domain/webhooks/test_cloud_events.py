"""Envelopes of CloudEvents: what the specification's own library reads, in the order of the log."""

from datetime import UTC, datetime
from uuid import UUID

import orjson
from cloudevents.core.formats.json import JSONFormat

from domain.webhooks.cloud_events import CloudEventSource

AT = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
STREAM = UUID(int=12)
FEED = CloudEventSource.feed_of("https://codes.example.com/")
WEBHOOKS = CloudEventSource.webhooks_of("https://codes.example.com")


def test_envelope_is_read_by_the_library_of_the_specification() -> None:
    wrapped = FEED.wrap_stored("UseReserved", (STREAM, 128), AT, {"version": 4}, is_of_campaign=False)
    event = JSONFormat().read(None, orjson.dumps(wrapped))

    assert event.get_attributes() == {
        "specversion": "1.0",
        "id": "128",
        "source": "https://codes.example.com/api/v1/events",
        "type": "redemption-ledger.UseReserved",
        "subject": f"codes/{STREAM}",
        "time": AT,
        "datacontenttype": "application/json",
        "dataschema": "https://codes.example.com/api/v1/schemas/UseReserved",
        "sequence": "0000000000000000128",
    }
    assert event.get_data() == {"version": 4}
    campaign = WEBHOOKS.wrap_stored("CampaignPaused", (STREAM, 128), AT, {}, is_of_campaign=True)
    assert (campaign["subject"], campaign["dataschema"]) == (
        f"campaigns/{STREAM}",
        "https://codes.example.com/api/v1/schemas/webhooks/CampaignPaused",
    )


def test_source_and_id_name_one_event() -> None:
    """The feed and webhooks have other data about an event, so they are two sources of it."""
    feed, webhook = (
        source.wrap_stored("UseReserved", (STREAM, 128), AT, {}, is_of_campaign=False) for source in (FEED, WEBHOOKS)
    )

    assert feed["id"] == webhook["id"]
    assert feed["source"] != webhook["source"]


def test_sequence_has_the_order_of_positions_as_text() -> None:
    """Up to the largest position that PostgreSQL has."""
    positions = [1, 9, 10, 99, 100, 2**63 - 1]
    sequences = [
        FEED.wrap_stored("A:1", (STREAM, position), AT, {}, is_of_campaign=False)["sequence"] for position in positions
    ]

    assert sequences == sorted(sequences)
    assert {len(sequence) for sequence in sequences} == {19}


def test_message_about_no_event_has_no_place_in_the_log() -> None:
    wrapped = WEBHOOKS.wrap("webhook.test", "msg_1", AT, {"type": "webhook.test"})

    assert wrapped.keys().isdisjoint({"subject", "sequence"})
    assert JSONFormat().read(None, orjson.dumps(wrapped)).get_attributes()["id"] == "msg_1"
    assert wrapped["dataschema"].endswith("/schemas/webhooks/webhook.test")
