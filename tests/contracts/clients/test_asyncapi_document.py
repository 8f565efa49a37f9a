"""The AsyncAPI document, read by AsyncAPI's own parser."""

import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from api.schemas.events.asyncapi import describe_messages
from api.schemas.events.event_schemas import Schema, event_schemas, message_schemas
from api.v1.event_feed import describe_stream_query
from tests.contracts.clients import node_programs

pytestmark = pytest.mark.night(of="packages")

NEWER_VERSION = "asyncapi-latest-version"
"""Rule that asks for a version which not all tools read."""


def read(documents: Mapping[str, Schema], folder: Path) -> dict[str, dict[str, Any]]:
    """What the parser prints about each document; its faults without the newer version."""
    node_programs.install()
    paths = [folder / f"{name}.json" for name in documents]
    for path, document in zip(paths, documents.values(), strict=True):
        path.write_text(json.dumps(document), "utf-8")
    done = node_programs.run_node(node_programs.FOLDER / "read_asyncapi.mjs", *paths)
    assert done.returncode == 0, done.stdout
    printed = {name: json.loads(line) for name, line in zip(documents, done.stdout.splitlines(), strict=True)}
    return {
        name: each | {"faults": [fault for fault in each["faults"] if fault[0] != NEWER_VERSION]}
        for name, each in printed.items()
    }


def test_parser_reads_every_message_without_a_fault_and_notices_faults(tmp_path: Path) -> None:
    """No warning; a broken reference, schema or correlation is one."""
    document = describe_messages("https://example.com/codes/", describe_stream_query())
    broken = {name: deepcopy(document) for name in ("reference", "schema", "correlation")}
    broken["reference"]["operations"]["sendEvents"]["channel"]["$ref"] = "#/channels/none"
    broken["schema"]["components"]["messages"]["event.UseReserved"]["payload"]["type"] = "word"
    broken["correlation"]["components"]["messages"]["message.UseReserved"]["correlationId"] = {"location": "id"}

    printed = read({"whole": document, **broken}, tmp_path)

    events, posted = (f"event.{name}" for name in event_schemas()), (f"message.{name}" for name in message_schemas())
    assert printed["whole"]["faults"] == []
    records = (f"record.{name}" for name in event_schemas())
    envelopes = ("event.cloudEvent", "message.cloudEvent", "batch.cloudEvents")
    assert set(printed["whole"]["messages"]) == {*events, *posted, *records, *envelopes}
    assert [name for name in broken if not printed[name]["faults"]] == []
