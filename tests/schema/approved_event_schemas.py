"""The JSON Schemas of events and webhook messages, and their AsyncAPI document, approved; `make approve` writes them.

Read the difference before it is committed: clients are generated from these. Within v1, they may only add.
"""

import json
from pathlib import Path
from typing import Any, Final

from api.schemas.events.asyncapi import describe_messages
from api.schemas.events.event_schemas import event_schemas, message_schemas
from api.v1.event_feed import describe_stream_query

PATH: Final = Path(__file__).with_name("approved_event_schemas.jsonl")
ASYNCAPI_PATH: Final = Path(__file__).with_name("approved_asyncapi.json")


def render_schemas() -> str:
    schemas = (*event_schemas().values(), *message_schemas().values())
    return "".join(json.dumps(schema, sort_keys=True) + "\n" for schema in schemas)


def render_asyncapi() -> str:
    """Return the AsyncAPI document of today, with the names of the schemas in place of the schemas."""
    document: dict[str, Any] = describe_messages("https://codes.example.com", describe_stream_query())
    for message in document["components"]["messages"].values():
        message["payload"] = message["payload"].get("$id", message["payload"])
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    ASYNCAPI_PATH.write_text(render_asyncapi(), encoding="utf-8")
    PATH.write_text(render_schemas(), encoding="utf-8")
