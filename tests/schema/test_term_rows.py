"""Terms have two lists with types, as a value and in events, and one row each for everything else."""

import dataclasses
from typing import Any, Final

import pytest
from msgspec import NODEFAULT, Struct, defstruct
from msgspec.structs import fields

from api.schemas.campaign_terms import CAMPAIGN_TERMS
from api.schemas.code_terms import TERMS, TermFormat
from domain.errors import CampaignTermsInvalid
from domain.events.campaign import CAMPAIGN_TERM_NAMES, CampaignTerms, CampaignTermsEvent
from domain.events.code_terms import CodeTerms, TermsEvent

Rows = tuple[TermFormat, ...]
LISTS: Final[dict[str, tuple[type[Struct], type[Struct], Rows, tuple[str, ...]]]] = {
    "codes": (CodeTerms, TermsEvent, TERMS, ()),
    "campaigns": (CampaignTerms, CampaignTermsEvent, CAMPAIGN_TERMS, ("name",)),
}
"""The value, the event, the rows, and the terms without a row: each door has the name of a campaign in its place."""
FILES: Final = {
    "TermsEvent": "domain/events/code_terms.py",
    "CampaignTermsEvent": "domain/events/campaign.py",
    "TermFormat": "api/schemas/code_terms.py",
    "CampaignTermFormat": "api/schemas/campaign_terms.py",
}
OMITTED_FIELD: Final = """
{value}.{name} is not in {event}, or has another type there: events would not store it.

What to do: add the line `{name}: {kind} = None` to {event} in {file}. Old events decode as before.
"""
OMITTED_ROW: Final = """
{value}.{name} has no row: no request, response, command line, form, table or export would show it.

What to do: add this to {file}, at its place in the order of {value}. All doors follow from it.

    {row}(
        name="{name}",
        option="--{option}",
        none_word="...",  # how people write "no limit"
        means="...",  # for help texts and the API
    ),

Then add its column and its texts: docs/contributing.md, from "Add a term of codes" on.
"""
ROW_WITHOUT_TERM: Final = """
{file} has rows for {names}, and {value} has the terms {terms}, in this order.

What to do: remove the row of a term that is gone, and keep the rows in the order of {value}.
"""


def find_omission(value: type[Struct], event: type[Struct], rows: Rows, without_row: tuple[str, ...]) -> str | None:
    row = type(rows[0]).__name__
    said = {field.name: field for field in fields(event)}
    named = tuple(row.name for row in rows)
    terms = tuple(field.name for field in fields(value) if field.name not in without_row)
    for field in fields(value):
        place = said.get(field.name)
        names = {"value": value.__name__, "event": event.__name__, "name": field.name, "kind": field.type}
        if place is None or place.type != field.type:
            return OMITTED_FIELD.format(**names, file=FILES[event.__name__])
        if field.name in terms and field.name not in named:
            option = field.name.replace("_", "-")
            return OMITTED_ROW.format(**names, file=FILES[row], row=row, option=option)
    if named != terms:
        listed = {"names": ", ".join(named), "terms": ", ".join(terms)}
        return ROW_WITHOUT_TERM.format(**listed, value=value.__name__, file=FILES[row])
    return None


@pytest.mark.parametrize("what", LISTS)
def test_each_term_is_in_its_event_and_has_a_row(what: str) -> None:
    """The message says what to do about a term that is in the value alone."""
    omission = find_omission(*LISTS[what])

    assert omission is None, omission


def test_each_term_of_a_campaign_is_a_reason_to_refuse_it() -> None:
    """But for the group, which commands check when they are created."""
    missing = {*CAMPAIGN_TERM_NAMES} - {"group", *CampaignTermsInvalid.reasons}

    assert missing == set(), f"domain/errors.py: add {', '.join(missing)} to the reasons of CampaignTermsInvalid"


@pytest.mark.parametrize("what", LISTS)
def test_value_has_no_default_and_the_event_has_one_for_each_later_term(what: str) -> None:
    """A value without a term is a mistake that mypy sees; an old event without one is an old event."""
    value, event, *_ = LISTS[what]
    first, *later = [field for field in fields(event) if field.name in value.__struct_fields__]

    assert [field.name for field in fields(value) if field.default is not NODEFAULT] == []
    assert first.required
    assert [field.name for field in later if field.default is not None] == []


@pytest.mark.parametrize("what", LISTS)
@pytest.mark.parametrize(
    ("kind_in_event", "omission"),
    [
        (None, "{value}.invented is not in {event}"),
        (str | None, "{value}.invented is not in {event}, or has another type"),
        (int | None, '    {row}(\n        name="invented",\n        option="--invented",'),
    ],
)
def test_message_names_the_missing_parts_of_a_new_term(what: str, kind_in_event: object, omission: str) -> None:
    value, event, rows, without_row = LISTS[what]
    terms: list[tuple[str, Any]] = [(field.name, field.type) for field in fields(value)]
    stored: list[tuple[str, Any]] = [(field.name, field.type) for field in fields(event)]
    longer = defstruct(value.__name__, [*terms, ("invented", int | None)])
    new_event = defstruct(event.__name__, stored if kind_in_event is None else [*stored, ("invented", kind_in_event)])
    names = {"value": value.__name__, "event": event.__name__, "row": type(rows[0]).__name__}

    assert omission.format(**names) in str(find_omission(longer, new_event, rows, without_row))


@pytest.mark.parametrize("what", LISTS)
def test_rows_are_those_of_the_terms_in_their_order(what: str) -> None:
    value, event, rows, without_row = LISTS[what]
    former = dataclasses.replace(rows[0], name="invented")

    assert "remove the row" in str(find_omission(value, event, (*rows, former), without_row))
    assert "in the order of" in str(find_omission(value, event, rows[::-1], without_row))
