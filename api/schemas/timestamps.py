"""Timestamps in requests of the API: ISO 8601 text within the bounds that `domain.values.timestamps` declares."""

from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator

from domain.values.timestamps import bounded, parse_timestamp


def _with_offset(value: object) -> datetime:
    return bounded(value) if isinstance(value, datetime) else parse_timestamp(value, needs_offset=True)


def _utc_unless_said(value: object) -> datetime:
    return bounded(value) if isinstance(value, datetime) else parse_timestamp(value)


Timestamp = Annotated[datetime, BeforeValidator(_with_offset)]
"""A timestamp with its offset from UTC; the value is in UTC. Numbers and booleans are refused."""
LooseTimestamp = Annotated[datetime, BeforeValidator(_utc_unless_said)]
"""A timestamp of `as_of`, which has always meant UTC if no offset is written."""
