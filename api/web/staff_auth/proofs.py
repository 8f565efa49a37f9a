"""The fresh proof of who they are that some actions ask of a member of staff: see `NEED_PROOF` of the audit log.

A form that needs one is answered with a page that carries it. That page sends the form again, with the proof, to the
same route, so nothing that was typed is lost. Who signs in through the identity provider proves it there.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from fastapi import Form, Request
from fastapi.responses import Response

from api.auth.passwords import PASSWORD_LENGTH_MAX
from api.auth.session_cookies import COOKIE, digest_of
from api.errors import ApplicationError
from api.http.problems import retry_headers
from api.i18n.messages import refusal_detail
from api.use_cases.administration.second_factors import (
    FactorError,
    FactorFault,
    begin_assertion,
    find_factors,
    finish_assertion,
    verify_code,
)
from api.use_cases.administration.staff_accounts import renew_proof
from api.web.security_headers import REDIRECTING
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.login_throttle import OWN, FailureCount
from api.web.staff_auth.passkey_forms import describe_passkeys
from api.web.staff_auth.rendering import find_page_of_form, get_language, support_page
from api.web.staff_auth.staff import Staff
from domain.values.identifiers import EmailAddress
from projections.repositories.audit_log import AuditLog, ProofRequiredError
from projections.repositories.staff_factors import StaffFactorRepository
from projections.repositories.staff_identities import StaffIdentityRepository
from projections.repositories.staff_sessions import PROOF_LIFE, Proof, ProofKind

ProofFault = Literal["password_wrong"] | FactorFault
"""Why a proof was refused; each has a sentence."""
PROOF_FIELDS: Final = ("own_password", "own_code", "own_passkey", "own_passkey_state")
"""Fields of any form that carry a proof."""


class ProofRefusedError(Exception):
    """What a form brought is no proof, or it was not looked at.

    Attributes:
        fault: What is wrong with it.
        wait_s: Seconds to wait after too many wrong ones; None if it was looked at.
    """

    def __init__(self, fault: ProofFault = "password_wrong", wait_s: int | None = None) -> None:
        super().__init__(fault)
        self.fault: ProofFault = fault
        self.wait_s = wait_s


class ProofTakenError(Exception):
    """The proof was right, and the form asks for a file: the page that asked would stay as if nothing had been done."""


PROOF_ERRORS: Final = (ProofRequiredError, ProofRefusedError, ProofTakenError)
"""What a page has to answer before or after a proof."""


class SentProof(NamedTuple):
    """What a form brought: the password, a code, or the answer of a passkey with the state of its challenge."""

    password: str
    code: str
    passkey: str
    state: str


async def read_proof(
    own_password: Annotated[str, Form()] = "",
    own_code: Annotated[str, Form()] = "",
    own_passkey: Annotated[str, Form()] = "",
    own_passkey_state: Annotated[str, Form()] = "",
) -> SentProof | None:
    """Return the proof that a form brought; None if it has none."""
    sent = SentProof(own_password, own_code, own_passkey, own_passkey_state)
    return sent if any(sent) else None


Fields = Sequence[tuple[str, str]]
"""A form as it was sent, without its token and the proof."""


async def check_own_password(support: SupportContext, staff: Staff, typed: str) -> None:
    """Check the password of a signed-in member of staff.

    Raises:
        ProofRefusedError: It is wrong, or too many were, or no password opens anything here.
        ApplicationError: OVERLOADED, too many requests wait to hash; or the database is unavailable.
    """
    if not support.services.settings.admits_passwords:
        raise ProofRefusedError
    counts = _acquire(support, staff)
    try:
        is_right = len(typed) <= PASSWORD_LENGTH_MAX and await support.authenticate(
            EmailAddress.parse(staff.address), typed, is_known=True
        )
    except ApplicationError:
        support.login_throttle.release(counts)  # the password was not looked at
        raise
    if not is_right:
        raise ProofRefusedError
    support.login_throttle.release(counts)


async def take_proof(request: Request, support: SupportContext, staff: Staff, sent: SentProof) -> Staff:
    """Return the member of staff with the new proof that a form brought; the session has it from now on.

    An account with a second factor is proved by one, any other by its password.

    Raises:
        ProofRefusedError: The proof is none. An entry of the audit log says so.
        ProofTakenError: It is right, and the form asks for a file: the next page offers it.
        ApplicationError: As of `check_own_password`.
    """
    audit_log, run = support.services.open_audit_log(staff.caller()), support.services.run_blocking
    kind: ProofKind = "password"
    if await run(StaffFactorRepository(support.services.storage).has_any, staff.staff_id):
        kind = await run(_check_factor, support, audit_log, staff, sent)
    else:
        try:
            await check_own_password(support, staff, sent.password)
        except ProofRefusedError:
            await run(audit_log.record, "proof_failed")
            raise
    proof = Proof(kind, support.services.now())
    await run(renew_proof, audit_log, digest_of(request.cookies[COOKIE]), proof)
    if ("is_download", "yes") in request.state.sent_form:
        raise ProofTakenError
    return replace(staff, proof=proof)


async def remember_form(request: Request) -> None:
    """Remember a form in case that it needs a proof, or that its session has ended. Files are not carried."""
    form = await request.form()
    left_out = {"token", *PROOF_FIELDS}
    fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str) and name not in left_out]
    request.state.sent_form = fields


async def continue_proof(request: Request, support: SupportContext, error: Exception) -> Response:
    """Ask for the proof that a form needs, or offer the file that it asks for once the proof was taken.

    Args:
        request: The request with the form.
        support: The context of this process.
        error: One of `PROOF_ERRORS`.
    """
    staff: Staff = request.state.staff
    fields: Fields = request.state.sent_form
    if isinstance(error, ProofTakenError):
        path, back = _path(request), find_page_of_form(request)
        return support_page(request, "proved.html", staff, path=path, back=back, fields=fields)
    refused = error if isinstance(error, ProofRefusedError) else None
    return await support.services.run_blocking(_render, request, support, staff, fields, refused)


def _path(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _acquire(support: SupportContext, staff: Staff) -> tuple[FailureCount, ...]:
    """Count a proof as a failure until it turns out to be right."""
    counts = (FailureCount(OWN, staff.staff_id.bytes),)
    wait_s = support.login_throttle.acquire(counts) if support.is_throttled else None
    if wait_s is not None:
        raise ProofRefusedError(wait_s=wait_s)
    return counts


def _check_factor(support: SupportContext, audit_log: AuditLog, staff: Staff, sent: SentProof) -> ProofKind:
    counts = _acquire(support, staff)
    try:
        kind: ProofKind = "passkey"
        if sent.passkey and (party := support.relying_party) is not None:
            finish_assertion(audit_log, party, sent.state, sent.passkey, staff.staff_id)
        else:
            kind = verify_code(audit_log, staff.staff_id, sent.code)
    except FactorError as error:
        raise ProofRefusedError(error.fault) from error
    support.login_throttle.release(counts)
    return kind


def _render(
    request: Request, support: SupportContext, staff: Staff, fields: Fields, refused: ProofRefusedError | None
) -> Response:
    settings, storage = support.services.settings, support.services.storage
    ways, factors = StaffIdentityRepository(storage).find_sign_in(staff.staff_id), find_factors(storage, staff.staff_id)
    kinds, passkeys = {factor.kind for factor in factors.factors}, describe_passkeys(request, support)
    ceremony = None
    if "passkey" in kinds and passkeys == "here" and (party := support.relying_party) is not None:
        ceremony = begin_assertion(support.services.open_audit_log(staff.caller()), party, staff.staff_id)
    provider = urlsplit(settings.oidc_issuer).hostname if settings.oidc_issuer and ways.is_connected else None
    wait_s = refused.wait_s if refused else None
    return support_page(
        request,
        "prove.html",
        staff,
        status=403 if wait_s is None else 429,
        headers={**retry_headers(wait_s), **(REDIRECTING if provider else {})},
        path=_path(request),
        back=find_page_of_form(request),
        fields=fields,
        kinds=kinds,
        has_recovery_codes=factors.recovery_codes > 0,
        ceremony=ceremony,
        passkeys=passkeys,
        public_url=settings.public_url,
        has_password=not kinds and ways.has_password and settings.admits_passwords,
        provider=provider,
        fault=refused.fault if refused is not None and wait_s is None else None,
        wait=None if wait_s is None else refusal_detail("RATE_LIMITED", get_language(request), retry_after_s=wait_s),
        minutes=PROOF_LIFE.seconds // 60,
        length_max=PASSWORD_LENGTH_MAX,
    )
