"""One's own second factors: authenticator apps, passkeys and recovery codes."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from api.auth.session_cookies import COOKIE, digest_of
from api.auth.totp import describe_secret
from api.errors import ApplicationError
from api.i18n.catalogs import translator
from api.use_cases.administration.second_factors import (
    NAME_LENGTH_MAX,
    Ceremony,
    FactorError,
    FactorFault,
    NewApp,
    begin_app,
    begin_passkey,
    find_factors,
    finish_app,
    finish_passkey,
    remove_factor,
    rename_factor,
    renew_recovery_codes,
    reopen_app,
)
from api.web.qr_code import draw_qr_code
from api.web.rendering import see_other
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.passkey_forms import describe_passkeys
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.sessions import FACTORS, Enrolling, EnrollingWithForm, SupportContextDep, SupportRoute
from api.web.staff_auth.staff import Staff
from projections.repositories.staff_factors import FactorKind
from projections.repositories.staff_identities import StaffIdentityRepository

Done = Literal["", "added", "renamed", "removed"]
"""What was done before the page is shown."""
GROUP: Final = 4
"""Characters between the spaces of a secret that is typed."""

router = APIRouter(prefix=FACTORS, route_class=SupportRoute)


@router.get("")
def list_factors(request: Request, support: SupportContextDep, staff: Enrolling, done: Done = "") -> Response:
    """List the account's second factors, with the forms for more."""
    return _render(request, support, staff, done=done)


@router.get("/app")
def show_new_app(request: Request, support: SupportContextDep, staff: Enrolling) -> Response:
    """Show the secret of a new authenticator app as a QR code and as text."""
    _require_password(support, staff)
    return _render_app(request, staff, begin_app(support.services.open_audit_log(staff.caller()), staff.staff_id))


@router.post("/app")
def add_app(
    request: Request,
    support: SupportContextDep,
    staff: EnrollingWithForm,
    code: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    state: Annotated[str, Form()] = "",
) -> Response:
    """Add the app, if its first code is right."""
    _require_password(support, staff)
    audit_log = support.services.open_audit_log(staff.caller())
    session, named = digest_of(request.cookies[COOKIE]), name.strip() or _name(request, "totp")
    try:
        codes = finish_app(audit_log, staff.staff_id, state, code, name=named, session=session)
    except FactorError as error:
        app = reopen_app(audit_log, state, staff.staff_id)
        if app is None or error.fault in {"stale", "refused"}:
            return _render(request, support, staff, fault=error.fault)
        return _render_app(request, staff, app, fault=error.fault, name=name)
    return _answer(request, staff, codes)


@router.post("/passkey")
def add_passkey(
    request: Request,
    support: SupportContextDep,
    staff: EnrollingWithForm,
    credential: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    state: Annotated[str, Form()] = "",
) -> Response:
    """Add the passkey that the authenticator created."""
    _require_password(support, staff)
    party = support.relying_party
    if party is None:
        raise ApplicationError("NOT_FOUND")
    audit_log = support.services.open_audit_log(staff.caller())
    session, named = digest_of(request.cookies[COOKIE]), name.strip() or _name(request, "passkey")
    answer = Ceremony(credential, state)
    try:
        codes = finish_passkey(audit_log, party, staff.staff_id, answer, name=named, session=session)
    except FactorError as error:
        return _render(request, support, staff, fault=error.fault)
    return _answer(request, staff, codes)


@router.post("/recovery-codes")
def renew_codes(request: Request, support: SupportContextDep, staff: EnrollingWithForm) -> Response:
    """Replace the recovery codes, and show the new ones once."""
    codes = renew_recovery_codes(support.services.open_audit_log(staff.caller()), staff.staff_id)
    if not codes:
        raise ApplicationError("NOT_FOUND")
    return _answer(request, staff, codes)


@router.post("/{factor_id}/name")
def rename(
    request: Request,
    support: SupportContextDep,
    staff: EnrollingWithForm,
    factor_id: UUID,
    name: Annotated[str, Form()] = "",
) -> Response:
    """Give a factor another name."""
    named = name.strip()
    if not named:
        return _render(request, support, staff)
    if not rename_factor(support.services.open_audit_log(staff.caller()), staff.staff_id, factor_id, named):
        raise ApplicationError("NOT_FOUND")
    return see_other(f"{FACTORS}?done=renamed")


@router.get("/{factor_id}/remove")
def ask_to_remove(request: Request, support: SupportContextDep, staff: Enrolling, factor_id: UUID) -> Response:
    """Ask whether to remove a factor, and say what ends with it."""
    factors = find_factors(support.services.storage, staff.staff_id).factors
    factor = next((each for each in factors if each.factor_id == factor_id), None)
    if factor is None:
        raise ApplicationError("NOT_FOUND")
    return support_page(request, "factor_remove.html", staff, factor=factor, is_last=len(factors) == 1)


@router.post("/{factor_id}/remove")
def remove(support: SupportContextDep, staff: EnrollingWithForm, factor_id: UUID) -> Response:
    """Remove a factor; the recovery codes end with the last one."""
    if not remove_factor(support.services.open_audit_log(staff.caller()), staff.staff_id, factor_id):
        raise ApplicationError("NOT_FOUND")
    return see_other(f"{FACTORS}?done=removed")


def _require_password(support: SupportContext, staff: Staff) -> None:
    """Answer as if there were no such page to an account without a password: its provider decides."""
    if not StaffIdentityRepository(support.services.storage).find_sign_in(staff.staff_id).has_password:
        raise ApplicationError("NOT_FOUND")


def _name(request: Request, kind: FactorKind) -> str:
    return translator(get_language(request))(f"page.factors.kind.{kind}")


def _answer(request: Request, staff: Staff, codes: Sequence[str]) -> Response:
    """Show new recovery codes, or go back to the list if the account has codes already."""
    if not codes:
        return see_other(f"{FACTORS}?done=added")
    return support_page(request, "recovery_codes.html", staff, codes=codes)


def _render_app(
    request: Request, staff: Staff, app: NewApp, *, fault: FactorFault | None = None, name: str = ""
) -> Response:
    spaced = " ".join(app.secret[at : at + GROUP] for at in range(0, len(app.secret), GROUP))
    return support_page(
        request,
        "factor_app.html",
        staff,
        status=200 if fault is None else 422,
        picture=draw_qr_code(describe_secret(app.secret, staff.address)),
        secret=spaced,
        state=app.state,
        name=name[:NAME_LENGTH_MAX],
        name_length_max=NAME_LENGTH_MAX,
        fault=fault,
    )


def _render(
    request: Request, support: SupportContext, staff: Staff, *, done: Done = "", fault: FactorFault | None = None
) -> Response:
    _require_password(support, staff)
    party, passkeys = support.relying_party, describe_passkeys(request, support)
    ceremony = None
    if party is not None and passkeys == "here":
        audit_log = support.services.open_audit_log(staff.caller())
        ceremony = begin_passkey(audit_log, party, staff.staff_id, staff.address)
    factors = find_factors(support.services.storage, staff.staff_id)
    return support_page(
        request,
        "factors.html",
        staff,
        status=200 if fault is None else 422,
        factors=factors.factors,
        recovery_codes=factors.recovery_codes,
        passkeys=passkeys,
        ceremony=ceremony,
        public_url=support.services.settings.public_url,
        name_length_max=NAME_LENGTH_MAX,
        done=done,
        fault=fault,
    )
