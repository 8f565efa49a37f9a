"""uvicorn's HTTP protocol, with head and body of a response in one write.

uvicorn writes the head, then the body, and uvloop passes each to the kernel at once: two system calls and two packets
for each response.
"""

from asyncio import AbstractEventLoop, BaseProtocol, BaseTransport, Transport
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD = b"HTTP/1.1 "
JOINED_BYTES_MAX = 65_536
"""Longest body that is copied next to its head: copying more would cost more than the second write."""


class SingleWriteTransport(BaseTransport):
    """The part of a transport that uvicorn uses. A head waits for its body, at most until the next loop iteration."""

    __slots__ = ("_loop", "_transport", "_waiting_head")

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting_head = b""

    def write(self, octets: bytes) -> None:
        """Write octets, after the head that waits."""
        if self._waiting_head and len(octets) > JOINED_BYTES_MAX:
            self.flush()
        if self._waiting_head:
            head, self._waiting_head = self._waiting_head, b""
            self._transport.write(head + octets)
        elif octets[: len(_HEAD)] == _HEAD:
            self._waiting_head = octets
            self._loop.call_soon(self.flush)
        else:
            self._transport.write(octets)

    def write_whole(self, response: bytes) -> None:
        """Write a whole response, after a head that waits."""
        self.flush()
        self._transport.write(response)

    def flush(self) -> None:
        """Write a head that waits."""
        if self._waiting_head:
            head, self._waiting_head = self._waiting_head, b""
            self._transport.write(head)

    def close(self) -> None:
        """Write what waits, and close the connection."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Return whether the connection is closed or being closed."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: object = None) -> Any:  # noqa: ANN401 - as the transport inside
        """Return a fact about the connection."""
        return self._transport.get_extra_info(name, default)

    def set_protocol(self, protocol: BaseProtocol) -> None:
        """Hand the connection to another protocol."""
        self.flush()
        self._transport.set_protocol(protocol)

    def pause_reading(self) -> None:
        """Pause the incoming data."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Resume the incoming data."""
        self._transport.resume_reading()


class SingleWriteProtocol(HttpToolsProtocol):
    """uvicorn's protocol over httptools, on such a transport."""

    whole_writes: SingleWriteTransport

    def connection_made(self, transport: BaseTransport) -> None:
        """Begin a connection."""
        self.whole_writes = SingleWriteTransport(cast("Transport", transport), self.loop)
        super().connection_made(cast("Transport", self.whole_writes))
