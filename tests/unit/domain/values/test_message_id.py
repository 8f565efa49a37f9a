"""Message-IDs of emails."""

from uuid import UUID

from domain.values.link_token import DeliveryRef
from domain.values.message_id import message_id


def test_message_id_is_the_deliverys() -> None:
    """RFC 5322: in angle brackets, unique per delivery."""
    assert message_id(DeliveryRef(UUID(int=7), 2), "example.com") == f"<{UUID(int=7)}.2@example.com>"
