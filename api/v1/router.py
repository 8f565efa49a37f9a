"""The API's resources, in the order in which they are described."""

from fastapi import FastAPI

from api.http.server.stream_slots import StreamSlots
from api.v1 import campaigns, event_feed, hand_outs, health, persons, session
from api.v1.codes import code_import, codes, lifecycle, what_if
from api.v1.public import redeem
from api.v1.reservations import cases, commands, outage_refunds, queries, rebind, redemption_batches, redemptions
from api.v1.webhooks import channel_callbacks, endpoints, group_channels


def include_resources(app: FastAPI) -> None:
    """Give the application all routes of the API, and the slots of its streams."""
    app.state.streams = StreamSlots(redeem.STREAMS_MAX, redeem.STREAMS_PER_CLIENT_MAX)
    app.state.readers = StreamSlots(event_feed.READERS_MAX)
    app.include_router(redeem.router)
    app.include_router(redemptions.router)
    app.include_router(redemption_batches.router)
    app.include_router(code_import.router)
    app.include_router(codes.router)
    app.include_router(what_if.router)
    app.include_router(lifecycle.router)
    app.include_router(campaigns.router)
    app.include_router(hand_outs.router)
    app.include_router(queries.router)
    app.include_router(commands.router)
    app.include_router(rebind.router)
    app.include_router(outage_refunds.router)
    app.include_router(cases.router)
    app.include_router(event_feed.router)
    app.include_router(persons.router)
    app.include_router(group_channels.router)
    app.include_router(endpoints.router)
    app.include_router(channel_callbacks.router)
    app.include_router(session.router)
    app.include_router(health.router)
