"""Sign-in through the identity provider: to the provider, back from it, and the end of its sessions."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Final, NamedTuple, TypeVar
from urllib.parse import quote, urlencode, urlsplit
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import JSONResponse, Response

from api.auth.oidc.identity_provider import PATH, IdentityProvider, SignedInPerson, SignOnSecrets
from api.auth.oidc.sign_on_faults import SignOnError
from api.auth.sealed_state import OpenedState, open_state, seal_state
from api.auth.session_cookies import COOKIE, digest_of
from api.errors import RETRY_AFTER_S, ApplicationError
from api.http.problems import retry_headers
from api.i18n.catalogs import translator
from api.use_cases.administration.single_sign_on import (
    SignOn,
    connect_identity,
    end_provider_sessions,
    prove_identity,
    sign_on,
)
from api.use_cases.services import Caller
from api.web.rendering import see_other
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.rendering import get_language, own_path, render_error
from api.web.staff_auth.sessions import (
    SESSION_S,
    SupportContextDep,
    SupportRoute,
    ViewerWithForm,
    describe_session,
    new_token,
    set_cookie,
)
from api.web.staff_auth.sign_in import UNAVAILABLE, count_client, render_sign_in
from projections.config.staff_roles import highest_role, parse_group_roles
from projections.repositories.audit_log import describe_values
from projections.telemetry.metrics import SIGN_INS_REFUSED

log = logging.getLogger(__name__)

T = TypeVar("T")

COOKIE_PREFIX: Final = "ledger_sign_on_"
SIGN_ON_S: Final = 600
"""Seconds that a person may take at the provider."""
BEGUN_MAX: Final = 5
"""Sign-ins that a browser may have begun, in as many tabs; a further one ends them."""
TEXT_LENGTH_MAX: Final = 2_000
"""Longest code, state or error of a provider."""

router = APIRouter(prefix=PATH, route_class=SupportRoute)


@router.get("")
async def begin(
    request: Request, support: SupportContextDep, then: Annotated[str, Query(alias="next")] = "", again: str = ""
) -> Response:
    """Send the browser to the provider; it keeps, encrypted, what proves that this sign-in is its own."""
    provider, public = _provider(support), support.services.settings.public_url.rstrip("/")
    if urlsplit(public).netloc != request.url.netloc and not again:
        # The provider sends the browser to the public URL, where it needs the cookie.
        return see_other(f"{public}{PATH}?{urlencode({'next': own_path(then), 'again': '1'})}")
    return await _leave(request, support, provider, _Begun.of(own_path(then), None))


@router.post("/connect")
async def begin_to_connect(request: Request, support: SupportContextDep, staff: ViewerWithForm) -> Response:
    """Send a signed-in member of staff to the provider, to connect the account."""
    support.services.open_audit_log(staff.caller()).require_proof()
    begun = _Begun.of("/support/account", staff.staff_id)
    return await _leave(request, support, _provider(support), begun)


@router.post("/prove")
async def begin_to_prove(
    request: Request, support: SupportContextDep, staff: ViewerWithForm, then: Annotated[str, Form(alias="next")] = ""
) -> Response:
    """Send a signed-in member of staff to the provider, to prove there who they are."""
    begun = _Begun.of(own_path(then), staff.staff_id, is_proof=True)
    return await _leave(request, support, _provider(support), begun)


@router.get("/callback")
async def finish(
    request: Request,
    support: SupportContextDep,
    state: Annotated[str, Query(max_length=TEXT_LENGTH_MAX)] = "",
    code: Annotated[str, Query(max_length=TEXT_LENGTH_MAX)] = "",
    reported: Annotated[str, Query(alias="error", max_length=TEXT_LENGTH_MAX)] = "",
    iss: Annotated[str | None, Query(max_length=TEXT_LENGTH_MAX)] = None,
) -> Response:
    """Take in what the provider says, and begin a session."""
    provider = _provider(support)
    begun = _read_cookie(request, support, state)
    if begun is None:
        return _refuse(request, support, SignOnError("stale", "the browser has no such sign-in"), None)
    if (refusal := _find_error(provider, code, reported, iss)) is not None:
        return _refuse(request, support, refusal, begun)
    counts = count_client(request, support)
    wait = support.login_throttle.acquire(counts) if support.is_throttled else None
    if wait is not None:
        return render_sign_in(request, support, wait_s=wait)
    try:
        secrets = SignOnSecrets(state, begun.nonce, begun.verifier)
        identity = await _ask(support, lambda: provider.finish(code, secrets, support.services.now()))
    except SignOnError as error:
        await support.services.run_blocking(_record, support, begun, error)
        return _refuse(request, support, error, begun)
    support.login_throttle.release(counts)
    response = await support.services.run_blocking(_enter, request, support, begun, identity)
    response.delete_cookie(COOKIE_PREFIX + state, path=PATH)
    return response


@router.post("/logout")
async def end_sessions(support: SupportContextDep, logout_token: Annotated[str, Form()] = "") -> Response:
    """End the sessions that the provider names in a signed token (OpenID Connect Back-Channel Logout 1.0)."""
    provider = _provider(support)
    try:
        ended = await _ask(support, lambda: provider.read_logout(logout_token, support.services.now()))
    except SignOnError as error:
        log.warning("logout token refused", extra={"why": str(error)})
        if error.fault == "unreachable":
            return JSONResponse({"error": "temporarily_unavailable"}, 503, retry_headers(RETRY_AFTER_S))
        return JSONResponse({"error": "invalid_request", "error_description": error.detail}, 400)
    audit_log = support.services.open_audit_log(Caller(actor="staff"))
    await support.services.run_blocking(end_provider_sessions, audit_log, provider.client.issuer, ended)
    return Response(status_code=200)


class _Begun(NamedTuple):
    """A sign-in that a browser began: what only it knows, where it goes on, and the account of an open session.

    Attributes:
        is_proof: Whether the person is to prove who they are; otherwise the account is to be connected.
    """

    nonce: str
    verifier: str
    path: str
    staff_id: str | None
    is_proof: bool = False

    @classmethod
    def of(cls, path: str, staff_id: UUID | None, *, is_proof: bool = False) -> "_Begun":
        return cls(new_token(), new_token(), path, None if staff_id is None else str(staff_id), is_proof)


def _provider(support: SupportContext) -> IdentityProvider:
    if support.provider is None:
        raise ApplicationError("NOT_FOUND")
    return support.provider


async def _ask(support: SupportContext, question: Callable[[], T]) -> T:
    """Ask the provider in a thread. Few do at once, so that a slow provider leaves threads to redeems.

    Raises:
        ApplicationError: OVERLOADED, too many wait already.
    """
    if support.provider_slots.locked():
        SIGN_INS_REFUSED.labels("provider").inc()
        raise ApplicationError("OVERLOADED", retry_after_s=RETRY_AFTER_S, why="sign_in")
    async with support.provider_slots:
        return await asyncio.to_thread(question)


async def _leave(request: Request, support: SupportContext, provider: IdentityProvider, begun: _Begun) -> Response:
    sign_on_id = support.services.new_id()
    state = sign_on_id.hex
    secrets = SignOnSecrets(state, begun.nonce, begun.verifier)
    try:
        url = await _ask(support, lambda: provider.begin(secrets, is_proof=begun.is_proof))
    except SignOnError as error:
        return _refuse(request, support, error, begun)
    expires_at = support.services.now() + timedelta(seconds=SIGN_ON_S)
    value = seal_state(support.services.storage.vault, "sign_on", OpenedState(sign_on_id, list(begun), expires_at))
    response = see_other(url)
    others = [name for name in request.cookies if name.startswith(COOKIE_PREFIX)]
    for name in others if len(others) >= BEGUN_MAX else ():
        response.delete_cookie(quote(name), path=PATH)
    set_cookie(request, response, COOKIE_PREFIX + state, value, SIGN_ON_S, path=PATH)
    return response


def _read_cookie(request: Request, support: SupportContext, state: str) -> _Begun | None:
    """Return the sign-in of this state that the browser began; None without one, or if it took too long."""
    cookie = request.cookies.get(COOKIE_PREFIX + state, "")
    sign_on = open_state(support.services.storage.vault, "sign_on", cookie, support.services.now())
    return _Begun(*sign_on.values) if sign_on is not None and sign_on.state_id.hex == state else None


def _find_error(provider: IdentityProvider, code: str, reported: str, iss: str | None) -> SignOnError | None:
    """Return why the provider's answer has no code that is for us; None if it has one."""
    if iss is not None and iss != provider.client.issuer:  # RFC 9207: another provider's answer
        return SignOnError("token_invalid", "iss")
    if reported or not code:
        return SignOnError("denied" if reported == "access_denied" else "misconfigured", f"{reported:.100}")
    return None


def _enter(request: Request, support: SupportContext, begun: _Begun, identity: SignedInPerson) -> Response:
    """Begin a session, or connect the account of the open one."""
    roles = parse_group_roles(support.services.settings.oidc_roles)
    person = SignOn(identity, highest_role(role for group, role in roles.items() if group in identity.groups))
    token, previous = new_token(), request.cookies.get(COOKIE)
    audit_log = support.services.open_audit_log(Caller(actor="staff", actor_id=begun.staff_id))
    try:
        if begun.staff_id is not None:
            digest = _require_member(support, previous, begun.staff_id, audit_log.now)
            if begun.is_proof:
                prove_identity(audit_log, UUID(begun.staff_id), person, digest)
                return see_other(begun.path)
            connect_identity(audit_log, UUID(begun.staff_id), person)
            return see_other("/support/account?done=connected")
        sign_on(audit_log, person, describe_session(request, token, audit_log.now, person.proof(audit_log.now)))
    except SignOnError as error:
        return _refuse(request, support, error, begun)
    response = see_other(begun.path)
    set_cookie(request, response, COOKIE, token, SESSION_S)
    return response


def _require_member(support: SupportContext, cookie: str | None, staff_id: str, now: datetime) -> bytes:
    """Return the digest of the session that began this; refuse if it has ended since, or is another one's now."""
    digest = digest_of(cookie or "")
    member = support.sessions.find_member(digest, now)
    if member is None or str(member.staff_id) != staff_id:
        raise SignOnError("stale", "the session that began this has ended")
    return digest


def _record(support: SupportContext, begun: _Begun, error: SignOnError) -> None:
    caller = Caller(actor="staff", actor_id=begun.staff_id)
    support.services.open_audit_log(caller).record(
        "sign_on_refused", None, describe_values(why=error.fault, what=error.detail or None)
    )


def _refuse(request: Request, support: SupportContext, error: SignOnError, begun: _Begun | None) -> Response:
    """Say why there is no session: on the sign-in, or to who is signed in and wanted to connect the account."""
    SIGN_INS_REFUSED.labels("provider").inc()
    log.warning("single sign-on refused", extra={"why": str(error)})
    if begun is None or begun.staff_id is None:
        return render_sign_in(request, support, fault=error.fault)
    t = translator(get_language(request))
    status = 503 if error.fault in UNAVAILABLE else 403
    heading = t("page.support.sign_in.fault")
    return render_error(request, status, heading, t(f"page.support.sign_in.fault.{error.fault}"), None)
