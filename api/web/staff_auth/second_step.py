"""The second step of a sign-in with a password, and the sign-in with a passkey in place of one."""

from typing import Annotated, Final, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from api.auth.passkeys import RelyingParty
from api.auth.session_cookies import form_token
from api.errors import ApplicationError
from api.http.problems import retry_headers
from api.i18n.messages import refusal_detail
from api.use_cases.administration.second_factors import (
    FactorError,
    FactorFault,
    FactorProof,
    begin_assertion,
    find_factors,
    finish_assertion,
    spend_state,
    verify_code,
)
from api.use_cases.services import Caller
from api.web.rendering import page
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.login_throttle import BROWSER, STEP, FailureCount
from api.web.staff_auth.passkey_forms import describe_passkeys
from api.web.staff_auth.rendering import get_language, own_path
from api.web.staff_auth.second_step_state import HalfSignIn, find_half_sign_in
from api.web.staff_auth.sessions import (
    SIGN_IN,
    InvalidFormTokenError,
    SupportContextDep,
    SupportRoute,
    has_valid_csrf_token,
    set_cookie,
)
from api.web.staff_auth.sign_in import (
    FORM_COOKIE,
    FORM_S,
    SignInFault,
    count_client,
    describe_attempt,
    enter,
    may_use_password,
    read_form_cookie,
    record_refusal,
    render_sign_in,
)
from projections.repositories.audit_log import AuditLog

CODE_LENGTH_MAX: Final = 64
"""Longest code that is read: a recovery code with its hyphens and some spaces."""

router = APIRouter(prefix=SIGN_IN, route_class=SupportRoute)


@router.get("/second/{step_id}")
def show_step(request: Request, support: SupportContextDep, step_id: UUID) -> Response:
    """Ask for the second factor of the account whose password was right."""
    half = find_half_sign_in(request, support, step_id)
    return render_sign_in(request, support, fault="stale") if half is None else _render(request, support, half)


@router.post("/second/{step_id}")
async def prove(
    request: Request,
    support: SupportContextDep,
    step_id: UUID,
    code: Annotated[str, Form(max_length=CODE_LENGTH_MAX)] = "",
    credential: Annotated[str, Form()] = "",
    state: Annotated[str, Form()] = "",
    token: Annotated[str, Form()] = "",
) -> Response:
    """Check the second factor, and begin the session."""
    _require_form(request, support, token)
    run = support.services.run_blocking
    half = await run(find_half_sign_in, request, support, step_id)
    if half is None:
        return render_sign_in(request, support, fault="stale")
    counts = _count_step(request, support, half)
    wait = support.login_throttle.acquire(counts) if support.is_throttled else None
    if wait is not None:
        return await run(_render, request, support, half, retry_after_s=wait)
    audit_log = support.services.open_audit_log(Caller(actor="staff", actor_id=str(half.account.staff_id)))
    try:
        proof = await run(_prove, support, audit_log, half, _Answer(code, credential, state))
    except FactorError as error:
        return await run(_render, request, support, half, fault=error.fault)
    support.login_throttle.release(counts)
    if not await run(spend_state, audit_log, half.state):
        return render_sign_in(request, support, fault="stale")
    response = await run(enter, request, support, half.account, half.path, proof)
    response.delete_cookie(half.cookie, path=SIGN_IN)
    return response


@router.post("/passkey")
async def sign_in_with_passkey(
    request: Request,
    support: SupportContextDep,
    credential: Annotated[str, Form()] = "",
    state: Annotated[str, Form()] = "",
    token: Annotated[str, Form()] = "",
) -> Response:
    """Begin a session of the account whose passkey signed the challenge, and checked its user."""
    _require_form(request, support, token)
    party, run = _party(support), support.services.run_blocking
    counts = count_client(request, support)
    wait = support.login_throttle.acquire(counts) if support.is_throttled else None
    if wait is not None:
        return render_sign_in(request, support, wait_s=wait)
    audit_log = support.services.open_audit_log(Caller(actor="staff"))
    try:
        asserted = await run(finish_assertion, audit_log, party, state, credential, None)
    except FactorError as error:
        return render_sign_in(request, support, fault=_sign_in_fault(error.fault))
    support.login_throttle.release(counts)
    account = await run(support.sessions.find_credentials_of, asserted.staff_id)
    if account is None or not may_use_password(support, account):
        if account is not None:
            await run(record_refusal, support, account)
        return render_sign_in(request, support, fault="password_off")
    path = own_path(request.query_params.get("next", ""))
    return await run(enter, request, support, account, path, "passkey")


class _Answer(NamedTuple):
    """What was sent: a code, or the answer of an authenticator with the state of its challenge."""

    code: str
    credential: str
    state: str


def _prove(support: SupportContext, audit_log: AuditLog, half: HalfSignIn, answer: _Answer) -> FactorProof:
    staff_id = half.account.staff_id
    if not answer.credential:
        return verify_code(audit_log, staff_id, answer.code)
    finish_assertion(audit_log, _party(support), answer.state, answer.credential, staff_id)
    return "passkey"


def _require_form(request: Request, support: SupportContext, token: str) -> None:
    if not has_valid_csrf_token(request, support, request.cookies.get(FORM_COOKIE), token):
        raise InvalidFormTokenError


def _party(support: SupportContext) -> RelyingParty:
    if support.relying_party is None:
        raise ApplicationError("NOT_FOUND")
    return support.relying_party


def _sign_in_fault(fault: FactorFault) -> SignInFault:
    return "stale" if fault == "stale" else "passkey_cloned" if fault == "passkey_cloned" else "passkey_invalid"


def _count_step(request: Request, support: SupportContext, half: HalfSignIn) -> tuple[FailureCount, ...]:
    """Return the counts of wrong codes: those of the sign-in, and one of the account that strangers share."""
    attempt = describe_attempt(request, support, half.account.address)
    if any(count.limit is BROWSER for count in attempt.counts):
        return tuple(attempt.counts)
    return (*attempt.counts, FailureCount(STEP, support.count_key(attempt.name)))


def _render(
    request: Request,
    support: SupportContext,
    half: HalfSignIn,
    *,
    fault: FactorFault | None = None,
    retry_after_s: int | None = None,
) -> Response:
    cookie, language = read_form_cookie(request), get_language(request)
    factors = find_factors(support.services.storage, half.account.staff_id)
    kinds = {factor.kind for factor in factors.factors}
    party, ceremony = support.relying_party, None
    if party is not None and "passkey" in kinds:
        audit_log = support.services.open_audit_log(Caller(actor="staff"))
        ceremony = begin_assertion(audit_log, party, half.account.staff_id)
    response = page(
        request,
        "support/second_step.html",
        language,
        status=429 if retry_after_s is not None else 403 if fault is not None else 200,
        headers=retry_headers(retry_after_s),
        staff=None,
        token=form_token(support.secret, cookie),
        address=half.account.address,
        path=request.url.path,
        kinds=kinds,
        has_recovery_codes=factors.recovery_codes > 0,
        ceremony=ceremony,
        passkeys=describe_passkeys(request, support),
        public_url=support.services.settings.public_url,
        fault=fault,
        wait=None if retry_after_s is None else refusal_detail("RATE_LIMITED", language, retry_after_s=retry_after_s),
    )
    set_cookie(request, response, FORM_COOKIE, cookie, FORM_S, path="/support")
    return response
