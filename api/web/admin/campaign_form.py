"""The form of a campaign's terms: its fields as text, what they say, and which field is to blame for a refusal."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from api.errors import ApplicationError
from api.schemas.campaign_terms import CAMPAIGN_TERMS
from api.web.forms import FormFields
from domain.events.campaign import CAMPAIGN_TERM_NAMES, CampaignTerms, find_campaign_contradictions
from domain.values.group_name import NAME_LENGTH_MAX, group_name_error
from domain.values.quiet_hours import is_quiet_hours

BLAMED_FIELD: Final[Mapping[str, str]] = {
    "end_before_start": "ends_at",
    "end_in_past": "ends_at",
    "person_above_total": "max_per_person",
    "day_above_total": "max_per_day",
    "domains_overlap": "denied_domains",
    "uncounted": "max_uses",
    "no_mailboxes": "person_rule",
    "too_many_uses": "max_uses",
    "waiting_without_limit": "max_uses",
}
"""The field next to which the page shows a reason that is not the name of a field."""
FIELD_CODES: Final = frozenset({"CAMPAIGN_TERMS_INVALID", "CAMPAIGN_CONFLICT"})


def fill_form(terms: CampaignTerms) -> dict[str, str]:
    """Return terms as the fields hold them; times are in UTC."""
    values = {term.name: getattr(terms, term.name) for term in CAMPAIGN_TERMS}
    days = {term.name: str(value) for term in CAMPAIGN_TERMS if term.kind == "days" and (value := values[term.name])}
    return {"name": terms.name, **{term.name: term.text(values[term.name]) for term in CAMPAIGN_TERMS}, **days}


def read_terms(fields: FormFields, now: datetime, before: CampaignTerms | None = None) -> CampaignTerms:
    """Return the terms that a form names; errors are added to those of the fields.

    Args:
        fields: The form.
        now: An end before it is an error, because a campaign has an action for that.
        before: The present terms, whose end may have passed.
    """
    name = fields.text("name", NAME_LENGTH_MAX, is_required=True)
    if "name" not in fields.errors and (why := group_name_error(name)) is not None:
        fields.errors["name"] = f"campaign_{why}"
    values = {term.name: fields.term(term, now) for term in CAMPAIGN_TERMS}
    ends_at, quiet_hours = values["ends_at"], values["quiet_hours"]
    if ends_at is not None and ends_at <= now and (before is None or ends_at != before.ends_at):
        fields.errors["ends_at"] = "past"
    if quiet_hours is not None and not is_quiet_hours(quiet_hours):
        fields.errors["quiet_hours"] = "quiet_hours"
    terms = CampaignTerms(name=name, **values)
    for contradiction in find_campaign_contradictions(terms):
        fields.errors.setdefault(BLAMED_FIELD[contradiction], contradiction)
    return terms


def blame_field(fields: FormFields, error: ApplicationError) -> None:
    """Add a refusal of the terms to the errors of the fields that it is about.

    Raises:
        ApplicationError: The refusal is about no field.
    """
    in_use = error.facts.get("in_use")
    if isinstance(in_use, Mapping):
        fields.errors.update({name: f"below_{name}:{uses}" for name, uses in in_use.items()})
        return
    why = str(error.facts.get("why"))
    name = BLAMED_FIELD.get(why, why)
    if error.code not in FIELD_CODES or name not in CAMPAIGN_TERM_NAMES:
        raise error
    fields.errors[name] = why if name != why else "value"
