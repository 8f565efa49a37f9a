"""The page that shows the state of a reservation, live."""

from typing import Final, Literal, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.http.blocking_route import BlockingRoute
from api.http.dependencies import TheServices
from api.web.errors import error_page
from api.web.public.status_view import StatusView, find_status_view
from api.web.public.visitor import get_visitor
from api.web.rendering import choose_language, page
from domain.model.reservation import PublicState

router = APIRouter(route_class=BlockingRoute)

REFRESH_S: Final[dict[PublicState, int]] = {"reserved": 3, "sending": 3, "waiting": 15, "unknown": 15}
"""Seconds after which a browser without JavaScript reloads a page whose state is not final."""


class Step(NamedTuple):
    """One step of the progress bar: the end of its text's key, and its progress."""

    name: str
    progress: Literal["done", "now", "open", "missed"]


STEPS: Final[dict[PublicState, tuple[Step, ...]]] = {
    "reserved": (Step("reserved", "now"), Step("sending", "open"), Step("sent", "open")),
    "waiting": (Step("reserved", "done"), Step("waiting", "now"), Step("sent", "open")),
    "sending": (Step("reserved", "done"), Step("sending", "now"), Step("sent", "open")),
    "unknown": (Step("reserved", "done"), Step("sending", "done"), Step("unknown", "now")),
    "sent": (Step("reserved", "done"), Step("sending", "done"), Step("sent", "done")),
    "refunded": (Step("reserved", "done"), Step("sending", "missed"), Step("refunded", "done")),
}
RETRYING: Final = (Step("reserved", "done"), Step("retrying", "now"), Step("sent", "open"))
ACCEPTED: Final = (Step("reserved", "done"), Step("sent", "done"), Step("accepted", "done"))
BOUNCED: Final = (Step("reserved", "done"), Step("sent", "done"), Step("bounced", "missed"))
SENT_THEN_REFUNDED: Final = (Step("reserved", "done"), Step("sent", "done"), Step("refunded", "done"))
"""The use was refunded after the invitation was sent."""
CORRECTED: Final = Step("corrected", "done")
"""The last step instead of `refunded` if the use moved to the right email address."""


@router.get("/r/{reservation_id}")
def show_status(request: Request, services: TheServices, reservation_id: str, known: str = "") -> Response:
    """Show the state of a reservation."""
    language = choose_language(request, services.settings.default_language)
    view = find_status_view(services, reservation_id, language, get_visitor(request))
    if view is None:
        return error_page(request, 404, "NOT_FOUND", language)
    return page(
        request,
        "status.html",
        language,
        view=view,
        steps=_steps(view),
        is_live=view.state in REFRESH_S,
        refresh_s=REFRESH_S.get(view.state),
        known=bool(known),
        has_mailbox=services.settings.mailbox is not None,
    )


def _steps(view: StatusView) -> tuple[Step, ...]:
    if view.state == "reserved" and view.next_attempt_at is not None:
        return RETRYING
    if view.state == "sent" and view.accepted_at is not None:
        return ACCEPTED
    if view.state == "sent" and view.has_bounced:
        return BOUNCED
    steps = SENT_THEN_REFUNDED if view.state == "refunded" and view.sent_at is not None else STEPS[view.state]
    return (*steps[:2], CORRECTED) if view.detail_code == "corrected" else steps
