"""Take in the reports of the mailbox that LEDGER_BOUNCE_MAILBOX_URL names."""

import logging
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from domain.commands.context import CommandContext
from domain.report_intake import ReportIntake
from projections.telemetry.metrics import ERRORS, MAIL_REPORTS
from workers.mail_reports.report_mailbox import Mailbox, MailboxError
from workers.mail_reports.report_parser import parse_report

log = logging.getLogger(__name__)

MESSAGES_MAX: Final = 2000
"""Messages of one run; the next run continues."""
NO_REPORT: Final = "no_report"
"""Outcome of a message that is no report."""


def take_mailbox(
    open_box: Callable[[], AbstractContextManager[Mailbox]],
    intake: ReportIntake,
    context: Callable[[], CommandContext],
    should_stop: Callable[[], bool],
) -> Counter[str]:
    """Take in what the mailbox holds, message by message, each removed once it is in the ledger.

    Args:
        open_box: Opens the mailbox.
        intake: Takes in reports.
        context: Context of the next command.
        should_stop: Whether no further message should be begun.

    Returns:
        How many messages had each outcome.

    Raises:
        StorageUnavailableError: The database is unavailable. The message stays, and so do those behind it.
    """
    outcomes: Counter[str] = Counter()
    try:
        with open_box() as mailbox:
            for content in mailbox.messages():
                outcome = _take_in(content, intake, context())
                outcomes[outcome] += 1
                MAIL_REPORTS.labels("mailbox", outcome).inc()
                if outcome in {NO_REPORT, "no_token"}:
                    mailbox.set_aside()
                else:
                    mailbox.remove()
                if outcomes.total() >= MESSAGES_MAX or should_stop():
                    break
    except MailboxError as error:
        ERRORS.labels("mailbox_error").inc()
        log.warning("reading the bounce mailbox failed", extra={"why": str(error)})
    if outcomes:
        log.info("bounce mailbox", extra={"action": "take_reports", "counts": dict(outcomes)})
    return outcomes


def _take_in(content: bytes, intake: ReportIntake, context: CommandContext) -> str:
    report = parse_report(content)
    return NO_REPORT if report is None else intake.take(report, context).outcome
