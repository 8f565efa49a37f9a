"""The sweep: finds due reservations in the database, settles what time has decided, and wakes workers for the rest.

It may run twice, or on two schedulers: rows are read with SKIP LOCKED and marked until the next run.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.command_bus import Command
from domain.commands.context import CommandContext
from domain.commands.reservation.settle_due import SettleDue
from domain.results import Result
from domain.values.batched import batched
from projections.work_queue.due_reservations import TAKEN_MAX, Due
from workers.dispatcher import IDS_PER_MESSAGE

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The result of a sweep."""

    settled: int
    dispatched: int


class DueReservations(Protocol):
    """The queue of due reservations, as the sweep uses it."""

    def bring_back(self, now: datetime) -> Mapping[str, int]:
        """Make due what waits until a time that the clock cannot have shown; return how many rows, by table."""

    def take(self, now: datetime, limit: int = TAKEN_MAX) -> list[Due]:
        """Return due reservations, oldest first, without those that have a recent wake-up message, and mark them."""

    def give_back(self, reservation_ids: Sequence[UUID]) -> None:
        """Remove the marks of wake-up messages that could not be sent, so that the next sweep repeats them."""


def sweep(
    rows: DueReservations,
    execute: Callable[[Sequence[Command]], list[Result]],
    publish: Callable[[Sequence[UUID]], None],
    context: CommandContext,
    new_id: Callable[[], UUID],
) -> SweepResult:
    """Run the sweep once.

    Args:
        rows: Where to find what is due.
        execute: The ledger's `execute`.
        publish: Wakes workers for reservations; if it raises, the next run repeats them.
        context: Who and when.
        new_id: Random ids for cases.
    """
    if counts := rows.bring_back(context.now):
        log.warning("waits until times in the future interrupted", extra={"action": "sweep", "counts": counts})
    due = rows.take(context.now)
    commands = [
        SettleDue(context=context, reservation_id=due_reservation.reservation_id, case_id=new_id())
        for due_reservation in due
        if due_reservation.settle
    ]
    if commands:
        execute(commands)
    messages = _messages(due)
    for number, ids in enumerate(messages):
        try:
            publish(ids)
        except Exception:
            rows.give_back([due_reservation for message in messages[number:] for due_reservation in message])
            raise
    return SweepResult(settled=len(commands), dispatched=len(due) - len(commands))


def _messages(due: Sequence[Due]) -> list[list[UUID]]:
    """Return ids by message: few messages, but a separate one for each reservation with an unknown outcome."""
    together = [due_reservation.reservation_id for due_reservation in due if not due_reservation.alone]
    return list(batched(together, IDS_PER_MESSAGE)) + [
        [due_reservation.reservation_id] for due_reservation in due if due_reservation.alone
    ]
