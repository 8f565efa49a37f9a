"""Reports of ends that come near: the sweep has each code and campaign report the thresholds that have come."""

from collections.abc import Callable, Sequence

from domain.command_bus import Command
from domain.commands.campaign.manage_campaign import ReportCampaignEnd
from domain.commands.code.report_end import ReportCodeEnd
from domain.commands.context import CommandContext
from projections.storage.bootstrap import LedgerStore
from projections.work_queue.near_ends import list_near_ends


def report_ends(storage: LedgerStore, execute: Callable[[Sequence[Command]], object], context: CommandContext) -> None:
    """Report the thresholds before ends that have come.

    Args:
        storage: Where they are found.
        execute: Runs commands about codes in few transactions; one that a bug breaks does not keep the others.
        context: Who reports, and when.

    Raises:
        StorageUnavailableError: The database is unavailable; the next sweep reports the others.
    """
    due = list_near_ends(storage, context.now)
    if due.codes:
        execute([ReportCodeEnd(context=context, code_id=code_id) for code_id in due.codes])
    for campaign_id in due.campaigns:
        storage.ledger.execute_one(ReportCampaignEnd(context=context, campaign_id=campaign_id))
