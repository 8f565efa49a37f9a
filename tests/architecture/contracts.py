"""The import rule that import-linter lacks: what a package may know, instead of what it may not.

A list of forbidden packages would let the next dependency in unseen.
"""

import sys
from typing import cast

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

Breach = tuple[str, str, int | None]


class OnlyContract(Contract):
    """`source_modules` import each other, the standard library, `allowed_packages` and nothing else."""

    type_name = "only"

    source_modules = fields.SetField(subfield=fields.StringField())
    allowed_packages = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 - the library's signature
        """Find every import that leaves the allowed set.

        Args:
            graph: All imports of our packages, those of other packages and the standard library included.
            verbose: Nothing more is known, so nothing more is said.

        Returns:
            Kept or broken, with the breaches as metadata for `render_broken_contract`.
        """
        sources = cast("set[str]", self.source_modules)
        allowed = sources | cast("set[str]", self.allowed_packages) | sys.stdlib_module_names
        breaches = sorted(
            (importer, imported, _line(graph, importer, imported))
            for source in sources
            for importer in {source} | graph.find_descendants(source)
            for imported in graph.find_modules_directly_imported_by(importer)
            if imported.split(".")[0] not in allowed
        )
        return ContractCheck(kept=not breaches, metadata={"breaches": breaches})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported, line in cast("list[Breach]", check.metadata["breaches"]):
            output.print_error(f"{importer} is not allowed to import {imported} (l.{line})")


def _line(graph: ImportGraph, importer: str, imported: str) -> int | None:
    details = graph.get_import_details(importer=importer, imported=imported)
    return details[0]["line_number"] if details else None
