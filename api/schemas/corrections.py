"""Wire models of correcting an email address and moving access, which need the correction token."""

from typing import Annotated

from pydantic import BaseModel, Field

from api.schemas.resources import GroupName
from domain.values.identifiers import TYPED_LENGTH_MAX

CorrectionToken = Annotated[
    str | None,
    Field(
        max_length=100,
        description="The `correction_token` of the 202 that made the reservation; without it, 400 "
        "CORRECTION_TOKEN_REQUIRED.",
    ),
]


class RebindRequest(BaseModel):
    """A code, the address that it was redeemed with, and the group to move to."""

    email: Annotated[str, Field(min_length=1, max_length=TYPED_LENGTH_MAX)]
    code: Annotated[str, Field(min_length=1, max_length=TYPED_LENGTH_MAX)]
    group: GroupName
    correction_token: CorrectionToken = None


class CorrectionRequest(BaseModel):
    """The right email address, from the client that made the reservation, which shows it by the token."""

    email: Annotated[str, Field(min_length=1, max_length=TYPED_LENGTH_MAX)]
    code: Annotated[str, Field(min_length=1, max_length=TYPED_LENGTH_MAX)]
    correction_token: CorrectionToken = None
