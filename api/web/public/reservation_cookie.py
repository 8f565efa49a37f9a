"""The cookie by which a browser shows that it made a reservation: the correction tokens of the newest ones.

A correction token is worth nothing without the code, and only correcting an email address and moving access ask for it.
"""

import re
from typing import Final

from fastapi import Request
from fastapi.responses import Response

COOKIE: Final = "ledger_reservations"
TOKENS_MAX: Final = 8
"""Reservations that one browser can correct; more would make every request longer."""
COOKIE_LIFETIME_S_MAX: Final = 400 * 86_400
"""Longest life of a cookie that browsers grant (RFC 6265bis)."""
_SEPARATOR: Final = "."
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")


def read_tokens(request: Request) -> tuple[str, ...]:
    """Return the correction tokens of this browser, the newest first; what has another shape is left out."""
    parts = request.cookies.get(COOKIE, "").split(_SEPARATOR, TOKENS_MAX)
    return tuple(part for part in parts[:TOKENS_MAX] if _TOKEN.fullmatch(part))


def remember_token(request: Request, response: Response, token: str | None, lifetime_s: int) -> None:
    """Add the token of a new reservation to the browser's cookie; the oldest token beyond the limit is dropped.

    Args:
        request: The request that made the reservation.
        response: The answer to it.
        token: Its correction token; None if the request made no reservation, then the cookie stays as it is.
        lifetime_s: Seconds for which the browser keeps the cookie.
    """
    if token is None:
        return
    tokens = (token, *read_tokens(request))[:TOKENS_MAX]
    response.set_cookie(
        COOKIE,
        _SEPARATOR.join(tokens),
        max_age=min(lifetime_s, COOKIE_LIFETIME_S_MAX),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
