"""A generated TypeScript client goes through the whole API, and each of its responses is what the document has.

`tsc` checks the flows by the document's types, with every option that makes it stricter about what may be missing.
"""

import json
from pathlib import Path

import pytest

from tests.contracts.clients import node_programs
from tests.contracts.clients.generated_models import generate
from tests.contracts.clients.planted_world import open_world
from tests.contracts.clients.strict_decoder import Document, StrictDecoder

pytestmark = pytest.mark.night(of="packages")


@pytest.fixture(scope="module")
def compiled(document: Document) -> Path:
    node_programs.install()
    source = node_programs.write_document(document)
    types = source.with_name("ledger.d.ts")
    generated = node_programs.run_program("openapi-typescript", str(source), "--output", str(types))
    assert generated.returncode == 0, generated.stdout
    checked = node_programs.run_program("tsc", "--project", "tsconfig.json")
    assert checked.returncode == 0, checked.stdout
    return node_programs.BUILD / "js" / "flows.js"


def test_typescript_client_reaches_every_success_of_every_operation(
    compiled: Path, document: Document, postgres_url: str, tmp_path: Path
) -> None:
    """Its flows are those of the Python client; the responses are decoded by the same models."""
    decoder = StrictDecoder(document, generate(document, tmp_path))
    operations = {tuple(route): operation for operation, route in decoder.routes.items()}
    with open_world(postgres_url) as world:
        named = tmp_path / "world.json"
        uses = {name: [use._asdict() for use in getattr(world, name)] for name in ("sent", "unknown")}
        named.write_text(json.dumps(world._asdict() | uses), "utf-8")
        done = node_programs.run_node(compiled, named)
    responses = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    for each in responses:
        operation = operations[each["method"], each["path"]]
        decoder.decode(operation, each["status"], each["media"], each["body"].encode())

    assert done.returncode == 0, done.stdout[-3000:]
    assert list(decoder.list_unseen()) == []
