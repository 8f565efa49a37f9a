"""How an e-mail address is shown where others may look: enough to know one's own by, no more."""

HIDDEN = "***"
"""Always three, so that the length of the name is not told."""


def mask_email(address: str) -> str:
    """The first letter and the domain: `l***@example.com`. The domain stays, since that is where slips show."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}{HIDDEN}{at}{domain}"
