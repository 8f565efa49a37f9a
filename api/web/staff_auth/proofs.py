"""The fresh proof of who they are that some actions ask of a member of staff: see `NEED_PROOF` of the audit log.

A form that needs one is answered with a page that carries it. That page sends the form again, with the password, to
the same route, so nothing that was typed is lost. Who signs in through the identity provider proves it there.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response

from api.auth.passwords import PASSWORD_LENGTH_MAX
from api.auth.session_cookies import COOKIE, digest_of
from api.errors import ApplicationError
from api.http.problems import retry_headers
from api.i18n.messages import refusal_detail
from api.use_cases.administration.staff_accounts import renew_proof
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.login_throttle import OWN, FailureCount
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.staff import Staff
from domain.values.identifiers import EmailAddress
from projections.repositories.staff_identities import StaffIdentityRepository
from projections.repositories.staff_sessions import PROOF_LIFE, Proof

PASSWORD_FIELD: Final = "own_password"  # noqa: S105 - the name of a field
"""Field of any form that carries the password as a proof."""


class PasswordRefusedError(Exception):
    """What was typed is not the own password, or it was not looked at.

    Attributes:
        wait_s: Seconds to wait after too many wrong ones; None if the password is wrong.
    """

    def __init__(self, wait_s: int | None = None) -> None:
        super().__init__()
        self.wait_s = wait_s


class SentForm(NamedTuple):
    """A form as it was sent, without its token and the proof."""

    staff: Staff
    fields: Sequence[tuple[str, str]]


async def check_own_password(support: SupportContext, staff: Staff, typed: str) -> None:
    """Check the password of a signed-in member of staff.

    Raises:
        PasswordRefusedError: It is wrong, or too many were, or no password opens anything here.
        ApplicationError: OVERLOADED, too many requests wait to hash; or the database is unavailable.
    """
    if not support.services.settings.admits_passwords:
        raise PasswordRefusedError
    counts = (FailureCount(OWN, staff.staff_id.bytes),)
    wait_s = support.login_throttle.acquire(counts) if support.is_throttled else None
    if wait_s is not None:
        raise PasswordRefusedError(wait_s)
    try:
        is_right = len(typed) <= PASSWORD_LENGTH_MAX and await support.authenticate(
            EmailAddress.parse(staff.address), typed, is_known=True
        )
    except ApplicationError:
        support.login_throttle.release(counts)  # the password was not looked at
        raise
    if not is_right:
        raise PasswordRefusedError
    support.login_throttle.release(counts)


async def take_proof(request: Request, support: SupportContext, staff: Staff, password: str) -> Staff:
    """Return the member of staff with the new proof that a form brought; the session has it from now on.

    Raises:
        PasswordRefusedError: The proof is none.
        ApplicationError: As of `check_own_password`.
    """
    audit_log = support.services.open_audit_log(staff.caller())
    try:
        await check_own_password(support, staff, password)
    except PasswordRefusedError:
        await support.services.run_blocking(audit_log.record, "proof_failed")
        raise
    proof = Proof("password", support.services.now())
    await support.services.run_blocking(renew_proof, audit_log, digest_of(request.cookies[COOKIE]), proof)
    return replace(staff, proof=proof)


async def remember_form(request: Request, staff: Staff) -> None:
    """Remember a form in case that it turns out to need a proof. Files are not carried: no such form has one."""
    form = await request.form()
    fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    request.state.sent_form = SentForm(staff, [each for each in fields if each[0] not in {"token", PASSWORD_FIELD}])


async def ask_for_proof(request: Request, support: SupportContext, refused: PasswordRefusedError | None) -> Response:
    """Ask for the proof that a form needs.

    Args:
        request: The request with the form.
        support: The context of this process.
        refused: What was wrong with the proof that it had; None if it had none.
    """
    staff, fields = request.state.sent_form
    settings, run = support.services.settings, support.services.run_blocking
    ways = await run(StaffIdentityRepository(support.services.storage).find_sign_in, staff.staff_id)
    wait_s, language = refused.wait_s if refused else None, get_language(request)
    referer = urlsplit(request.headers.get("referer", ""))
    is_ours = referer.netloc == request.url.netloc
    return support_page(
        request,
        "prove.html",
        staff,
        status=403 if wait_s is None else 429,
        headers=retry_headers(wait_s),
        path=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        back=referer.path + (f"?{referer.query}" if referer.query else "") if is_ours else request.url.path,
        fields=fields,
        password_field=PASSWORD_FIELD,
        has_password=ways.has_password and settings.admits_passwords,
        provider=settings.oidc_issuer and ways.is_connected and urlsplit(settings.oidc_issuer).hostname,
        is_wrong=refused is not None and wait_s is None,
        wait=None if wait_s is None else refusal_detail("RATE_LIMITED", language, retry_after_s=wait_s),
        minutes=PROOF_LIFE.seconds // 60,
        length_max=PASSWORD_LENGTH_MAX,
    )
