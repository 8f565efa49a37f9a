"""The email to operators about crossed thresholds: outside of quiet hours, with all crossings since the last one."""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import NAMESPACE_URL, uuid5

from domain.judgment import DIGEST, Again, Attempts, judge
from domain.ports import Channel, Language, OutboundMessage, Outcome, outcome_label
from domain.values.identifiers import EmailAddress
from domain.values.limits.thresholds import Thresholds, find_passed, is_before_end
from domain.values.quiet_hours import find_end_of_quiet_hours
from domain.values.timestamps import text_of
from projections.telemetry.metrics import THRESHOLD_MAILS
from projections.work_queue.threshold_digest import Crossing, DueDigest
from workers.sending.delivery_steps import DeliverySteps
from workers.sending.loop import Ended, send_at_once, send_due

log = logging.getLogger(__name__)


class Digests(Protocol):
    """Where the digest waits."""

    def take(self, now: datetime, quiet_until: datetime | None) -> DueDigest | None:
        """Lease the digest if it is due; in quiet hours, postpone it. One that a worker was sending is ended."""

    def close(self, digest: DueDigest) -> None:
        """End with a digest that was sent, or is given up."""

    def put_off(self, digest: DueDigest, due_at: datetime, *, counts: bool) -> None:
        """Have it sent again at a time."""


@dataclass(slots=True)
class ThresholdDigestSender:
    """`SendingKind`: the due digest, if there is one. One that may have been sent is not sent again.

    Attributes:
        digests: Where it waits.
        steps: For time, links, and the bound of a send.
        channel: Sends it.
        recipient: Address of the operators.
        language: Of the email.
        quiet_hours: When none is sent, such as `22:00-08:00 Europe/Berlin`; empty: at no time.
    """

    digests: Digests
    steps: DeliverySteps
    channel: Channel
    recipient: EmailAddress
    language: Language
    quiet_hours: str = ""
    slots: int = field(default=1, init=False)

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Send the digest if it is due."""
        send_due(self, should_stop)

    def turn(self, ended: Sequence[Ended[DueDigest, Outcome]], free: int) -> Sequence[DueDigest] | None:
        """Store the outcome, or lease the digest."""
        for digest, outcome in ended:
            if outcome is not None:
                self._store(digest, outcome)
        if ended or not free:
            return None
        now = self.steps.now()
        quiet_until = find_end_of_quiet_hours(self.quiet_hours, now) if self.quiet_hours else None
        due = self.digests.take(now, quiet_until)
        if due is not None and not due.crossings:
            THRESHOLD_MAILS.labels("unknown").inc()
            why = f"crossings after position {due.position} up to {due.until} may not have been sent"
            log.warning("threshold email interrupted", extra={"why": why})
            return []
        if due is None:
            return None
        true = [crossing for crossing in due.crossings if is_true(crossing, now)]
        if not true:
            self.digests.close(due)
        return [due._replace(crossings=true)] if true else []

    def start(self, leased: Sequence[DueDigest]) -> Mapping[Future[Outcome], DueDigest]:
        """Send in this thread."""
        return {send_at_once(self._send, each): each for each in leased}

    def _send(self, digest: DueDigest) -> Outcome:
        try:
            message = self._compose(digest)
        except Exception:  # nothing was sent, so a bug here must not look like a worker that ended while it sent
            self.digests.put_off(digest, digest.leased_until, counts=True)
            raise
        return self.steps.send_in_time(self.channel, message, digest.leased_until)

    def _store(self, digest: DueDigest, outcome: Outcome) -> None:
        """Store what follows an attempt."""
        THRESHOLD_MAILS.labels(outcome_label(outcome)).inc()
        match judge(outcome, Attempts(now=self.steps.now(), number=digest.attempts), DIGEST):
            case Again(at=at, counts=counts):
                self.digests.put_off(digest, at, counts=counts)
            case _:
                self.digests.close(digest)

    def _compose(self, digest: DueDigest) -> OutboundMessage:
        factory = self.steps.message_factory
        message_id = uuid5(NAMESPACE_URL, f"thresholds:{digest.position}:{digest.until}")
        return OutboundMessage(
            reservation_id=message_id,
            template="threshold_digest",
            message_id=f"<{message_id}.thresholds@{factory.mail_domain}>",
            recipient=self.recipient,
            language=self.language,
            link=f"{factory.public_url}/admin/campaigns",
            written_at=digest.crossings[-1].at,
            listed="\n".join(list_crossings(digest.crossings, factory.public_url)),
        )


def is_true(crossing: Crossing, now: datetime) -> bool:
    """Return whether the threshold is still reached; one before an end is not after the end was moved or removed."""
    thresholds = Thresholds(crossing.threshold)
    return not is_before_end(crossing.threshold) or bool(find_passed(thresholds, crossing.ends_at, now))


def list_crossings(crossings: Sequence[Crossing], public_url: str) -> list[str]:
    """Return the lines of an email about crossings, in any language.

    Those of each group follow its name, and those without a group come first. Of the thresholds before an end that one
    code or campaign crossed, only the last one is listed: the others are over.
    """
    last = {crossing.stream_id: crossing for crossing in crossings if is_before_end(crossing.threshold)}
    lines: dict[str, list[str]] = {}
    for crossing in crossings:
        if not is_before_end(crossing.threshold) or last[crossing.stream_id] is crossing:
            lines.setdefault(crossing.group or "", []).append(_describe_crossing(crossing, public_url))
    return [line for group in sorted(lines) for line in (*(["", f"{group}:"] if group else []), *lines[group])]


def _describe_crossing(crossing: Crossing, public_url: str) -> str:
    """Return the line about a crossing: a threshold before an end is followed by the end."""
    threshold = crossing.threshold
    if crossing.ends_at is not None and is_before_end(threshold):
        threshold = f"{threshold} ({text_of(crossing.ends_at)})"
    if crossing.campaign_name is None:
        return f"{threshold} - {text_of(crossing.at)} - {public_url}/support/codes/{crossing.stream_id}"
    page = f"{public_url}/admin/campaigns/{crossing.stream_id}"
    return f"{threshold} - {text_of(crossing.at)} - {crossing.campaign_name} - {page}"
