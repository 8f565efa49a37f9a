"""`python -m tests.contracts.clients.lint_openapi`: Redocly and Spectral read the OpenAPI document.

A warning is an error. Which rules are off, and why, is in the files of `node/`.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Final

from tests.contracts.clients import node_programs
from tests.contracts.clients.openapi_document import read_document
from tests.contracts.clients.strict_decoder import Document
from tests.support.optional_packages import may_run

LINTERS: Final = {
    "redocly": ("lint", "--config", "redocly-lint.yaml"),
    "spectral": ("lint", "--fail-severity=warn", "--ruleset", "spectral.yaml"),
}


def find_violations(document: Document) -> Iterator[str]:
    node_programs.install()
    path = node_programs.write_document(document)
    for name, arguments in LINTERS.items():
        done = node_programs.run_program(name, *arguments, str(path.relative_to(node_programs.FOLDER)))
        if done.returncode:
            yield f"{name}: exit {done.returncode}\n{done.stdout}"


def main(read: Callable[[], Document] = read_document) -> int:
    """Print the violations; without Node.js, name what to install, which fails in CI alone."""
    if not may_run("Node.js"):
        sys.stderr.write("The OpenAPI document was not linted: no Node.js (apt install nodejs npm)\n")
        return 0
    violations = list(find_violations(read()))
    sys.stderr.write("".join(violations))
    return len(violations)


if __name__ == "__main__":
    sys.exit(main())
