"""The request log: one line per request, several lines per write, because a write costs more than a line."""

import asyncio
import logging
import sys
from datetime import UTC, datetime

from projections.telemetry.log_setup import json_line

HELD_S = 0.05
"""Longest time in seconds that a line waits for others; a killed process loses no more than these."""


class BufferedRequestLog:
    """Buffers the lines of one event loop. On a terminal each line is written immediately."""

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
        """Write the buffered lines."""
        lines, self._buffered_lines = self._buffered_lines, []
        sys.stderr.buffer.write(b"".join(lines))
        sys.stderr.buffer.flush()
