"""Sign-in and sign-out of staff."""

import re
from collections.abc import Sequence
from typing import Annotated, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from api.auth.oidc.sign_on_faults import SignOnFault
from api.auth.passwords import PASSWORD_LENGTH_MAX
from api.auth.session_cookies import COOKIE, digest_of, form_token
from api.errors import ApplicationError
from api.http.problems import retry_headers
from api.i18n.messages import refusal_detail
from api.rate_limits.client_network import client_networks
from api.schemas.parsing import find_email
from api.use_cases.administration.second_factors import Ceremony, FactorProof, begin_assertion
from api.use_cases.administration.staff_accounts import begin_session, end_session
from api.use_cases.services import Caller
from api.web.rendering import page, see_other
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.known_browsers import KNOWN_FOR
from api.web.staff_auth.login_throttle import ACCOUNT, ALL, BROWSER, NETWORK, PAIR, SITE, FailureCount
from api.web.staff_auth.passkey_forms import describe_passkeys
from api.web.staff_auth.rendering import get_language, own_path
from api.web.staff_auth.second_step_state import begin_second_step
from api.web.staff_auth.sessions import (
    SESSION_S,
    SIGN_IN,
    EnrollingWithForm,
    InvalidFormTokenError,
    SupportContextDep,
    SupportRoute,
    describe_session,
    has_valid_csrf_token,
    new_token,
    set_cookie,
)
from domain.values.identifiers import EmailAddress
from projections.repositories.audit_log import describe_values
from projections.repositories.staff_sessions import Proof, StaffCredentials

FORM_COOKIE: Final = "ledger_sign_in"
TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
FORM_S: Final = 3600

SignInFault = Literal["password_wrong", "password_off", "passkey_invalid", "passkey_cloned"] | SignOnFault
"""Why a sign-in was refused; each has a sentence."""
UNAVAILABLE: Final[frozenset[SignInFault]] = frozenset({"unreachable", "misconfigured"})
"""Faults of the provider or of our settings, about which the person can do nothing."""

router = APIRouter(prefix="/support", route_class=SupportRoute)


@router.get("/sign-in")
def show_form(request: Request, support: SupportContextDep, lost: str = "", done: str = "") -> Response:
    """Show the form. Its token belongs to a separate cookie, because there is no session yet.

    `lost`: a form was sent after its session had ended. `done`: `password`, one was set by a link.
    """
    return render_sign_in(request, support, is_lost=bool(lost), has_new_password=done == "password")


@router.post("/sign-in")
async def sign_in(
    request: Request,
    support: SupportContextDep,
    email: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    token: Annotated[str, Form()] = "",
) -> Response:
    """Check the password, begin a session under a new token, and go to the page that was asked for."""
    if not has_valid_csrf_token(request, support, request.cookies.get(FORM_COOKIE), token):
        raise InvalidFormTokenError
    if not support.services.settings.admits_passwords:
        return render_sign_in(request, support, email=email, fault="password_off")
    attempt = describe_attempt(request, support, email)
    wait = support.login_throttle.acquire(attempt.counts) if support.is_throttled else None
    if wait is not None:
        return render_sign_in(request, support, email=email, wait_s=wait)
    try:
        account = await _check_password(support, attempt, password)
    except ApplicationError:
        support.login_throttle.release(attempt.counts)  # the password was not looked at
        raise
    if account is None:
        return render_sign_in(request, support, email=email, fault="password_wrong")
    support.login_throttle.release(attempt.counts)
    if not may_use_password(support, account):
        await support.services.run_blocking(record_refusal, support, account)
        return render_sign_in(request, support, email=email, fault="password_off")
    path = own_path(request.query_params.get("next", ""))
    second_step = await support.services.run_blocking(begin_second_step, request, support, account.staff_id, path)
    if second_step is not None:
        return second_step
    return await support.services.run_blocking(enter, request, support, account, path)


def enter(
    request: Request,
    support: SupportContext,
    account: StaffCredentials,
    path: str,
    factor: FactorProof | None = None,
) -> Response:
    """Begin a session of an account that proved who it is, and go to a page.

    `factor`: what it was proved by in addition to the password, or instead of it.
    """
    session = new_token()
    audit_log = support.services.open_audit_log(Caller(actor="staff", actor_id=str(account.staff_id)))
    proof = Proof(factor or "password", audit_log.now)
    how = describe_values(how="break_glass" if account.is_break_glass else None, factor=factor)
    new_session = describe_session(request, session, audit_log.now, proof)
    begin_session(audit_log, account.staff_id, new_session, how)
    response = see_other(path)
    set_cookie(request, response, COOKIE, session, SESSION_S)
    response.delete_cookie(FORM_COOKIE, path="/support")
    name = EmailAddress.parse(account.address).normal
    known_browser = support.browsers.issue_cookie(name, new_token(), audit_log.now)
    set_cookie(
        request, response, known_browser.name, known_browser.value, int(KNOWN_FOR.total_seconds()), path="/support"
    )
    return response


@router.post("/sign-out")
def sign_out(request: Request, support: SupportContextDep, staff: EnrollingWithForm) -> Response:
    """End the session here and in the database."""
    digest, audit_log = digest_of(request.cookies[COOKIE]), support.services.open_audit_log(staff.caller())
    end_session(audit_log, digest)
    response = see_other(SIGN_IN)
    response.delete_cookie(COOKIE, path="/")
    return response


class SignInAttempt(NamedTuple):
    """A sign-in: the typed address, and the counts that a failure is added to."""

    email: EmailAddress | None
    counts: Sequence[FailureCount]
    is_known: bool

    @property
    def name(self) -> str:
        """The account's normal address; empty if what was typed is not an email address."""
        return self.email.normal if self.email else ""


async def _check_password(support: SupportContext, attempt: SignInAttempt, password: str) -> StaffCredentials | None:
    """Return the account whose password this is; each failure is recorded, and takes as long as a success."""
    is_hashable = len(password) <= PASSWORD_LENGTH_MAX
    account = await support.authenticate(attempt.email, password, is_known=attempt.is_known) if is_hashable else None
    if account is None:
        email = attempt.email

        def record() -> None:
            account = support.sessions.find_credentials(email) if email else None
            caller = Caller(actor="staff", actor_id=str(account.staff_id) if account else None)
            support.services.open_audit_log(caller).record("sign_in_failed")

        await support.services.run_blocking(record)
    return account


def describe_attempt(request: Request, support: SupportContext, typed: str) -> SignInAttempt:
    """Return where a sign-in comes from and which account it is for; addresses are kept as digests only."""
    email = find_email(typed)
    name = email.normal if email else ""
    browser = support.browsers.identify(request.cookies, name, support.services.now())
    if browser is not None:
        return SignInAttempt(email, (FailureCount(BROWSER, support.count_key(name, browser)),), is_known=True)
    site, *_ = client_networks(request.client.host if request.client else "")
    counts = (
        FailureCount(PAIR, support.count_key(name, site)),
        FailureCount(ACCOUNT, support.count_key(name)),
        *count_client(request, support),
    )
    return SignInAttempt(email, counts, is_known=False)


def read_form_cookie(request: Request) -> str:
    """Return the cookie that a form belongs to before there is a session: the one that was sent, or a new one."""
    sent = request.cookies.get(FORM_COOKIE, "")
    return sent if TOKEN.fullmatch(sent) else new_token()  # not every text that a client sends can be a cookie


def count_client(request: Request, support: SupportContext) -> Sequence[FailureCount]:
    """Return the counts of a client's failures that are about no account."""
    site, *networks = client_networks(request.client.host if request.client else "")
    return (
        FailureCount(SITE, support.count_key(site)),
        *(FailureCount(NETWORK, support.count_key(network)) for network in networks),
        FailureCount(ALL, b""),
    )


def find_provider_name(issuer: str | None) -> str | None:
    """Return the host of the identity provider, by which the button names it; None without a provider."""
    return None if issuer is None else urlsplit(issuer).hostname


def may_use_password(support: SupportContext, account: StaffCredentials) -> bool:
    """Return whether an account may sign in with its password, or with a passkey in place of it."""
    settings = support.services.settings
    is_admitted = settings.admits_passwords and (account.is_break_glass or not settings.admits_one_password)
    return is_admitted and account.password_hash != ""


def record_refusal(support: SupportContext, account: StaffCredentials) -> None:
    """Record that passwords, and passkeys with them, are switched off for this account."""
    caller = Caller(actor="staff", actor_id=str(account.staff_id))
    support.services.open_audit_log(caller).record(
        "sign_on_refused", account.staff_id, describe_values(why="password_off")
    )


def _offer_passkey(support: SupportContext) -> Ceremony | None:
    """Return a challenge for a passkey of any account; None where there are none."""
    party = support.relying_party
    if party is None or not support.services.settings.admits_passwords:
        return None
    return begin_assertion(support.services.open_audit_log(Caller(actor="staff")), party, None, verify_user=True)


def render_sign_in(
    request: Request,
    support: SupportContext,
    *,
    email: str = "",
    is_lost: bool = False,
    has_new_password: bool = False,
    fault: SignInFault | None = None,
    wait_s: int | None = None,
) -> Response:
    """Render the form, with the reason why a sign-in was refused."""
    cookie = read_form_cookie(request)
    language = get_language(request)
    wait = None if wait_s is None else refusal_detail("RATE_LIMITED", language, retry_after_s=wait_s)
    response = page(
        request,
        "support/sign_in.html",
        language,
        status=429 if wait_s is not None else 200 if fault is None else 503 if fault in UNAVAILABLE else 403,
        headers=retry_headers(wait_s),
        staff=None,
        token=form_token(support.secret, cookie),
        email=email,
        is_lost=is_lost,
        has_new_password=has_new_password,
        fault=fault,
        wait=wait,
        provider=find_provider_name(support.services.settings.oidc_issuer),
        password_sign_in=support.services.settings.password_sign_in,
        passkeys=describe_passkeys(request, support),
        ceremony=_offer_passkey(support),
        next_path=own_path(request.query_params.get("next", "")),
    )
    set_cookie(request, response, FORM_COOKIE, cookie, FORM_S, path="/support")
    return response
