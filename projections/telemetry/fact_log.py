"""Log lines of fixed words, ids and numbers, written without the processors that search for private values.

Those take ten times as long as the line itself. So this is for lines written for every message or request, whose fields
cannot hold a text of a user or a server.
"""

import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from projections.telemetry.log_setup import json_line


class FactLog:
    """Writes info lines as the logger of that name does.

    Args:
        name: Name of the logger, which decides whether info lines are written at all.
    """

    def __init__(self, name: str) -> None:
        self._log = logging.getLogger(name)

    def info(self, event: str, fields: Mapping[str, object]) -> None:
        """Write one line; on a terminal by the logger itself, in readable form."""
        if not self._log.isEnabledFor(logging.INFO):
            return
        if sys.stderr.isatty():
            self._log.info(event, extra=fields)
            return
        head = {"event": event, "level": "info", "logger": self._log.name}
        sys.stderr.buffer.write(json_line({**head, **fields, "timestamp": datetime.now(UTC)}))
        sys.stderr.buffer.flush()
