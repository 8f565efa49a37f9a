"""uvicorn's command line with a server that sleeps while no request comes: `python -m api.http.server.idle_server ...`.

uvicorn looks ten times a second for a signal and for the next second of the `Date` header.
"""

import asyncio
import sys
import time
from email.utils import formatdate
from importlib import import_module
from types import FrameType

from uvicorn import Config, Server
from uvicorn.server import ServerState

COMMAND_LINE = "uvicorn.main"


class DatedServerState(ServerState):
    """uvicorn's state of a server. The `Date` of its headers is computed when a request reads them."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._headers: list[tuple[bytes, bytes]] = []
        self._second = -1
        super().__init__()

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of every response, with the date of this second."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            date = [(b"date", formatdate(second, usegmt=True).encode())] if self._config.date_header else []
            self._headers = date + self._config.encoded_headers
        return self._headers

    @default_headers.setter
    def default_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Replace them until the next second."""
        self._headers = headers


class IdleServer(Server):
    """uvicorn's server. Its main loop waits for a signal, unless an option needs to be looked at again and again."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.server_state = DatedServerState(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._exit: asyncio.Event | None = None

    async def main_loop(self) -> None:
        """Wait until the server is asked to exit."""
        if self.limit_max_requests is not None or self.config.callback_notify is not None:
            await super().main_loop()
            return
        self._exit, self._loop = asyncio.Event(), asyncio.get_running_loop()
        # A signal before this line set the flag only; one after it sets the event, too.
        if not self.should_exit:
            await self._exit.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note the signal, and end the wait."""
        super().handle_exit(sig, frame)
        if self._loop is not None and self._exit is not None:
            self._loop.call_soon_threadsafe(self._exit.set)


def main() -> None:
    """Run uvicorn's command line."""
    command_line = import_module(COMMAND_LINE)
    vars(command_line)["Server"] = IdleServer
    sys.exit(command_line.main())


if __name__ == "__main__":
    main()
