"""How an email address is shown where others may see it: enough to recognize one's own."""

HIDDEN = "***"
"""Always three, so that the length of the name is not shown."""


def mask_if_known(address: str | None) -> str | None:
    """Mask an email address; None if its recipient was erased."""
    return None if address is None else mask_email(address)


def mask_email(address: str) -> str:
    """The first letter and the domain: `l***@example.com`. The domain stays, since that is where slips show."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}{HIDDEN}{at}{domain}"
