"""The steps of one invitation: claim, send, record. They know no Celery, no clock and no randomness of their own.

Each step commits before the next begins, so a crash between any two leaves a state that the sweep mends.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.deciding import Command, Done, Result
from domain.decisions.attempt import ClaimAttempt, is_claimed_by
from domain.decisions.command import Context
from domain.decisions.settle import RecordOutcome
from domain.errors import Refusal
from domain.ports import Accepted, Channel, Later, Outcome, Rejected, TextDraft, Uncertain
from domain.reservation import Lease, Reservation
from workers.letters import LetterPress

Execute = Callable[[Command], Result]


class KeepText(Protocol):
    """Drafts free text for the vault."""

    def __call__(self, text: str, reservation_id: UUID) -> TextDraft:
        """Seal the text under a new id."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What the steps need from outside.

    Attributes:
        execute: Runs one command through the ledger; many threads may call it at once.
        address: The address of a reservation's person; None if they were forgotten.
        now: Database time.
        new_id: Random ids.
    """

    execute: Execute
    address: Callable[[UUID], str | None]
    press: LetterPress
    keep_text: KeepText
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]
    worker: str

    def process(self, reservation_id: UUID, channel: Channel, task_id: str) -> str:
        """Claim, send and record one reservation.

        Returns:
            One word: sent, failed, deferred, unknown, or idle if there was nothing to do.

        Raises:
            StorageUnavailableError: The database is away; leases and sweep take it from here.
        """
        claimed = self.claim(reservation_id, channel.name, task_id)
        if claimed is None:
            return "idle"
        item, lease = claimed
        outcome = self.send(item, channel)
        self.record(item, lease, outcome, task_id)
        return outcome_word(outcome)

    def claim(self, reservation_id: UUID, channel: str, task_id: str) -> tuple[Reservation, Lease] | None:
        """Commit the lease of the next attempt; None if somebody else has it or nothing is due."""
        context = self._context(task_id)
        result = self.execute(
            ClaimAttempt(context=context, reservation_id=reservation_id, channel=channel, case_id=self.new_id())
        )
        if isinstance(result, Refusal) or result.reservation is None or result.reservation.lease is None:
            return None
        item = result.reservation
        return (item, result.reservation.lease) if is_claimed_by(item, context) else None

    def send(self, item: Reservation, channel: Channel) -> Outcome:
        """Send the letter of a claimed reservation."""
        recipient = self.address(item.reservation_id)
        if recipient is None:
            return Rejected(server=channel.name, reason="recipient_forgotten", final=True, about_address=True)
        return channel.send(self.press.invitation(item, recipient))

    def record(self, item: Reservation, lease: Lease, outcome: Outcome, task_id: str) -> Done | None:
        """Commit what became of the attempt."""
        reply = None
        if isinstance(outcome, Rejected) and outcome.reply:
            reply = self.keep_text(outcome.reply, item.reservation_id)
        result = self.execute(
            RecordOutcome(
                context=self._context(task_id),
                reservation_id=item.reservation_id,
                delivery=item.delivery,
                attempt=lease.attempt,
                outcome=outcome,
                case_id=self.new_id(),
                reply=reply,
            )
        )
        return result if isinstance(result, Done) else None

    def _context(self, task_id: str) -> Context:
        return Context(now=self.now(), actor="worker", actor_id=self.worker, request_id=task_id)


def outcome_word(outcome: Outcome) -> str:
    """The metric's label for an outcome."""
    match outcome:
        case Accepted():
            return "sent"
        case Rejected():
            return "failed"
        case Later():
            return "deferred"
        case Uncertain():
            return "unknown"
