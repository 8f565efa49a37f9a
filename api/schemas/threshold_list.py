"""Thresholds in requests and responses of the API: a list, in which a number is a percentage; one text inside."""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from domain.values.limits.thresholds import (
    PERCENT,
    THRESHOLD_LENGTH_MAX,
    THRESHOLD_PATTERN,
    THRESHOLDS_MAX,
    Thresholds,
    join_thresholds,
    name_listed,
)

_PERCENT: Final = {"type": "integer", "minimum": PERCENT.least, "maximum": PERCENT.most}
_NAMED: Final = {"type": "string", "pattern": THRESHOLD_PATTERN, "maxLength": THRESHOLD_LENGTH_MAX}
_LIST: Final[dict[str, Any]] = {
    "type": "array",
    "items": {"anyOf": [_PERCENT, _NAMED]},
    "minItems": 1,
    "maxItems": THRESHOLDS_MAX,
    "examples": [[80, 100, "10 left", "7 days", "end"]],
}


def _join(listed: object) -> Thresholds:
    if not isinstance(listed, list) or len(listed) > THRESHOLDS_MAX:
        raise ValueError(f"is not a list of 1 to {THRESHOLDS_MAX} thresholds")
    return join_thresholds(name_listed(listed))


ThresholdList = Annotated[str, BeforeValidator(_join), WithJsonSchema(_LIST)]
"""A list such as `[80, "10 left", "7 days"]`; the value is one text in normal form."""
ThresholdListView = Annotated[list[int | str], WithJsonSchema(_LIST)]
"""The thresholds, in order."""


class ReachedThreshold(BaseModel):
    """A threshold that is reached, and the event that crossed it last."""

    threshold: Annotated[str, Field(description="Such as `80%`, `10 left` or `7 days`.")]
    crossed_by: Annotated[
        UUID | None, Field(description="The reservation whose use crossed it; null: a change of the terms or time did.")
    ]
    since: Annotated[datetime, Field(description="When it was crossed.")]
    version: int
    position: int
    sentence: str
