"""The envelope of CloudEvents 1.0, as the OpenAPI document describes it."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field


class CloudEvent(BaseModel):
    """An event in the envelope of CloudEvents 1.0."""

    specversion: Literal["1.0"] = Field(description="Version of the specification.")
    id: str = Field(description="The position, which is unique in the feed and never changes.")
    source: str = Field(description="Address of the feed.")
    type: str = Field(description="`redemption-ledger.` and the type of the event.")
    subject: str = Field(description="`codes/` or `campaigns/` and the id of the history in which the event is.")
    time: datetime = Field(description="Time at which the event took effect.")
    datacontenttype: Literal["application/json"] = Field(description="Media type of `data`.")
    dataschema: str = Field(description="Address of the JSON Schema of `data`.")
    sequence: str = Field(description="The position with leading zeros, so that texts are in the order of events.")
    data: dict[str, Any] = Field(description="The event, as the format `standard` has it.")
