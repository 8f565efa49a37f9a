"""Finding clear addresses in stored events, whose ids and times are arbitrary bytes."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from domain.events.reservation import InviteSent
from projections.event_store.stored_state import pack
from projections.replay.invariant_observer import NO_ADDRESS, InvariantObserver

LOOKS_LIKE_ONE = UUID(bytes=b"li.wei@mail.orgg")
"""An id whose bytes match the pattern of an address."""


@pytest.mark.parametrize("write", [pack, msgspec.json.encode], ids=["packed", "json"])
@pytest.mark.parametrize(("server", "address_count"), [("mx.example.com:25", 0), ("li.wei@example.com", 1)])
def test_address_is_found_in_texts_alone(write: Callable[[object], bytes], server: str, address_count: int) -> None:
    at = datetime(2026, 11, 24, 12, tzinfo=UTC)
    event = InviteSent(at=at, actor="worker", reservation_id=LOOKS_LIKE_ONE, attempt=1, server=server)
    observer = InvariantObserver()

    observer.check_stored((bytes(16), 1, 1, "InviteSent:1", write(event)))

    assert observer.counts[NO_ADDRESS] == address_count
    assert [finding.rule for finding in observer.findings] == [NO_ADDRESS] * address_count
