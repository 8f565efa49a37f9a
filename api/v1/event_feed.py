"""The event feed: events in order after a position; a request waits for new events, or streams them.

It holds no email address, no code text and no free text, because the log holds none.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import nullcontext, suppress
from datetime import datetime
from functools import cache, partial
from typing import Annotated, Any, Final
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response, StreamingResponse
from fastapi.routing import APIRoute
from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema

from api.errors import ApplicationError
from api.http.blocking_route import BlockingRoute
from api.http.dependencies import MayReadEvents, TheServices
from api.http.offered_reads import offer_as_tool
from api.http.openapi import PROTECTED, STREAMED
from api.http.pagination import LAG_HEADER
from api.http.server.stream_slots import SlotStreamingResponse, StreamSlots
from api.schemas.events.event_schemas import Schema
from api.schemas.events.event_view import as_cloud_event, view_of
from api.schemas.numbers import IN_DIGITS
from api.use_cases.services import Services
from domain.events.registry import EVENT_TYPES
from domain.values.number_bounds import POSITIONS
from domain.webhooks.cloud_events import BATCH, CloudEventSource, MessageFormat
from projections.read_models.event_feed import EventFeed, EventFilter, FeedPage
from projections.read_models.stream_entry import Entry
from projections.storage.report_store import ReportReading

LIMIT_MAX: Final = 1_000
POSITION_MAX: Final = POSITIONS.most
WAIT_S_MAX: Final = 30
POLL_S: Final = 0.5
"""Seconds between two queries of a waiting reader; each is a cheap index lookup."""
STREAM_S_MAX: Final = 300
"""Longest time of a stream in seconds; its reader then continues from Last-Event-ID."""
BEAT_S: Final = 15
"""Longest time in seconds without a comment, so that proxies do not close the connection."""
RETRY_MS: Final = 2_000
NEXT_HEADER: Final = "Ledger-Next-Position"
NEWEST_HEADER: Final = "Ledger-Newest-Position"
MORE_HEADER: Final = "Ledger-More"
"""Value of `after` of the next request, where the body is a list of events."""


def _check_type_name(name: str) -> str:
    if name not in EVENT_TYPES:
        raise ValueError(f"there is no type {name[:40]!a}: {', '.join(EVENT_TYPES)}")
    return name


EventName = Annotated[
    str, AfterValidator(_check_type_name), WithJsonSchema({"type": "string", "enum": list(EVENT_TYPES)})
]
router = APIRouter(
    route_class=BlockingRoute,
    prefix="/api/v1/events",
    tags=["events"],
    responses=PROTECTED,
)


class EventView(BaseModel):
    """An event. `data` holds the fields of its type; later versions may add fields and types."""

    position: int = Field(description="Position in the event log: increases, may have gaps, and never changes.")
    type: str
    code_id: UUID | None = Field(description="The code; null for an event about a campaign alone.")
    campaign_id: UUID | None = Field(description="The campaign, for events of its history; null for those of codes.")
    version: int = Field(description="Number in the history of the code or campaign, from 1 without gaps.")
    at: datetime = Field(description="Time at which the event took effect.")
    recorded_at: datetime
    actor: str = Field(description="Kind of the actor: person, staff, key, worker, sweep, operator or import.")
    reservation_id: UUID | None
    correlation_id: UUID | None
    data: dict[str, Any]


class EventPage(BaseModel):
    """A page of events, in order of their positions."""

    events: list[EventView]
    next: int
    more: bool
    newest: int


After = Annotated[
    int, Query(ge=0, le=POSITION_MAX, description="Only events after this position; 0: from the beginning."), IN_DIGITS
]
Types = Annotated[list[EventName] | None, Query(alias="type", max_length=40, description="Only events of these types.")]
OfCode = Annotated[UUID | None, Query(description="Only events of this code.")]
OfCampaign = Annotated[
    UUID | None, Query(description="Only events of this campaign; with `code_id`, only those about this code.")
]


async def choose_events(types: Types = None, code_id: OfCode = None, campaign_id: OfCampaign = None) -> EventFilter:
    """Return what to read, as the query of a request says."""
    return EventFilter(types or (), code_id, campaign_id)


Chosen = Annotated[EventFilter, Depends(choose_events)]
Format = Annotated[
    MessageFormat,
    Query(
        alias="format",
        description="`cloudevents`: in the envelope of CloudEvents 1.0, whose `data` is the event of `standard`.",
    ),
]
BATCHED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {BATCH: {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/CloudEvent"}}}},
        "headers": {
            NEXT_HEADER: {
                "description": "`after` of the next request, if the events are CloudEvents.",
                "schema": {"type": "integer"},
            },
            NEWEST_HEADER: {
                "description": "`newest` of a page, if the events are CloudEvents.",
                "schema": {"type": "integer"},
            },
            MORE_HEADER: {
                "description": "`more` of a page, if the events are CloudEvents.",
                "schema": {"type": "boolean"},
            },
        },
    }
}


@router.get("", response_model=EventPage, responses=BATCHED, summary="List events from a position")
@offer_as_tool("wait", "format")
async def list_events(
    request: Request,
    services: TheServices,
    _: MayReadEvents,
    event_filter: Chosen,
    after: After = 0,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX), IN_DIGITS] = 100,
    wait: Annotated[
        int, Query(ge=0, le=WAIT_S_MAX, description="Seconds to wait for an event if there is none."), IN_DIGITS
    ] = 0,
    message_format: Format = "standard",
) -> Response:
    """Returns a page of the event log. Use `next` as `after` of the next request: no event is missed or repeated.

    With `wait`, the response waits for the first event, and is empty if none appears in time. A response that a standby
    of the database gave has the header `Ledger-Read-Lag`: by how many seconds it may be behind. With
    `format=cloudevents` the body is a batch of CloudEvents; its headers `Ledger-Next-Position`,
    `Ledger-Newest-Position` and `Ledger-More` are `next`, `newest` and `more`.
    """
    reading, until = services.reports.read(), time.monotonic() + wait
    feed = _open_feed(services, reading)
    with request.app.state.readers.acquire() if wait > 0 else nullcontext():
        while True:
            page = await services.run_blocking(feed.read_page, after, limit, event_filter)
            after = page.next_position
            left = until - time.monotonic()
            if page.events or (not page.is_full and (left <= 0 or await request.is_disconnected())):
                break
            if not page.is_full:
                await asyncio.sleep(min(POLL_S, left))
            elif left <= 0:
                break
    lag = {} if reading.lag_s is None else {LAG_HEADER: f"{reading.lag_s:.1f}"}
    newest = await services.run_blocking(feed.find_newest_position)
    if message_format == "cloudevents":
        source = CloudEventSource.feed_of(services.settings.public_url)
        batch = orjson.dumps([as_cloud_event(event, source) for event in page.events])
        places = {NEXT_HEADER: page.next_position, NEWEST_HEADER: newest, MORE_HEADER: page.is_full}
        return Response(
            batch, media_type=BATCH, headers=lag | {name: orjson.dumps(one).decode() for name, one in places.items()}
        )
    content = {"events": [view_of(event) for event in page.events], "next": page.next_position, "more": page.is_full}
    return Response(
        orjson.dumps({**content, "newest": newest}),
        media_type="application/json",
        headers=lag,
    )


@router.get(
    "/stream",
    response_class=StreamingResponse,
    responses={200: STREAMED},
    summary="Follow the event log as server-sent events",
)
async def stream_events(
    request: Request,
    services: TheServices,
    _: MayReadEvents,
    event_filter: Chosen,
    after: After = 0,
    last_event_id: Annotated[
        int | None,
        Header(
            ge=0,
            le=POSITION_MAX,
            description="Position after which the stream continues; takes precedence over `after`.",
        ),
        IN_DIGITS,
    ] = None,
    seconds: Annotated[
        int, Query(ge=1, le=STREAM_S_MAX, description="Seconds after which the stream ends."), IN_DIGITS
    ] = STREAM_S_MAX,
    message_format: Format = "standard",
) -> StreamingResponse:
    """Sends existing events from the position, then new ones as they appear. Ends after `seconds`; then reconnect.

    Each has its position as `id`, its type as `event`, and the event as in the list as `data`, or as a CloudEvent.
    """
    readers: StreamSlots = request.app.state.readers
    start = after if last_event_id is None else last_event_id
    feed = _open_feed(services, services.reports.read())
    page_after = partial(feed.read_page, limit=LIMIT_MAX, event_filter=event_filter)
    source = CloudEventSource.feed_of(services.settings.public_url)
    show = view_of if message_format == "standard" else partial(as_cloud_event, source=source)
    return SlotStreamingResponse(readers.acquire(), _stream(page_after, show, services, start, seconds))


@cache
def describe_stream_query() -> Schema:
    """Return the JSON Schema of the query of requests to the stream, as its route declares it."""
    route = next(one for one in router.routes if isinstance(one, APIRoute) and one.endpoint is stream_events)
    operation = get_openapi(title="stream", version="1", routes=[route])["paths"][route.path_format]["get"]
    queries = [each for each in operation["parameters"] if each["in"] == "query"]
    return {
        "type": "object",
        "properties": {each["name"]: {**each["schema"], "description": each["description"]} for each in queries},
    }


def _open_feed(services: Services, reading: ReportReading) -> EventFeed:
    """Open the feed where reports are read, up to what the primary has acknowledged."""
    return EventFeed(reading, None if services.reports.standby is None else services.storage)


async def _stream(
    page_after: Callable[[int], FeedPage],
    show: Callable[[Entry[None]], dict[str, Any]],
    services: Services,
    after: int,
    seconds: int,
) -> AsyncIterator[bytes]:
    """Yield stored events, then new ones; end when the time is over or the database is unavailable."""
    until, last_sent = time.monotonic() + seconds, time.monotonic()
    with suppress(ApplicationError):
        yield b"retry: %d\n\n" % RETRY_MS
        while time.monotonic() < until:
            page = await services.run_blocking(page_after, after)
            after = page.next_position
            if page.events:
                yield b"".join(_messages(page.events, show))
            elif time.monotonic() - last_sent > BEAT_S:
                # With the position, so that a reader whose filter leaves out much does not begin again far behind.
                yield b"id: %d\n: nothing new\n\n" % after
            else:
                await asyncio.sleep(0 if page.is_full else POLL_S)
                continue
            last_sent = time.monotonic()


def _messages(events: list[Entry[None]], show: Callable[[Entry[None]], dict[str, Any]]) -> Iterator[bytes]:
    for entry in events:
        name = type(entry.event).__name__.encode()
        yield b"id: %d\nevent: %s\ndata: %s\n\n" % (entry.position, name, orjson.dumps(show(entry)))
