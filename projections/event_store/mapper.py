"""The library's mapper interface over our codec."""

from uuid import UUID

from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Mapper, StoredEvent

from domain.working_set import Recorded
from projections.event_store.codec import decode, encode


class LedgerMapper(Mapper[UUID]):
    """Maps `Recorded` events; topics are pinned names, never module paths."""

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """Encode a `Recorded` event.

        Raises:
            TypeError: It is some other kind of event.
        """
        if not isinstance(domain_event, Recorded):
            message = f"the ledger stores Recorded events, not {type(domain_event).__name__}"
            raise TypeError(message)
        topic, state = encode(domain_event.event)
        return StoredEvent(
            originator_id=domain_event.originator_id,
            originator_version=domain_event.originator_version,
            topic=topic,
            state=state,
        )

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """Decode a stored event.

        Raises:
            UnreadableEventError: Unknown topic or shape.
        """
        originator_id = stored_event.originator_id
        if not isinstance(originator_id, UUID):
            originator_id = UUID(originator_id)
        event = decode(stored_event.topic, stored_event.state)
        return Recorded(originator_id, stored_event.originator_version, event)
