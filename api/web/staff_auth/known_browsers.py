"""Known browsers: a signed cookie gives each browser that signed in to an account a separate failure count.

The cookie grants nothing. It only keeps other browsers' failures apart.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

KNOWN_FOR: Final = timedelta(days=180)
"""How long a browser is known after its last sign-in."""
COOKIE_PREFIX: Final = "ledger_known_"
_PARTS: Final = 3


class KnownBrowsers:
    """Issues and reads the cookies; there is one for each account, because several people may share a browser.

    Args:
        secret: The ledger's secret key. Forms use another key derived from it, since they sign what a client chooses.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = hashlib.sha256(b"known browser\0" + secret).digest()

    def issue_cookie(self, account: str, browser: str, now: datetime) -> "KnownBrowserCookie":
        """Return the cookie of a browser that has just signed in.

        Args:
            account: The account's normal email address.
            browser: A random name for the browser, without a dot.
            now: Aware UTC.
        """
        until = int((now + KNOWN_FOR).timestamp())
        return KnownBrowserCookie(self._name(account), f"{until}.{browser}.{self._signature(account, until, browser)}")

    def identify(self, cookies: Mapping[str, str], account: str, now: datetime) -> str | None:
        """Return the name of the browser, if it signed in to this account before."""
        parts = cookies.get(self._name(account), "").split(".")
        if len(parts) != _PARTS or not (parts[0].isascii() and parts[0].isdigit()):
            return None
        until, browser, signature = int(parts[0]), parts[1], parts[2]
        is_ours = hmac.compare_digest(
            self._signature(account, until, browser).encode(), signature.encode(errors="replace")
        )
        return browser if is_ours and now.timestamp() < until else None

    def _name(self, account: str) -> str:
        return COOKIE_PREFIX + self._digest("name", account)[:16]

    def _signature(self, account: str, until: int, browser: str) -> str:
        return self._digest("cookie", account, str(until), browser)

    def _digest(self, *parts: str) -> str:
        return hmac.digest(self._secret, "\0".join(parts).encode(errors="replace"), hashlib.sha256).hex()


class KnownBrowserCookie(NamedTuple):
    """A cookie's name and value."""

    name: str
    value: str
