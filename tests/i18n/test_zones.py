"""Texts and fields name the time zone in one place, so that none can contradict the time next to it."""

import re
from typing import Final

import pytest

from api.i18n.catalogs import catalog_paths, read_catalog
from api.i18n.languages import LANGUAGES
from api.web.rendering import TEMPLATES
from domain.ports import Language

ABOUT_DAYS: Final = {
    "event.Campaign.max_per_day",
    "event.Campaign.max_per_day.one",
    "explain.campaign.per_day",
    "page.admin.campaign.counting.today",
    "page.admin.campaign.left_on_day",
    "page.admin.campaign.left_today",
    "page.admin.campaign.help.full",
    "page.admin.fault.below_max_per_day",
    "page.admin.field.max_per_day",
    "page.support.campaign.left_today",
    "refusal.CAMPAIGN_CONFLICT.max_per_day",
    "refusal.CAMPAIGN_DAY_LIMIT.detail",
    "refusal.CAMPAIGN_DAY_LIMIT.detail_at",
}
"""Texts about the day of a limit, which is one in UTC for every reader. They label numbers, never times."""
ABOUT_FORMS: Final = {
    "page.admin.fault.moment",
    "page.admin.import.column.expires_at",
    "page.admin.import.column.starts_at",
    "refusal.OUT_OF_BOUNDS.expires_at",
}
"""Texts about the times that may be written into a file or a field."""
TIME_FIELD: Final = re.compile(r"datetime-local|type=.(?:time|date|week|month)\b|\bUTC\b|\bGMT\b|page\.in_zone")


@pytest.mark.parametrize("language", LANGUAGES)
def test_only_the_label_of_time_fields_names_a_zone(language: Language) -> None:
    """The browser shows every other time in the reader's zone. Let `time_field` label a field; else leave UTC out."""
    naming = {
        key
        for path in catalog_paths(language)
        for key, text in read_catalog(path)
        if re.search(r"\bUTC\b|\bGMT\b", text)
    }

    unlisted = naming - {*ABOUT_DAYS, *ABOUT_FORMS}
    listed = {*ABOUT_DAYS, *ABOUT_FORMS} - naming

    assert not unlisted, "\n".join(["leave UTC out, or add the key to ABOUT_DAYS or ABOUT_FORMS:", *sorted(unlisted)])
    assert not listed, f"remove from ABOUT_DAYS or ABOUT_FORMS, since the text names no zone: {sorted(listed)}"


def test_only_one_template_has_fields_of_times() -> None:
    """Use `time_field` of time_field.html, or `parts.time` of admin/parts.html."""
    files = {path.name for path in TEMPLATES.rglob("*.html") if TIME_FIELD.search(path.read_text("utf-8"))}

    assert files == {"time_field.html"}
