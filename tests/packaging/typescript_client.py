"""The generated modules of the TypeScript client: types by openapi-typescript, and what a repeat and an answer need.

The OpenAPI document is the only source. Nothing generated is committed: the package has it.
"""

import json
from pathlib import Path
from typing import Any, Final

from tests.contracts.clients import node_programs
from tests.contracts.clients.strict_decoder import Document
from tests.packaging.client_operations import Operation, list_operations

OPERATION: Final = """\
/** What an operation has in addition to its types: types of its successes, and fields of JSON; null: it is a list. */
export interface Operation {
  media: string[];
  required: string[] | null;
  takesKey: boolean;
  isRepeatable: boolean;
  goneIsDone: boolean;
}

"""


def write_sources(document: Document, project: Path) -> None:
    """Write the generated modules, and the version of the API, into the folder of the package.

    Raises:
        ValueError: The document lacks an operation that the client names.
    """
    operations = {f"{each.method} {each.path}": _describe(document, each) for each in list_operations(document)}
    table = f"export const OPERATIONS: Readonly<Record<string, Operation>> = {json.dumps(operations, indent=1)};\n"
    (project / "src" / "operations.ts").write_text(OPERATION + table, "utf-8")
    source, manifest = project / "openapi.json", project / "package.json"
    source.write_text(json.dumps(document), "utf-8")
    done = node_programs.run_program("openapi-typescript", str(source), "--output", str(project / "src" / "schema.ts"))
    assert done.returncode == 0, done.stdout
    described = json.loads(manifest.read_text("utf-8")) | {"version": document["info"]["version"]}
    manifest.write_text(json.dumps(described, indent=2) + "\n", "utf-8")


def _describe(document: Document, operation: Operation) -> dict[str, Any]:
    """Return the operation as the client has it."""
    answer = operation.successes.get("application/json", {}).get("schema", {})
    schema = document["components"]["schemas"].get(answer.get("$ref", "").rpartition("/")[2], {})
    return {
        "media": list(operation.successes) or [""],
        "required": None if answer.get("type") == "array" else schema.get("required", []),
        "takesKey": operation.takes_key,
        "isRepeatable": operation.is_repeatable,
        "goneIsDone": operation.gone_is_done,
    }
