"""Whether a page can offer passkeys: they belong to the origin of the public URL."""

from typing import Literal
from urllib.parse import urlsplit

from fastapi import Request

from api.web.staff_auth.context import SupportContext

PasskeyPlace = Literal["here", "elsewhere", "nowhere"]
"""Where passkeys work: on this page, only under the public URL, or under none (no TLS, or an IP address)."""


def describe_passkeys(request: Request, support: SupportContext) -> PasskeyPlace:
    """Return where passkeys work."""
    party = support.relying_party
    if party is None:
        return "nowhere"
    return "here" if urlsplit(party.origin).netloc == request.url.netloc else "elsewhere"
