"""Message-IDs of emails, computed from the delivery, so they are the same on every attempt."""

from domain.values.link_token import DeliveryRef


def message_id(delivery: DeliveryRef, domain: str) -> str:
    """Return the RFC 5322 Message-ID of a delivery's email."""
    return f"<{delivery.reservation_id}.{delivery.number}@{domain}>"
