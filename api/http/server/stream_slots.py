"""Slots for open streams: a process has a bounded number of them, and each client a share."""

from collections import Counter
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.errors import ApplicationError
from api.rate_limits.client_network import client_networks

RETRY_S: Final = 5
STATUS_STREAMS_MAX: Final = 200
"""Open streams of statuses per process; beyond it clients fall back to polling, as they do when a stream ends."""
STATUS_STREAMS_PER_CLIENT_MAX: Final = 20
"""Open streams of one client network, as many as nginx lets through; `LEDGER_RATE_LIMIT=off` disables this limit."""
FEED_READERS_MAX: Final = 100
"""Most waiting readers of the event feed per process."""
HISTORY_VIEWERS_MAX: Final = 500
"""Open streams of histories per process; pages without one look for new events themselves, twice a minute."""


class StreamSlots:
    """The stream slots of one process. Not thread-safe.

    Args:
        slots_max: How many streams may be open.
        per_client_max: How many of them one client network may have (IPv6: one /64); None for no such limit.
    """

    def __init__(self, slots_max: int, per_client_max: int | None = None) -> None:
        self._slots_max = slots_max
        self._per_client_max = per_client_max
        self._open_by_client: Counter[str] = Counter()

    def acquire(self, client: str | None = None) -> "StreamSlot":
        """Take a slot, which is counted until it is released.

        Args:
            client: The client's IP address; None if its share is not limited.

        Raises:
            ApplicationError: OVERLOADED if no slot is free; RATE_LIMITED if the client has its share already.
        """
        if len(self) >= self._slots_max:
            raise ApplicationError("OVERLOADED", retry_after_s=RETRY_S)
        name = "" if client is None else client_networks(client)[0]
        if name and self._per_client_max is not None and self._open_by_client[name] >= self._per_client_max:
            raise ApplicationError("RATE_LIMITED", retry_after_s=RETRY_S)
        self._open_by_client[name] += 1
        return StreamSlot(self, name)

    def release(self, name: str) -> None:
        """Free one slot of a client network."""
        self._open_by_client[name] -= 1
        if not self._open_by_client[name]:
            del self._open_by_client[name]

    def __len__(self) -> int:
        """Return how many streams are open."""
        return self._open_by_client.total()


class StreamSlot:
    """One acquired slot; a context manager that releases it."""

    def __init__(self, slots: StreamSlots, name: str) -> None:
        self._slots: StreamSlots | None = slots
        self._name = name

    def release(self) -> None:
        """Release the slot; a second call does nothing."""
        if self._slots is not None:
            self._slots.release(self._name)
            self._slots = None

    def __enter__(self) -> Self:
        """Return the slot, which is acquired already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the slot."""
        self.release()


class SlotStreamingResponse(StreamingResponse):
    """A stream of server-sent events that releases its slot at its end, even if the client leaves before the first."""

    def __init__(self, slot: StreamSlot, events: AsyncIterator[bytes]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self._slot = slot

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        with self._slot:
            await super().__call__(scope, receive, send)
