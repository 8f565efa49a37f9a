"""Masks email addresses: enough is shown for a person to recognize their own."""

from domain.values.persons.mailboxes import mask_email


def mask_if_known(address: str | None) -> str | None:
    """Mask an email address; None if its recipient was erased."""
    return None if address is None else mask_email(address)
