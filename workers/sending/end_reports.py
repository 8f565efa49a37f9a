"""Reports of ends that come near: the sweep has each code and campaign report the thresholds that have come."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from domain.commands.campaign.manage_campaign import ReportCampaignEnd
from domain.commands.code.report_end import ReportCodeEnd
from domain.commands.context import CommandContext
from projections.database.errors import StorageUnavailableError
from projections.work_queue.near_ends import NearEndRows

AT_ONCE: Final = 50
"""Commands of one transaction: before each, the run can stop."""


@dataclass(slots=True)
class EndReporter:
    """Reports the thresholds before ends that have come.

    Attributes:
        rows: Finds them.
        report_codes: Runs commands in few transactions; one that a bug breaks does not keep the others.
        report_campaign: Runs one command.
        log_bug: Logs what a bug in one raised; the others are reported.
        context: Who reports, and when.
    """

    rows: NearEndRows
    report_codes: Callable[[Sequence[ReportCodeEnd]], object]
    report_campaign: Callable[[ReportCampaignEnd], object]
    log_bug: Callable[[Exception], object]
    context: Callable[[], CommandContext]

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Report those of some codes and campaigns; the next run continues.

        Raises:
            StorageUnavailableError: The database is unavailable.
        """
        context = self.context()
        campaign_ids, code_ids = self.rows.find_campaigns(context.now), self.rows.find_codes(context.now)
        for campaign_id in campaign_ids:
            if should_stop():
                return
            try:
                self.report_campaign(ReportCampaignEnd(context=context, campaign_id=campaign_id))
            except StorageUnavailableError:
                raise
            except Exception as error:  # noqa: BLE001 - a bug about one campaign stops no other
                self.log_bug(error)
        for begin in range(0, len(code_ids), AT_ONCE):
            if should_stop():
                return
            chosen = code_ids[begin : begin + AT_ONCE]
            self.report_codes([ReportCodeEnd(context=context, code_id=code_id) for code_id in chosen])
