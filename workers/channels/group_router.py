"""Which channel a message goes out by, how many go out at once, and how long each took.

A group that has a channel gets all its messages by it: notices go the way of the invitation, and what the channel does
not accept is not mailed instead.
"""

import logging
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Literal
from uuid import UUID

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
from projections.database.errors import StorageUnavailableError
from projections.telemetry.log_setup import FactLog
from projections.telemetry.metrics import ERRORS, SEND_SECONDS

log = logging.getLogger(__name__)
SENT_MESSAGES: Final = FactLog(__name__)

COOLDOWN_S: Final = 20.0
"""About as long as one message may take. The sweep sends its wake-up messages in ever longer intervals anyway."""
UNBOUNDED: Final = sys.maxsize
"""Capacity of a channel that opens no connections."""
NO_RESPONSE: Final = frozenset({"unreachable", "timeout", "connection_lost"})


class UnknownChannelKindError(Exception):
    """A group's channel is of a kind that this version of the ledger does not know."""


# --- Which channel ---


class GroupRoutingChannel:
    """Sends each message by the channel of its group. For one thread.

    Args:
        default: Sends the messages of groups without a channel.
        for_group: Opens the channel of a group; None if the group has none.
    """

    def __init__(self, default: Channel, for_group: Callable[[str], Channel | None]) -> None:
        self._default = default
        self._for_group = for_group

    @property
    def name(self) -> str:
        """The default channel's."""
        return self._default.name

    def channel_for(self, group: str | None) -> Channel | None:
        """Return the channel of a group as it is set now; None while that can't be found out."""
        if group is None:
            return self._default
        try:
            return self._for_group(group) or self._default
        except StorageUnavailableError as error:
            log.warning("looking up a group's channel failed", extra={"why": str(error)})
        except UnknownChannelKindError as error:
            log.error("opening a group's channel failed", extra={"kind": str(error)})  # noqa: TRY400 - the kind says it all
        return None

    def send(self, message: OutboundMessage) -> Outcome:
        """Send one message."""
        channel = self.channel_for(message.group)
        return channel.send(message) if channel is not None else self._reject()

    def revoke(self, removal: Removal) -> RemovalOutcome:
        """Remove one access."""
        channel = self.channel_for(removal.group)
        return channel.revoke(removal) if channel is not None else self._reject()

    def _reject(self) -> Rejected:
        return Rejected(server=self.name, reason="temporary", final=False)

    def close(self) -> None:
        """End the default channel's connections; the others keep none."""
        self._default.close()


# --- How long it took ---


ErrorType = Literal["smtp_error", "webhook_error"]


def report_sending(
    message: OutboundMessage, outcome: Outcome, seconds: float, error_type: ErrorType = "smtp_error"
) -> None:
    """Measure, count and log one message. A refused address is not an error."""
    SEND_SECONDS.observe(seconds)
    if isinstance(outcome, OutcomeUnknown) or (isinstance(outcome, Rejected) and not outcome.about_address):
        ERRORS.labels(error_type).inc()
    SENT_MESSAGES.info("message", _log_fields(message, outcome, seconds))


class InstrumentedChannel:
    """Another channel, with its messages logged and its errors counted.

    Args:
        inner: The channel.
        error_type: Label under which its errors are counted.
    """

    def __init__(self, inner: Channel, error_type: ErrorType = "smtp_error") -> None:
        self._inner = inner
        self._error_type = error_type

    @property
    def name(self) -> str:
        """The inner channel's."""
        return self._inner.name

    def send(self, message: OutboundMessage) -> Outcome:
        """Send, measure, count and log."""
        started_at = time.perf_counter()
        outcome = self._inner.send(message)
        report_sending(message, outcome, time.perf_counter() - started_at, self._error_type)
        return outcome

    def revoke(self, removal: Removal) -> RemovalOutcome:
        """Remove an access, and log it."""
        started_at = time.perf_counter()
        outcome = self._inner.revoke(removal)
        log.info(
            "removal",
            extra={
                "action": "revoke",
                "outcome": _removal_label(outcome),
                "ms": round((time.perf_counter() - started_at) * 1000, 2),
                "reservation_id": str(removal.reservation_id),
                "reason": removal.cause,
            },
        )
        return outcome

    def close(self) -> None:
        """End the inner channel's connections."""
        self._inner.close()


def _log_fields(message: OutboundMessage, outcome: Outcome, seconds: float) -> dict[str, object]:
    # Stable words only: the server's own text may hold the address.
    fields: dict[str, object] = {
        "action": "send",
        "outcome": outcome_label(outcome),
        "ms": round(seconds * 1000, 2),
        "request_id": message.request_id,
        "reservation_id": str(message.reservation_id),
        "template": message.template,
    }
    if isinstance(outcome, Accepted | Rejected):
        fields["reply_code"] = outcome.reply_code
    if not isinstance(outcome, Accepted):
        fields["reason"] = outcome.cause if isinstance(outcome, OutcomeUnknown) else outcome.reason
    return fields


def _removal_label(outcome: RemovalOutcome) -> str:
    if isinstance(outcome, Accepted | NotifiedOnly):
        return "told" if isinstance(outcome, NotifiedOnly) else "removed"
    return outcome_label(outcome)


# --- How many at once ---


class Cooldowns:
    """Which groups' external systems did not respond and get nothing for now. One per process; for one thread.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def record(self, group: str, outcome: RemovalOutcome) -> None:
        """Begin or end the cooldown of a group by the outcome of its message or removal."""
        has_no_response = (isinstance(outcome, Rejected) and outcome.reason in NO_RESPONSE) or (
            isinstance(outcome, OutcomeUnknown) and outcome.cause in NO_RESPONSE
        )
        if has_no_response:
            self._until[group] = self._clock() + COOLDOWN_S
        else:
            self._until.pop(group, None)

    def is_active(self, group: str) -> bool:
        """Return whether a group gets nothing for now."""
        return self._until.get(group, 0.0) > self._clock()


class GroupLimiter:
    """The reservations of one Celery message in the order of sending, so that no group's system delays other groups.

    Each group that has a channel is sent only some messages at once, and none during its cooldown: those stay due, and
    the sweep repeats them. In the same way no more is mailed than the mail server has connections for.

    Args:
        reservation_ids: Those of the message; one that comes twice is one.
        groups: The group of each reservation that goes out by a group's channel.
        group_max: How many of such a group are sent at once.
        cooldowns: Which of these groups get nothing for now.
        default_capacity: How many of all others are sent at once; 0 while their server refuses connections.
    """

    def __init__(
        self,
        reservation_ids: Sequence[UUID],
        groups: Mapping[UUID, str],
        group_max: int,
        cooldowns: Cooldowns,
        default_capacity: Callable[[], int] = lambda: UNBOUNDED,
    ) -> None:
        self._remaining = deque(dict.fromkeys(reservation_ids))
        self._groups = groups
        self._group_max = group_max
        self._cooldowns = cooldowns
        self._default_capacity = default_capacity
        self._in_progress: Counter[str | None] = Counter()

    def __bool__(self) -> bool:
        """Return whether anything remains."""
        return bool(self._remaining)

    def acquire(self, limit: int) -> list[UUID]:
        """Return the next reservations to send, at most `limit`. Each comes back by `release`."""
        acquired_ids: list[UUID] = []
        postponed_ids: list[UUID] = []
        default_capacity = self._default_capacity()
        while self._remaining and len(acquired_ids) < limit:
            reservation_id = self._remaining.popleft()
            group = self._groups.get(reservation_id)
            capacity = self._group_max if group is not None else default_capacity
            if not capacity or (group is not None and self._cooldowns.is_active(group)):
                continue
            if self._in_progress[group] >= capacity:
                postponed_ids.append(reservation_id)
                continue
            self._in_progress[group] += 1
            acquired_ids.append(reservation_id)
        self._remaining.extendleft(reversed(postponed_ids))
        return acquired_ids

    def release(self, reservation_ids: Collection[UUID]) -> None:
        """Note that these are sent, or were not begun."""
        for reservation_id in reservation_ids:
            self._in_progress[self._groups.get(reservation_id)] -= 1

    def record(self, reservation_id: UUID, outcome: Outcome) -> None:
        """Note the outcome of one."""
        if (group := self._groups.get(reservation_id)) is not None:
            self._cooldowns.record(group, outcome)
