"""Wire models of correcting an email address and moving access, which need the correction token."""

from typing import Annotated

from pydantic import BaseModel, Field

from api.schemas.resources import GroupName
from domain.values.identifiers import TYPED_LENGTH_MAX

CorrectionToken = Annotated[
    str | None,
    Field(
        max_length=100,
        description="`correction_token` from the 202 response of the redeem request; without it, the response is 400 "
        "CORRECTION_TOKEN_REQUIRED.",
    ),
]


class RebindRequest(BaseModel):
    """Code and email address of a redemption, and the group to move its access grant to."""

    email: Annotated[str, Field(min_length=1, max_length=TYPED_LENGTH_MAX)]
    code: Annotated[str, Field(min_length=1, max_length=TYPED_LENGTH_MAX)]
    group: GroupName
    correction_token: CorrectionToken = None


class CorrectionRequest(BaseModel):
    """The right email address, sent by the client that made the reservation."""

    email: Annotated[str, Field(min_length=1, max_length=TYPED_LENGTH_MAX)]
    code: Annotated[str, Field(min_length=1, max_length=TYPED_LENGTH_MAX)]
    correction_token: CorrectionToken = None
