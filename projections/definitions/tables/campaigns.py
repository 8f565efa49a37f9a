"""`campaigns`: one row for each campaign, with its terms and how many uses its codes have."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec.structs import fields

from domain.events.campaign import CAMPAIGN_TERM_NAMES, CampaignTerms
from domain.model.campaign import Campaign
from domain.model.waiting_list import WaitingPlaces
from projections.definitions.projection import EventPlace, Row, StateProjection
from projections.sql.table import Table
from projections.sql.term_columns import find_column_type

_TERM_COLUMNS: Final = {name: "group_name" if name == "group" else name for name in CAMPAIGN_TERM_NAMES}
TABLE: Final = Table(
    "campaigns",
    key=("campaign_id",),
    columns={
        "campaign_id": "uuid",
        "version": "bigint",
        "created_at": "timestamptz",
        "last_at": "timestamptz",
        "counts_uses": "boolean",
        "occupied": "bigint",
        "is_paused": "boolean",
        "ended_by": "bigint",
        "name": "text",
        "group_name": "text",
        "starts_at": "timestamptz",
        "ends_at": "timestamptz",
        "max_uses": "bigint",
        "max_per_person": "bigint",
        "allowed_domains": "text",
        "denied_domains": "text",
        "remind_days": "bigint",
        "quiet_hours": "text",
        "occupied_on_day": "bigint",
        "max_per_day": "bigint",
        "code_max_uses": "bigint",
        "code_validity_days": "bigint",
        "notify_at": "text",
        "person_rule": "text",
        "throwaway": "text",
        "counts_from": "timestamptz",
        "recounted_by": "bigint",
        "waiting": "text",
    }
    # Columns of new terms follow.
    | {
        _TERM_COLUMNS[field.name]: "bigint" if field.type == int | None else find_column_type(field.name, field.type)
        for field in fields(CampaignTerms)
        if field.name != "name"
    },
    fixed=("created_at",),
)
_STATE_COLUMNS: Final = [column for column in TABLE.columns if column not in _TERM_COLUMNS.values()]
if {*_STATE_COLUMNS, "terms"} != {*Campaign.__struct_fields__}:
    raise AssertionError("campaigns must hold every field and term of a campaign, so that it can be read back")


class Campaigns(StateProjection):
    """One row for each campaign."""

    table = TABLE
    state = Campaign
    code_column = "campaign_id"

    def row(self, state: Campaign) -> Row:
        """Return the row of a campaign."""
        terms = {column: getattr(state.terms, name) for name, column in _TERM_COLUMNS.items()}
        values = {column: getattr(state, column) for column in _STATE_COLUMNS}
        values["waiting"] = msgspec.json.encode(state.waiting).decode() if state.waiting else None
        return TABLE.row(**values, **terms)

    def explain(self, row: Mapping[str, Any]) -> EventPlace:
        """Return the event of the row's version."""
        return UUID(row["campaign_id"]), row["version"]

    def read_back(self, row: Sequence[Any]) -> Campaign:
        """Return the campaign that a row was made of, from the values in the order of its columns.

        Columns that a later version appended are ignored.
        """
        values = dict(zip(TABLE.columns, row, strict=False))
        terms = CampaignTerms(**{name: values[column] for name, column in _TERM_COLUMNS.items()})
        places = msgspec.json.decode(values["waiting"] or "[]", type=WaitingPlaces)
        return Campaign(terms=terms, **{**{column: values[column] for column in _STATE_COLUMNS}, "waiting": places})


PROJECTION: Final = Campaigns()
