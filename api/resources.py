"""The API's resources, in the order in which they are described."""

from fastapi import FastAPI

from api import (
    callbacks,
    cases,
    channels,
    code_import,
    codes,
    events,
    governing,
    health,
    hooks,
    rebind,
    recipients,
    redeem,
    redemptions,
    refunds,
    reservation_lists,
    reservations,
    session,
)
from api.seats import Seats


def include_resources(app: FastAPI) -> None:
    """Give the application all routes of the API, and the seats of those that last."""
    app.state.streams = Seats(redeem.STREAMS_MAX, redeem.STREAMS_PER_CLIENT_MAX)
    app.state.readers = Seats(events.READERS_MAX)
    app.include_router(redeem.router)
    app.include_router(redemptions.router)
    app.include_router(code_import.router)
    app.include_router(codes.router)
    app.include_router(governing.router)
    app.include_router(reservation_lists.router)
    app.include_router(reservations.router)
    app.include_router(rebind.router)
    app.include_router(refunds.router)
    app.include_router(cases.router)
    app.include_router(events.router)
    app.include_router(recipients.router)
    app.include_router(channels.router)
    app.include_router(hooks.router)
    app.include_router(callbacks.router)
    app.include_router(session.router)
    app.include_router(health.router)
