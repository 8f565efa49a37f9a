"""Seats for answers that last: a bounded number of open streams, in all and for each client."""

from collections import Counter
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.errors import ApplicationError
from api.rate_limits.client_network import client_networks

RETRY_S: Final = 5


class Seats:
    """Counts what is open in one process. Not for use by several threads.

    Args:
        seats_max: How many may be open.
        per_client_max: How many of them for one client address (IPv6: one /64); None for no such bound.
    """

    def __init__(self, seats_max: int, per_client_max: int | None = None) -> None:
        self._seats_max = seats_max
        self._per_client_max = per_client_max
        self._taken: Counter[str] = Counter()

    def take(self, client: str | None = None) -> "Seat":
        """Take a seat; it is counted from now on, until it is released.

        Args:
            client: The client's address; None where it does not count.

        Raises:
            ApplicationError: OVERLOADED, all are taken; RATE_LIMITED, this client has its share.
        """
        if len(self) >= self._seats_max:
            raise ApplicationError("OVERLOADED", retry_after_s=RETRY_S)
        name = "" if client is None else client_networks(client)[0]
        if name and self._per_client_max is not None and self._taken[name] >= self._per_client_max:
            raise ApplicationError("RATE_LIMITED", retry_after_s=RETRY_S)
        self._taken[name] += 1
        return Seat(self, name)

    def release(self, name: str) -> None:
        """Free a seat that was taken under this name."""
        self._taken[name] -= 1
        if not self._taken[name]:
            del self._taken[name]

    def __len__(self) -> int:
        """How many are taken."""
        return self._taken.total()


class Seat:
    """One taken seat; a context that frees it at its end."""

    def __init__(self, seats: Seats, name: str) -> None:
        self._seats: Seats | None = seats
        self._name = name

    def release(self) -> None:
        """Free it, once."""
        if self._seats is not None:
            self._seats.release(self._name)
            self._seats = None

    def __enter__(self) -> Self:
        """Hold it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free it."""
        self.release()


class SeatedStream(StreamingResponse):
    """Server-sent events that hold a seat until they end, also if their client leaves before the first one."""

    def __init__(self, seat: Seat, events: AsyncIterator[bytes], headers: dict[str, str]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no", **headers})
        self._seat = seat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        with self._seat:
            await super().__call__(scope, receive, send)
