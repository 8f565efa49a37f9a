"""Lists of open sessions, on the page of one's own account and on an admin's page of an account."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from api.errors import ApplicationError
from api.i18n.catalogs import Translator
from projections.repositories.staff_sessions import Device, SessionRow

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class ListedSession(NamedTuple):
    """A session as a page shows it. `key`: names it in the form that ends it."""

    key: str
    device: str
    network: str
    created_at: datetime
    used_at: datetime
    is_current: bool


def list_sessions(rows: Sequence[SessionRow], t: Translator, current: bytes | None = None) -> list[ListedSession]:
    """Return sessions for a page; `current` is the digest of the one that asks for it, if it is one of them."""
    return [
        ListedSession(
            row.digest.hex(),
            _name_device(row.device, t),
            row.network or "-",
            row.created_at,
            row.used_at,
            row.digest == current,
        )
        for row in rows
    ]


def parse_session_key(text: str) -> bytes | None:
    """Return the digest of the session that a form names; None if it names none, which stands for several.

    Raises:
        ApplicationError: MALFORMED.
    """
    if not text:
        return None
    if not _DIGEST.fullmatch(text):
        raise ApplicationError("MALFORMED")
    return bytes.fromhex(text)


def _name_device(device: Device, t: Translator) -> str:
    if device.browser and device.system:
        return t("page.account.session.device", browser=device.browser, system=device.system)
    return device.browser or device.system or t("page.account.session.unknown")
