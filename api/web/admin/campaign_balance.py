"""The balance of a campaign over time, for its page and as a table, and how far its codes got."""

from datetime import datetime
from typing import Annotated, Any, Final, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.web.admin.context import AdminContext, AdminContextDep, admin_page
from api.web.staff_auth.sessions import SupportRoute, Viewer
from api.web.support.charts import scale_to_largest
from api.web.support.history.balance_page import load_chart
from projections.read_models.campaign_list import CampaignBalance, CampaignReader

REDEMPTIONS_COUNTED_MAX: Final = 100_000
"""Most redemptions of a campaign that a page counts by how far they got: some 0.2 s."""

router = APIRouter(prefix="/admin/campaigns/{campaign_id}/balance", route_class=SupportRoute)


class FunnelRow(NamedTuple):
    """One step of the funnel; `redemptions` is None for the steps before them, `width` is in percent."""

    name: str
    codes: int
    redemptions: int | None
    width: float


@router.get("")
def show_balance(
    request: Request,
    admin: AdminContextDep,
    staff: Viewer,
    campaign_id: UUID,
    scale: Annotated[str, Query(max_length=4)] = "",
) -> Response:
    """Show the chart of a campaign and its numbers."""
    campaign = CampaignReader(admin.services.storage).find_campaign_state(campaign_id)
    if campaign is None or not campaign.counts_uses:
        raise ApplicationError("NOT_FOUND")
    is_true_scale = scale == "true"
    return admin_page(
        request,
        "campaign_balance.html",
        staff,
        campaign=campaign,
        scale_url="?" if is_true_scale else "?scale=true",
        **load_campaign_chart(admin, campaign_id, is_true_scale=is_true_scale),
    )


def load_campaign_chart(
    admin: AdminContext, campaign_id: UUID, *, is_true_scale: bool, at: datetime | None = None
) -> dict[str, Any]:
    """Return what the chart's template needs about a campaign that counts uses; its cursor is at a time, or now."""
    path = f"/admin/campaigns/{campaign_id}"
    chart = load_chart(admin.campaign_histories, campaign_id, admin.services.now(), is_true_scale=is_true_scale, at=at)
    return {"chart": chart, "chart_paths": (f"{path}/balance", f"{path}?until=", "#events")}


def list_funnel(reader: CampaignReader, balance: CampaignBalance) -> list[FunnelRow]:
    """Return how many codes of a campaign got as far as each step; a campaign without hand-outs lacks their steps."""
    campaign_id = balance.campaign.campaign_id
    handed_out, opened_forms = reader.count_handed_out_codes(campaign_id)
    steps: list[tuple[str, int, int | None]] = [
        ("issued", balance.codes, None),
        *([("handed_out", handed_out, None), ("opened", opened_forms, None)] if handed_out else []),
        *reader.read_funnel(campaign_id, REDEMPTIONS_COUNTED_MAX),
    ]
    widths = scale_to_largest([codes for _, codes, _ in steps])
    return [FunnelRow(*step, width) for step, width in zip(steps, widths, strict=True)]
