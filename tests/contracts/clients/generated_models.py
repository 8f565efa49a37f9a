"""Models that datamodel-code-generator makes of the OpenAPI document, as a strict Python client has them."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

from datamodel_code_generator.__main__ import main

from tests.contracts.clients.strict_decoder import Document
from tests.packaging.python_client import STRUCT_OPTIONS

MODULE: Final = "generated_ledger_models"
BASE: Final = "tests.contracts.clients.strict_struct.StrictStruct"
OPTIONS: Final = (
    *("--openapi-scopes", "schemas", "paths", "parameters", "--base-class", BASE),
    *("--use-annotated", "--use-operation-id-as-name", *STRUCT_OPTIONS),
)


def generate(document: Document, folder: Path) -> ModuleType:
    """Write the models of a document to a folder, and import them from there."""
    source = folder / "openapi.json"
    source.write_text(json.dumps(document), "utf-8")
    status = main(["--input", str(source), "--output", str(folder / f"{MODULE}.py"), *OPTIONS])
    assert status == 0, f"datamodel-codegen: exit {status}"
    sys.path.insert(0, str(folder))
    try:
        sys.modules.pop(MODULE, None)
        importlib.invalidate_caches()
        return importlib.import_module(MODULE)
    finally:
        sys.path.remove(str(folder))
