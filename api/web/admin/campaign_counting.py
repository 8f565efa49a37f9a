"""The choice of the uses that limits of a campaign count, with what each would mean, before the limits are changed."""

from typing import Any, Final

from fastapi import Request
from fastapi.responses import Response

from api.i18n.code_sentences import name_threshold
from api.i18n.messages import refusal_detail
from api.use_cases.preview_limits import CHOICES, preview_limits
from api.web.admin.context import AdminContext, admin_page
from api.web.forms import FormFields, describe_reason_form, is_valid_reason
from api.web.staff_auth.rendering import get_language
from api.web.staff_auth.staff import Staff
from domain.events.campaign import CampaignTerms, Counting
from domain.model.campaign import Campaign
from projections.read_models.campaign_list import CampaignBalance

OVER_SHOWN_MAX: Final = 20
"""Most uses over a limit that the page names, the newest."""
_OF_THE_CHOICE: Final = frozenset({"token", "counting", "choose_counting", "reason"})


def read_counting(fields: FormFields) -> Counting | None:
    """Return the choice that a form names; None if it names none."""
    return next((choice for choice in CHOICES if choice == fields.values.get("counting")), None)


def needs_choice(fields: FormFields, campaign: Campaign, terms: CampaignTerms) -> bool:
    """Return whether the form must ask which uses the limits count; a form without a limit gets an error instead."""
    if (counting := read_counting(fields)) is not None:
        return not is_valid_reason(fields.values.get("reason", ""))
    is_wanted = fields.values.get("choose_counting") == "yes"
    if is_wanted and not terms.has_shared_limits:
        fields.errors["max_uses"] = "uncounted"
        return False
    return is_wanted or campaign.changes_count(terms, counting)


def ask_for_counting(
    request: Request,
    admin: AdminContext,
    staff: Staff,
    balance: CampaignBalance,
    fields: FormFields,
    changes: dict[str, Any],
) -> Response:
    """Show what the limits would mean for each choice, and ask for one and for the reason."""
    language, campaign_id, now = get_language(request), balance.campaign.campaign_id, admin.services.now()
    choices = preview_limits(admin.services, staff.caller(), campaign_id, changes)
    chosen = read_counting(fields)
    reason = fields.values.get("reason", "") if chosen is not None else None
    return admin_page(
        request,
        "campaign_counting.html",
        staff,
        balance=balance,
        choices=[
            (each, each.refusal and refusal_detail(each.refusal.code, language, **each.refusal.facts))
            for each in choices
        ],
        chosen=chosen or next((each.counting for each in choices if each.refusal is None), None),
        closed_places=len(balance.campaign.waiting) if changes["waiting_hours"] is None else 0,
        now=now,
        name_threshold=name_threshold,
        over_shown_max=OVER_SHOWN_MAX,
        hidden={name: value for name, value in fields.values.items() if name not in _OF_THE_CHOICE},
        **describe_reason_form(reason),
    )
