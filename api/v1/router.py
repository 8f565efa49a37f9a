"""The API's resources, in the order in which they are described."""

from fastapi import APIRouter

from api.v1 import approvals, campaigns, event_feed, event_schemas, group_branding, hand_outs, health, persons, session
from api.v1.codes import code_import, codes, lifecycle, what_if
from api.v1.public import redeem
from api.v1.reservations import actions, cases, outage_refunds, queries, rebind, redemption_batches, redemptions
from api.v1.webhooks import channel_callbacks, endpoints, group_channels, mail_hooks


def include_resources(router: APIRouter) -> None:
    """Add all routes of the API."""
    router.include_router(redeem.router)
    router.include_router(redemptions.router)
    router.include_router(redemption_batches.router)
    router.include_router(code_import.router)
    router.include_router(codes.router)
    router.include_router(what_if.router)
    router.include_router(lifecycle.router)
    router.include_router(campaigns.router)
    router.include_router(hand_outs.router)
    router.include_router(queries.router)
    router.include_router(actions.router)
    router.include_router(rebind.router)
    router.include_router(outage_refunds.router)
    router.include_router(cases.router)
    router.include_router(approvals.router)
    router.include_router(event_feed.router)
    router.include_router(event_schemas.router)
    router.include_router(persons.router)
    router.include_router(group_branding.router)
    router.include_router(group_channels.router)
    router.include_router(endpoints.router)
    router.include_router(channel_callbacks.router)
    router.include_router(mail_hooks.router)
    router.include_router(session.router)
    router.include_router(health.router)
