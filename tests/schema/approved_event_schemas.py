"""The JSON Schemas of events and webhook messages, approved; `make approve` writes them.

Read the difference before it is committed: clients are generated from these. Within v1, they may only add.
"""

import json
from pathlib import Path
from typing import Final

from api.schemas.event_schemas import event_schemas, message_schemas

PATH: Final = Path(__file__).with_name("approved_event_schemas.jsonl")


def render_schemas() -> str:
    """Return the schemas of today, one on each line."""
    schemas = (*event_schemas().values(), *message_schemas().values())
    return "".join(json.dumps(schema, sort_keys=True) + "\n" for schema in schemas)


if __name__ == "__main__":
    PATH.write_text(render_schemas(), encoding="utf-8")
