"""The visitor of a public page, and the cookie by which a browser proves that it made a reservation.

The cookie holds the correction tokens of the newest reservations, and the tokens of places on waiting lists. A token
shows the email address in full, and for a while after a use was returned the code that was typed (`find_typed_again`).
To correct an address or to move access, it is worthless without the code.
"""

import re
from typing import Final, NamedTuple
from uuid import UUID

from fastapi import Request
from fastapi.responses import Response

from api.http.dependencies import client_ip_of, request_id_of
from api.use_cases.services import Caller, Services
from domain.policy import Policy
from domain.values.link_token import read_correction_token, read_joined_token

COOKIE: Final = "ledger_reservations"
TOKENS_MAX: Final = 8
"""Reservations, and places on waiting lists, that are a browser's own; more would make every request longer."""
COOKIE_LIFETIME_S_MAX: Final = 400 * 86_400
"""Longest life of a cookie that browsers grant (RFC 6265bis)."""
SECONDS_PER_DAY: Final = 86_400
BOUNCE_DAYS_MAX: Final = 5
"""Days after which mail servers give up, and report the bounce (RFC 5321, 4.5.4.1)."""
_SEPARATOR: Final = "."
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")


class Visitor(NamedTuple):
    """The request's id, the IP address that it came from (for limits alone), and the browser's tokens."""

    request_id: str | None = None
    client_ip: str | None = None
    tokens: tuple[str, ...] = ()

    @property
    def caller(self) -> Caller:
        """The visitor as commands and limits name it."""
        return Caller(actor="person", request_id=self.request_id, client_ip=self.client_ip)


def get_visitor(request: Request) -> Visitor:
    """Return the visitor of a request."""
    return Visitor(request_id_of(request), client_ip_of(request.scope), read_tokens(request))


def find_token(services: Services, visitor: Visitor, reservation_id: UUID) -> str | None:
    """Return the browser's correction token of a reservation; None if it has none."""
    secret = services.settings.secret_key.get_secret_value().encode()
    return next((token for token in visitor.tokens if read_correction_token(secret, token) == reservation_id), None)


def has_joined(services: Services, visitor: Visitor, place_id: UUID) -> bool:
    """Return whether this browser joined a waiting list with this place."""
    secret = services.settings.secret_key.get_secret_value().encode()
    return any(read_joined_token(secret, token) == place_id for token in visitor.tokens)


def list_own_reservations(services: Services, visitor: Visitor) -> list[UUID]:
    """Return the reservations that this browser can prove to have made, the newest first."""
    secret = services.settings.secret_key.get_secret_value().encode()
    ids = (read_correction_token(secret, token) for token in visitor.tokens)
    return [reservation_id for reservation_id in ids if reservation_id is not None]


def read_tokens(request: Request) -> tuple[str, ...]:
    """Return the tokens of this browser, the newest first; what has another shape is left out."""
    parts = request.cookies.get(COOKIE, "").split(_SEPARATOR, TOKENS_MAX)
    return tuple(part for part in parts[:TOKENS_MAX] if _TOKEN.fullmatch(part))


def remember_token(request: Request, response: Response, token: str | None, policy: Policy) -> None:
    """Add a token to the browser's cookie; the oldest token beyond the limit is dropped.

    Args:
        request: The request that made a reservation, or joined a waiting list.
        response: The answer to it.
        token: The token of what it made; None if it made nothing, then the cookie stays as it is.
        policy: The cookie lasts until nothing can be corrected or moved any more.
    """
    if token is None:
        return
    correctable_s = BOUNCE_DAYS_MAX * SECONDS_PER_DAY + policy.correct_within_s
    lifetime_s = policy.deferrals_s_max + max(policy.rebind_days * SECONDS_PER_DAY, correctable_s)
    tokens = (token, *read_tokens(request))[:TOKENS_MAX]
    response.set_cookie(
        COOKIE,
        _SEPARATOR.join(tokens),
        max_age=min(lifetime_s, COOKIE_LIFETIME_S_MAX),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
