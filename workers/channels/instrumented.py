"""Wrapped round a channel: one log line per letter, how long it took, and what was the other side's fault."""

import logging
import time
from typing import Literal

from domain.ports import (
    Accepted,
    Channel,
    NotifiedOnly,
    OutboundMessage,
    Outcome,
    OutcomeUnknown,
    Rejected,
    Removal,
    RemovalOutcome,
    outcome_label,
)
from projections.telemetry.metrics import ERRORS, SEND_SECONDS

log = logging.getLogger(__name__)


class InstrumentedChannel:
    """Another channel, with its letters logged and its faults counted. A refused address is no fault of the server.

    Args:
        inner: The channel.
        error_type: Under which its faults are counted.
    """

    def __init__(self, inner: Channel, error_type: Literal["smtp_error", "webhook_error"] = "smtp_error") -> None:
        self._inner = inner
        self._error_type = error_type

    @property
    def name(self) -> str:
        """The channel's own."""
        return self._inner.name

    def send(self, letter: OutboundMessage) -> Outcome:
        """Send, count and tell."""
        started = time.perf_counter()
        outcome = self._inner.send(letter)
        seconds = time.perf_counter() - started
        SEND_SECONDS.observe(seconds)
        if isinstance(outcome, OutcomeUnknown) or (isinstance(outcome, Rejected) and not outcome.about_address):
            ERRORS.labels(self._error_type).inc()
        log.info("letter", extra=_line(letter, outcome, seconds))
        return outcome

    def revoke(self, removal: Removal) -> RemovalOutcome:
        """Have it taken away, and tell."""
        started = time.perf_counter()
        outcome = self._inner.revoke(removal)
        log.info(
            "removal",
            extra={
                "action": "revoke",
                "outcome": _removal_word(outcome),
                "ms": round((time.perf_counter() - started) * 1000, 2),
                "reservation_id": str(removal.reservation_id),
                "reason": removal.cause,
            },
        )
        return outcome

    def close(self) -> None:
        """End its connections."""
        self._inner.close()


def _line(letter: OutboundMessage, outcome: Outcome, seconds: float) -> dict[str, object]:
    """What the log says: stable words only, since the server's own may hold the address."""
    line: dict[str, object] = {
        "action": "send",
        "outcome": outcome_label(outcome),
        "ms": round(seconds * 1000, 2),
        "request_id": letter.request_id,
        "reservation_id": str(letter.reservation_id),
        "template": letter.template,
    }
    if isinstance(outcome, Accepted | Rejected):
        line["reply_code"] = outcome.reply_code
    if not isinstance(outcome, Accepted):
        line["reason"] = outcome.cause if isinstance(outcome, OutcomeUnknown) else outcome.reason
    return line


def _removal_word(outcome: RemovalOutcome) -> str:
    if isinstance(outcome, Accepted | NotifiedOnly):
        return "told" if isinstance(outcome, NotifiedOnly) else "removed"
    return outcome_label(outcome)
