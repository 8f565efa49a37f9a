"""An event as the feed and relays show it: without email address, code text or free text, because the log has none."""

from typing import Any

from api.schemas.events.event_schemas import LEFT_OUT
from domain.events.campaign import CampaignEvent
from domain.webhooks.cloud_events import CloudEventSource
from projections.read_models.stream_entry import Entry


def view_of(entry: Entry[None]) -> dict[str, Any]:
    """Return an event as the API shows it."""
    event = entry.event
    is_of_campaign = isinstance(event, CampaignEvent)
    fields = {name: getattr(event, name) for name in event.__struct_fields__ if name not in LEFT_OUT}
    return {
        "position": entry.position,
        "type": type(event).__name__,
        "code_id": fields.pop("code_id", None) if is_of_campaign else entry.stream_id,
        "campaign_id": entry.stream_id if is_of_campaign else None,
        "version": entry.version,
        "at": event.at,
        "recorded_at": event.recorded_at or event.at,
        "actor": event.actor,
        "reservation_id": event.named_reservation,
        "correlation_id": event.correlation_id,
        "data": {name: value for name, value in fields.items() if value is not None},
    }


def as_cloud_event(entry: Entry[None], source: CloudEventSource) -> dict[str, Any]:
    """Return an event as a CloudEvent."""
    event, place = entry.event, (entry.stream_id, entry.position)
    is_of_campaign = isinstance(event, CampaignEvent)
    return source.wrap_stored(type(event).__name__, place, event.at, view_of(entry), is_of_campaign=is_of_campaign)
