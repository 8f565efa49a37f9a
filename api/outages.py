"""Undoing an outage: what it hurt, and giving that back batch by batch. For the command line, the API and the desk."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from api.hurt import Hurt, Window, how_hurt
from domain.command_bus import Command, Done, Result
from domain.commands.context import Context
from domain.commands.reservation.resolve_case import RefundAfterOutage
from domain.model import reservation
from projections.read_models.reader import Reader

READ_AT_ONCE = 500
REFUNDED_AT_ONCE = 100
"""Commands per transaction: what is interrupted leaves whole batches done, and the next run finds the rest."""

T = TypeVar("T")


def find_hurt(reader: Reader, window: Window, *, include_sent: bool) -> Iterator[Hurt]:
    """Reservations that an outage hurt and that can be given back now."""
    candidates = reader.outage_candidates(window.start, window.end, include_sent=include_sent)
    for ids in parts_of(candidates, READ_AT_ONCE):
        for history in reader.reservation_events(ids).values():
            item = reservation.fold(history.code_id, history.events)
            hurt = how_hurt(item, (event for _, event in history.events), window)
            if hurt is not None:
                yield hurt


def give_back(
    execute: Callable[[Sequence[Command]], list[Result]], part: Sequence[Hurt], context: Context, *, include_sent: bool
) -> int:
    """Give one batch back; what somebody settled since it was listed is left alone. How many were given back."""
    results = execute(
        [
            RefundAfterOutage(
                context=context,
                reservation_id=item.reservation_id,
                include_sent=include_sent and item.state == "sent",  # a doubt that turned out to be sent stays so
            )
            for item in part
        ]
    )
    return sum(isinstance(result, Done) and result.changed for result in results)


def parts_of(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Items in stretches of this size; the last one may be shorter."""
    for first in range(0, len(items), size):
        yield items[first : first + size]
