"""The generated modules of the TypeScript client: types by openapi-typescript, and which requests may be repeated.

The OpenAPI document is the only source. Nothing generated is committed: the package has it.
"""

import json
from collections.abc import Callable
from pathlib import Path

from tests.contracts.clients import node_programs
from tests.contracts.clients.strict_decoder import Document
from tests.packaging.python_client import is_repeatable, takes_key


def write_sources(document: Document, project: Path) -> None:
    """Write the generated modules, and the version of the API, into the folder of the package."""
    source, manifest = project / "openapi.json", project / "package.json"
    source.write_text(json.dumps(document), "utf-8")
    done = node_programs.run_program("openapi-typescript", str(source), "--output", str(project / "src" / "schema.ts"))
    assert done.returncode == 0, done.stdout
    names = {"KEYED": takes_key, "REPEATABLE": is_repeatable}
    lines = [
        f"export const {name}: ReadonlySet<string> = new Set({json.dumps(list_routes(document, is_meant))});\n"
        for name, is_meant in names.items()
    ]
    (project / "src" / "repeats.ts").write_text("".join(lines), "utf-8")
    described = json.loads(manifest.read_text("utf-8")) | {"version": document["info"]["version"]}
    manifest.write_text(json.dumps(described, indent=2) + "\n", "utf-8")


def list_routes(document: Document, is_meant: Callable[[Document], bool]) -> list[str]:
    """Return method and path of the operations that are meant."""
    return [
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if is_meant(operation)
    ]
