"""One invitation from its claim to its outcome, as a worker does it for many at once."""

from collections.abc import Sequence
from uuid import UUID

from domain.ports import Channel, outcome_label
from workers.sending.delivery_steps import ClaimedDelivery, DeliverySteps
from workers.sending.loop import Ended


def claim(steps: DeliverySteps, reservation_ids: Sequence[UUID], channel: str, task_id: str) -> list[ClaimedDelivery]:
    """Commit the leases of the next attempts; those leased by others or not due are left out."""
    return steps.record_and_claim((), reservation_ids, channel, task_id)


def deliver(steps: DeliverySteps, reservation_id: UUID, channel: Channel, task_id: str) -> str:
    """Claim, send and record one reservation.

    Returns:
        One word: sent, failed, deferred, unknown, or idle if there was nothing to do.
    """
    for claimed in claim(steps, [reservation_id], channel.name, task_id):
        outcome = steps.send(claimed, channel)
        steps.record_and_claim([Ended(claimed, outcome)], (), channel.name, task_id)
        return outcome_label(outcome)
    return "idle"
