"""Reports about emails, from the API and the command line."""

from functools import partial
from typing import NamedTuple

from api.use_cases.mail_hooks.hook import HookRequest, MailHook
from api.use_cases.services import Caller, LedgerServices, Services
from domain.report_intake import ReportIntake
from projections.config.settings import LedgerSettings
from projections.privacy.reported_recipients import find_offer, has_recipient
from projections.telemetry.metrics import MAIL_REPORTS


class HookCounts(NamedTuple):
    """How many events a request of a mail provider had, and how many of them were recorded now."""

    events: int
    recorded: int


def open_intake(services: LedgerServices, settings: LedgerSettings) -> ReportIntake:
    """Return what takes in reports, with one transaction for each."""
    storage = services.storage
    return ReportIntake(
        secret=settings.secret_key.get_secret_value().encode(),
        execute=storage.ledger.execute,
        draft_text=storage.vault.seal_text,
        new_id=services.new_id,
        has_recipient=partial(has_recipient, storage),
        find_offer=partial(find_offer, storage),
        leave=storage.ledger.execute_one,
    )


def take_reports(services: Services, hook: MailHook, request: HookRequest, caller: Caller) -> HookCounts:
    """Verify a request of a mail provider, and record what it reports; waits for the database.

    Its age is judged by a clock that needs no commits, because a refused request commits nothing: after the database's
    clock was ahead, all would be stale until the next redeem request.

    Each report commits alone: if the database becomes unavailable, a repeated request continues with the rest.

    Raises:
        ApplicationError: SIGNATURE_INVALID; CALLBACK_STALE; MALFORMED; UNAVAILABLE.
        StorageUnavailableError: The database is unavailable.
    """
    events = hook.read(request._replace(now=services.read_clock()))
    intake = open_intake(services, services.settings)
    recorded = 0
    for report in events:
        result = None if report is None else intake.take(report, services.context(caller))
        MAIL_REPORTS.labels(caller.actor_id, "no_report" if result is None else result.outcome).inc()
        recorded += result is not None and result.event is not None
    return HookCounts(len(events), recorded)
