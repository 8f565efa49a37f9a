"""Build the packages of API clients from a commit: `python -m tests.packaging.build_clients FOLDER`.

The same commit (`--revision`) gives the same bytes. `make dist` and `make clients` run this.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.contracts.clients import node_programs
from tests.contracts.clients.strict_decoder import Document
from tests.packaging.build_release import (
    STEP_S_MAX,
    TOOLS,
    build_distributions,
    export_commit,
    normalize_archive,
    read_source,
    require_tools_of,
    run_build,
    run_tool,
)
from tests.packaging.provenance import LOCAL_BUILDER, write_statement
from tests.packaging.python_client import PACKAGE, write_client
from tests.packaging.typescript_client import write_sources

PRINT_DOCUMENT: Final = """
import json
from tests.contracts.clients.openapi_document import read_document
print(json.dumps(read_document()))
"""


def build_clients(folder: Path, revision: str = "HEAD", builder: str = LOCAL_BUILDER) -> None:
    """Write the packages of a commit into a folder, and the statement and the digests of all that it holds.

    Raises:
        subprocess.CalledProcessError: A tool refused.
        ValueError: The tools are not those of the commit.
    """
    require_tools_of(revision)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch)
        export_commit(revision, source)
        printed = subprocess.run(
            [sys.executable, "-c", PRINT_DOCUMENT], cwd=source, stdout=subprocess.PIPE, check=True, timeout=STEP_S_MAX
        ).stdout
        commit, document = read_source(revision), json.loads(printed)
        run_tool(TOOLS / "twine", "check", "--strict", *build_python_client(document, source, folder, commit.seconds))
        build_typescript_client(document, source, folder, commit.seconds)
    write_statement(folder, commit, builder)


def build_python_client(document: Document, source: Path, folder: Path, seconds: int) -> tuple[Path, Path]:
    """Build wheel and source distribution of the Python client; return their paths.

    Args:
        document: The OpenAPI document, which gives the version too.
        source: The files of a commit.
        folder: Where they are written to.
        seconds: Unix time of the commit.
    """
    with tempfile.TemporaryDirectory() as scratch:
        project = copy_project(source, "python", Path(scratch))
        write_client(document, project / PACKAGE)
        return build_distributions(project, folder, seconds)


def build_typescript_client(document: Document, source: Path, folder: Path, seconds: int) -> Path:
    """Build the npm package of the TypeScript client; return its path. Arguments are those of the Python client."""
    node_programs.install()
    node_programs.BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=node_programs.BUILD) as scratch:
        project = copy_project(source, "typescript", Path(scratch))
        write_sources(document, project)
        done = node_programs.run_program("tsc", "--project", str(project))
        assert done.returncode == 0, done.stdout
        packed = node_programs.pack(project)
        package = folder / packed.name
        package.write_bytes(normalize_archive(packed.read_bytes(), seconds))
        return package


def copy_project(source: Path, language: str, scratch: Path) -> Path:
    """Copy what is committed of a client, and the license; return the folder."""
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "node_modules")
    project = scratch / language
    shutil.copytree(source / "clients" / language, project, ignore=unwanted)
    shutil.copy(source / "LICENSE", project)
    return project


if __name__ == "__main__":
    run_build(build_clients, "Build the packages of API clients from a commit.")
