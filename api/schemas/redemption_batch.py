"""Request and response of a batch redeem."""

from typing import Annotated, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, WithJsonSchema

from api.errors import ERROR_CODES
from api.schemas.resources import KEY_LENGTH_MAX, RedeemOnBehalfRequest, StrictRequest
from domain.model.reservation import PublicState

ITEMS_MAX: Final = 1_000
BODY_BYTES_MAX: Final = 2**20

_ITEMS: Final[list[JsonValue]] = [
    {"email": "li.wei@example.com", "code": "MCM1-PRY5-KC9W-VE1A-S4PD", "key": "order-1001"},
    {"email": "wang.fang@example.com", "code": "MCM1-PRY5-KC9W-VE1A-S4PD", "key": "order-1002"},
]


class BatchRedeemItem(RedeemOnBehalfRequest):
    """Code and email address for one redemption of a batch."""

    model_config = ConfigDict(json_schema_extra={"examples": _ITEMS[:1]})

    key: Annotated[str, Field(min_length=1, max_length=KEY_LENGTH_MAX)] | None = Field(
        default=None,
        description="The `Idempotency-Key` of this item, for 7 days: the same key and item give the same reservation. "
        "It is scoped to the API key, and single requests share it.",
    )


class BatchRedeemRequest(StrictRequest):
    """A batch of redeem requests."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": _ITEMS}]})

    items: list[BatchRedeemItem] = Field(
        min_length=1, max_length=ITEMS_MAX, description="Redeem requests, executed in this order."
    )


class BatchRedeemResult(BaseModel):
    """Result of one item: what a single request would have returned. Fields without a value are left out."""

    status: int = Field(
        description="202: a new reservation. 200: the item has this reservation already. Otherwise an error."
    )
    reservation_id: UUID | None = Field(default=None, description="Present if `status` is 200 or 202.")
    state: PublicState | None = Field(default=None, description="Present if `status` is 200 or 202.")
    detail_code: str | None = Field(default=None, description="Why the reservation of a 200 was refunded.")
    correction_token: str | None = Field(
        default=None,
        description="Present if `status` is 202; store it. Correcting the email address and moving the access grant"
        " require it.",
    )
    code: Annotated[
        str | None,
        Field(default=None),
        WithJsonSchema({"type": "string", "enum": list(ERROR_CODES), "description": "Of an error: as in `Problem`."}),
    ]
    detail: str | None = Field(default=None, description="Of an error, in the language of the response.")
    retry_after_s: int | None = Field(default=None, description="Seconds after which the item may be sent again.")


class BatchRedeemView(BaseModel):
    """Results of a batch of redeem requests."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "accepted": 1,
                    "known": 0,
                    "refused": 1,
                    "results": [
                        {
                            "status": 202,
                            "reservation_id": "6c06d4b3-0239-40a8-9f92-0c16234e6a8d",
                            "state": "reserved",
                            "correction_token": "ewUGhG8tSbi0xmYwZVJNYr4yLbcIovLXwFhSbD0F1cM",
                        },
                        {"status": 400, "code": "CODE_EXHAUSTED", "detail": "兑换码已用完"},
                    ],
                }
            ]
        }
    )

    accepted: int = Field(description="Items with status 202.")
    known: int = Field(description="Items with status 200.")
    refused: int = Field(description="Number of items with any other status.")
    results: list[BatchRedeemResult] = Field(description="One result for each item, in the order of the items.")
