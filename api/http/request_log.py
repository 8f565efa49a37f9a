"""One log line per request, written a few at a time: a write for each would cost more than the line itself."""

import asyncio
import logging
import sys
from datetime import UTC, datetime

from projections.telemetry.log_setup import json_line

HELD_S = 0.05
"""How long a line may wait for others; a process that is killed loses no more than these."""


class BufferedRequestLog:
    """Takes the lines of one event loop. On a terminal each is written at once, to be read by a person."""

    def __init__(self) -> None:
        self._log = logging.getLogger("api")
        self._for_people = sys.stderr.isatty()
        self._buffered_lines: list[bytes] = []

    def add(self, **fields: object) -> None:
        """Log one request."""
        if self._for_people:
            self._log.info("request", extra=fields)
            return
        if not self._buffered_lines:
            asyncio.get_running_loop().call_later(HELD_S, self.write)
        fields |= {"event": "request", "level": "info", "timestamp": datetime.now(UTC)}
        self._buffered_lines.append(json_line(fields))

    def write(self) -> None:
        """Write what is held."""
        lines, self._buffered_lines = self._buffered_lines, []
        sys.stderr.buffer.write(b"".join(lines))
        sys.stderr.buffer.flush()
