"""The page behind the link in the invitation: it shows one button, and pressing the button accepts.

Mail gateways, browsers that prefetch, and link previews open every link with GET or HEAD, so those change nothing.
The token in the URL is the secret that the form needs: a site that does not have it cannot send the form.
"""

from dataclasses import dataclass
from typing import Final, Literal

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from api.errors import ApplicationError
from api.http.blocking_route import BlockingRoute
from api.http.dependencies import TheServices
from api.use_cases.reservation_actions import accept_invite
from api.use_cases.services import Caller, Services
from api.web.rendering import choose_language, page
from api.web.security_headers import REDIRECTING, security_headers
from domain.commands.delivery.accept_invite import find_link_refusal
from domain.values.link_token import DeliveryRef, read_token
from projections.repositories.groups import GroupRepository

router = APIRouter(prefix="/a", route_class=BlockingRoute)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationLink:
    """What the link in an invitation leads to.

    Attributes:
        state: `open`: the invitation can be accepted. `accepted`: it was. `invalid`: the link leads nowhere.
        group: The group that the recipient is invited to, if the code names one.
        target: Absolute URL of the page after acceptance; None if the group has none.
    """

    state: Literal["open", "accepted", "invalid"]
    group: str | None = None
    target: str | None = None


_INVALID: Final = InvitationLink(state="invalid")


@router.get("/{token}")
def show_invitation(request: Request, services: TheServices, token: str) -> Response:
    """Show the button."""
    return _render(request, services, find_invitation(services, token))


@router.post("/{token}")
async def accept(request: Request, services: TheServices, token: str) -> Response:
    """Accept the invitation, and redirect to the group's page if there is one."""
    invitation = await accept_invitation(services, token)
    if invitation.target is not None:
        # The target comes from an admin's setting, never from the request. A referrer would pass on the token.
        return RedirectResponse(invitation.target, 303, {**security_headers(), "Referrer-Policy": "no-referrer"})
    return _render(request, services, invitation)


def find_invitation(services: Services, token: str) -> InvitationLink:
    """Return what accepting by a link would lead to, without changing anything."""
    delivery = _find_delivery(services, token)
    reservation = None if delivery is None else services.reader.find_reservation(delivery.reservation_id)
    if delivery is None or reservation is None or find_link_refusal(reservation, delivery.number) is not None:
        return _INVALID
    is_accepted = reservation.occupies_use and reservation.accepted_at is not None
    return _find_target(services, "accepted" if is_accepted else "open", reservation.group)


async def accept_invitation(services: Services, token: str) -> InvitationLink:
    """Accept the invitation of an email's link."""
    delivery = await services.run_blocking(_find_delivery, services, token)
    if delivery is None:
        return _INVALID
    try:
        result = await accept_invite.in_group(
            services, Caller(actor="person"), delivery.reservation_id, delivery=delivery.number
        )
    except ApplicationError as error:
        if error.code in {"LINK_NOT_VALID", "NOT_FOUND", "GRANT_EXPIRED"}:
            return _INVALID
        raise
    return await services.run_blocking(_find_target, services, "accepted", result.require_reservation().group)


def _find_delivery(services: Services, token: str) -> DeliveryRef | None:
    """Return the delivery of a link; None if the link is not one of ours, or its recipient was erased."""
    delivery = read_token(services.settings.secret_key.get_secret_value().encode(), token)
    if delivery is None or not services.reader.find_email_addresses([delivery.reservation_id]):
        return None
    return delivery


def _find_target(services: Services, state: Literal["open", "accepted"], name: str | None) -> InvitationLink:
    group = None if name is None else GroupRepository(services.storage).find(name)
    return InvitationLink(state=state, group=name, target=group.accept_target if group else None)


def _render(request: Request, services: Services, invitation: InvitationLink) -> Response:
    """Show the button, also after acceptance if the group has a page to go on to."""
    return page(
        request,
        "accept.html",
        choose_language(request, services.settings.default_language),
        status=404 if invitation.state == "invalid" else 200,
        headers={} if invitation.target is None else REDIRECTING,
        invitation=invitation,
        has_button=invitation.state == "open" or invitation.target is not None,
    )
