"""People as the ledger knows them: an admin gives one what is known of them, or forgets them."""

import logging
from typing import Any

from fastapi import APIRouter

from api.deps import Admin, TheLanguage, TheServices
from api.forgetting import Forgetting, Forgotten
from api.person import export_person
from api.problems import RETRY_AFTER_S, ProblemError
from api.schemas import ForgetRequest, ForgottenView, PersonView, Problem
from api.services import Caller, Services
from domain.errors import ReservationNotResolvable
from domain.values.identifiers import EmailAddress, MalformedEmailError
from projections.privacy.erasure import ForgottenList, ForgottenListError
from projections.telemetry.metrics import ERRORS
from projections.vault.vault import SealBrokenError

log = logging.getLogger(__name__)
router = APIRouter(prefix="/api/v1/recipients", tags=["recipients"])

FORGET_S_MAX = 30.0
"""How long closing and erasing may take; what is not done by then goes on, and asking again finds it done."""


@router.post(
    "/forget",
    responses={
        401: {"model": Problem},
        403: {"model": Problem},
        409: {
            "model": Problem,
            "description": "A letter to them is being sent: ask again in a minute",
        },
        422: {"model": Problem},
        503: {"model": Problem},
    },
    summary="Forget a person",
)
async def forget(body: ForgetRequest, services: TheServices, caller: Admin) -> ForgottenView:
    """Close what they hold, kill their links, delete their address and the texts about them. Counts stay."""
    done = await forget_person(services, caller, body.email, body.reason)
    return ForgottenView(forgotten=list(done.recipient_ids), closed=done.closed)


@router.post(
    "/export",
    responses={401: {"model": Problem}, 403: {"model": Problem}, 422: {"model": Problem}, 503: {"model": Problem}},
    summary="Everything about a person",
)
async def export(body: ForgetRequest, services: TheServices, language: TheLanguage, caller: Admin) -> PersonView:
    """All that is known of who has this address, for them to have. That it was given out, and why, is written down."""
    address = _address(body.email)

    def gather() -> dict[str, Any]:
        return export_person(services.action(caller), address, language, body.reason)

    try:
        return PersonView.model_validate(await services.read(gather, FORGET_S_MAX))
    except SealBrokenError as broken:
        raise _altered(broken) from broken


async def forget_person(services: Services, caller: Caller, email: str, reason: str) -> Forgotten:
    """Erase the person with this email address, and record who asked for it and why.

    Raises:
        ProblemError: The address is none, a letter is on its way (RESERVATION_NOT_RESOLVABLE), or the database is away.
    """
    address = _address(email)
    forgetting = Forgetting(
        storage=services.storage,
        forgotten=ForgottenList(services.settings.forgotten),
        context=lambda: services.context(caller),
        new_id=services.new_id,
        mailbox=services.settings.mailbox,
        action=services.action(caller),
        reason=reason,
    )
    try:
        done = await services.read(lambda: forgetting.forget(address), FORGET_S_MAX)
    except ForgottenListError as fault:
        log.exception("erasing a person failed")
        raise ProblemError("UNAVAILABLE", retry_after_s=RETRY_AFTER_S) from fault
    except SealBrokenError as broken:
        raise _altered(broken) from broken
    if done.leased_until is not None:
        raise ProblemError.of(ReservationNotResolvable("leased"))
    return done


def _altered(broken: SealBrokenError) -> ProblemError:
    """The row that was found may be another person's: nothing is given out and nothing is erased."""
    ERRORS.labels("vault_error").inc()
    log.error("vault row refused", extra={"why": str(broken)})
    return ProblemError("UNAVAILABLE", retry_after_s=RETRY_AFTER_S)


def _address(typed: str) -> EmailAddress:
    try:
        return EmailAddress.parse(typed)
    except MalformedEmailError as bad:
        raise ProblemError("EMAIL_INVALID") from bad
