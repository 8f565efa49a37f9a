"""A sign-in between the password and the second factor: the browser keeps it, encrypted; there is no session yet."""

import hashlib
import hmac
from datetime import timedelta
from typing import Final, NamedTuple
from urllib.parse import quote
from uuid import UUID

from fastapi import Request
from fastapi.responses import Response

from api.auth.sealed_state import OpenedState, open_state, seal_state
from api.web.rendering import see_other
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.sessions import SIGN_IN, set_cookie
from projections.repositories.staff_factors import StaffFactorRepository
from projections.repositories.staff_sessions import StaffCredentials

COOKIE_PREFIX: Final = "ledger_second_step_"
STEP_S: Final = 600
"""Seconds that a person may take for the second step."""
STEPS_MAX: Final = 5
"""Second steps that a browser may have begun, in as many tabs; a further one ends them."""


class HalfSignIn(NamedTuple):
    """An account whose password was right, and the page to go to."""

    state: OpenedState
    account: StaffCredentials
    path: str

    @property
    def cookie(self) -> str:
        """Name of the cookie."""
        return COOKIE_PREFIX + self.state.state_id.hex


def begin_second_step(request: Request, support: SupportContext, staff_id: UUID, path: str) -> Response | None:
    """Lead to the page that asks for the second factor; None if the account has none."""
    services = support.services
    # Read again: a hash that was made with other costs was replaced while the password was checked.
    account = support.sessions.find_credentials_of(staff_id)
    if account is None or not StaffFactorRepository(services.storage).has_any(staff_id):
        return None
    values = [str(staff_id), _digest_password(account), path]
    state = OpenedState(services.new_id(), values, services.now() + timedelta(seconds=STEP_S))
    response = see_other(f"{SIGN_IN}/second/{state.state_id}")
    others = [name for name in request.cookies if name.startswith(COOKIE_PREFIX)]
    for name in others if len(others) >= STEPS_MAX else ():
        response.delete_cookie(quote(name), path=SIGN_IN)
    value = seal_state(services.storage.vault, "second_step", state)
    set_cookie(request, response, COOKIE_PREFIX + state.state_id.hex, value, STEP_S, path=SIGN_IN)
    return response


def find_half_sign_in(request: Request, support: SupportContext, step_id: UUID) -> HalfSignIn | None:
    """Return a sign-in that this browser began; None if it took too long, or the password was changed since."""
    cookie = request.cookies.get(COOKIE_PREFIX + step_id.hex, "")
    state = open_state(support.services.storage.vault, "second_step", cookie, support.services.now())
    if state is None or state.state_id != step_id:
        return None
    staff_id, password_digest, path = state.values
    account = support.sessions.find_credentials_of(UUID(staff_id))
    if account is None or not hmac.compare_digest(_digest_password(account), password_digest):
        return None
    return HalfSignIn(state, account, path)


def _digest_password(account: StaffCredentials) -> str:
    return hashlib.sha256(account.password_hash.encode()).hexdigest()
