"""Structured logs: one JSON line per request and task on stderr; readable lines on a terminal.

Lines of libraries and tracebacks go through the same processors: whatever looks like an email address, a code, a link
token or the password in a URL is redacted. Our own log calls never name such a value.
"""

import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

from projections.terminal.text import escaped

FIELDS: Final = {
    "action", "outcome", "status", "method", "route", "ms", "request_id", "reservation_id", "task_id", "reason",
    "reply_code", "template", "kind", "table", "row_id", "code_id", "rule", "event_type", "version", "component",
    "server", "port", "count", "counts", "accepted", "known", "refused", "why", "fence",
}  # fmt: skip
"""Fields that a log call may add to its fixed text (`extra=`); fields of libraries are left out."""

_CODE: Final = "[0-9A-HJKMNP-TV-Z]"
_PRIVATE: Final = (
    (re.compile(r"://[^/\s@'\"]+@"), "://***@"),
    (re.compile(r"(?<![\w.+%'-])(?!celery@)[\w.+%'-]+@[\w-]+(\.[\w-]+)+"), "<address>"),
    (re.compile(rf"(?<![\w-]){_CODE}{{4}}(-{_CODE}{{4}}){{4}}(?![\w-])|(?<!\w){_CODE}{{20}}(?!\w)"), "<code>"),
    (re.compile(r"(?:(?<=/a/)|(?<=/opt-out/)|(?<=/waiting/)|(?<=/set-password/))[\w.-]{16,}"), "<token>"),
)


def json_line(fields: dict[str, object]) -> bytes:
    """Return one line as the loggers of `configure_logs` write it, for code that writes many lines at once."""
    return orjson.dumps(fields, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)


class FactLog:
    """Writes info lines of fixed words, ids and numbers, without the processors that search for private values.

    Those take ten times as long as the line itself. So this is for lines written for every message or request, whose
    fields cannot hold a text of a user or a server.

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


def configure_logs(level: int = logging.INFO) -> None:
    """Configure the logs of this process: ours, and those of every library."""
    for_people = sys.stderr.isatty()
    renderer: structlog.typing.Processor = structlog.dev.ConsoleRenderer() if for_people else _render_json
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(handler)
    ours = _Handler()
    ours.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(allow=FIELDS),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact,
                *([_escape_control_characters] if for_people else []),
                renderer,
            ],
        )
    )
    root.addHandler(ours)
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


def redact(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Replace everything in a text that looks like a private value."""
    for name, value in line.items():
        if isinstance(value, str) and name != "timestamp":
            for pattern, instead in _PRIVATE:
                value = pattern.sub(instead, value)  # noqa: PLW2901 - each pattern works on what the last one left
            line[name] = value
    return line


def _escape_control_characters(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Escape characters that a terminal would obey; a traceback keeps its lines."""
    for name, value in line.items():
        if isinstance(value, str):
            line[name] = escaped(value)
    return line


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to the present stderr, also if it is replaced later."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        """The present stderr."""
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        raise AttributeError(f"logs are written to stderr, not to {value}")


def _render_json(_logger: WrappedLogger, _method: str, line: EventDict) -> str:
    return orjson.dumps(cast("dict[str, Any]", line), default=str, option=orjson.OPT_UTC_Z).decode()
