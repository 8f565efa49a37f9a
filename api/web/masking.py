"""Masks email addresses: enough is shown for a person to recognize their own."""

HIDDEN = "***"
"""Always three characters, so that the length of the name is not shown."""


def mask_if_known(address: str | None) -> str | None:
    """Mask an email address; None if its recipient was erased."""
    return None if address is None else mask_email(address)


def mask_email(address: str) -> str:
    """Return the first character and the domain: `l***@example.com`.

    The domain stays, because typing errors show there.
    """
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}{HIDDEN}{at}{domain}"
