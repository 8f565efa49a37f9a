"""The envelope of CloudEvents 1.0, as the OpenAPI document describes it."""

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

ABOUT_AN_EVENT: Final = ("subject", "sequence")
"""Attributes that a test message of a webhook lacks, because it is about no event."""


class CloudEvent(BaseModel):
    """An event in the envelope of CloudEvents 1.0."""

    specversion: Literal["1.0"] = Field(description="Version of the specification.")
    id: str = Field(description="The position, which is unique and never changes; a test message has its message id.")
    source: str = Field(description="Address of the feed, or of the webhooks of the ledger.")
    type: str = Field(description="`redemption-ledger.` and the type of the event.")
    subject: str = Field(description="`codes/` or `campaigns/` and the id of the history in which the event is.")
    time: datetime = Field(description="Time at which the event took effect.")
    datacontenttype: Literal["application/json"] = Field(description="Media type of `data`.")
    dataschema: str = Field(description="Address of the JSON Schema of `data`.")
    sequence: str = Field(description="The position with leading zeros, so that texts are in the order of events.")
    data: dict[str, Any] = Field(description="The event, as the format `standard` has it.")


def describe_message_envelope() -> dict[str, Any]:
    """Return the JSON Schema of a webhook message that is a CloudEvent: any event of the feed, or a test message."""
    schema = CloudEvent.model_json_schema()
    return schema | {"required": [name for name in schema["required"] if name not in ABOUT_AN_EVENT]}
