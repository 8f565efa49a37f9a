"""Records that a mail server accepted an email after its sender had stopped waiting."""

import logging
import time

from domain.command_bus import Command
from domain.commands.context import CommandContext
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.commands.hand_out.hand_out_mail import RecordHandOutMail
from domain.ports import Accepted, OutboundMessage
from projections.database.errors import StorageUnavailableError
from projections.telemetry.metrics import HAND_OUT_MAILS
from workers.channels.group_router import report_sending
from workers.sending.delivery_steps import DeliverySteps

log = logging.getLogger(__name__)

RECORD_ATTEMPTS_MAX = 5
"""How often an acceptance is offered to an unavailable database, each time for as long as `execute` waits."""
PAUSE_S = 2.0


def record_late_acceptance(steps: DeliverySteps, message: OutboundMessage, outcome: Accepted, seconds: float) -> None:
    """Record a late acceptance of an invitation or a handed-out code.

    The other messages are not sent again after an unknown outcome, or repeating them is harmless.

    Args:
        steps: Execute the command.
        message: The email.
        outcome: The reply.
        seconds: Since the server asked for the content.
    """
    report_sending(message, outcome, seconds)
    context = CommandContext(now=steps.now(), actor="worker", actor_id=steps.worker)
    command: Command
    match message.template:
        case "invite":
            command = RecordOutcome(
                context=context,
                reservation_id=message.reservation_id,
                delivery=message.delivery,
                attempt=message.attempt,
                outcome=outcome,
                case_id=steps.new_id(),
            )
        case "hand_out" | "hand_out_reminder":
            command = RecordHandOutMail(
                context=context, code_id=message.reservation_id, mail=message.attempt, outcome=outcome
            )
            HAND_OUT_MAILS.labels("sent").inc()
        case _:
            return
    for _ in range(RECORD_ATTEMPTS_MAX):
        try:
            steps.execute([command])
        except StorageUnavailableError as error:
            log.warning("recording a late reply failed", extra={"why": str(error)})
            time.sleep(PAUSE_S)
        else:
            return
