"""Programs of Node.js in `node/`: as the lock pins them, and installed when they are first needed."""

import fcntl
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Final

from tests.contracts.clients.strict_decoder import Document
from tests.support.waiting import WAIT_S_MAX

FOLDER: Final = Path(__file__).parent / "node"
BUILD: Final = FOLDER / "build"
LOCK: Final = FOLDER / "package-lock.json"
INSTALLED: Final = FOLDER / "node_modules" / ".lock-digest"
QUIET: Final = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NO_UPDATE_NOTIFIER": "1"}


def install() -> None:
    """Install what the lock pins, each package by its digest, unless it is installed; one process at a time does."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if INSTALLED.exists() and INSTALLED.read_text("ascii") == digest:
            return
        done = _run(["npm", "ci", "--no-progress"])
        if done.returncode:
            raise AssertionError(f"npm ci: exit {done.returncode}\n{done.stdout}")
        INSTALLED.write_text(digest, "ascii")


def run_program(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the lock in `node/`; its two outputs are one text."""
    return _run([str(FOLDER / "node_modules" / ".bin" / name), *arguments])


def run_node(script: Path, *arguments: Path) -> subprocess.CompletedProcess[str]:
    """Run a script; its two outputs are one text."""
    return _run(["node", str(script), *map(str, arguments)])


def pack(project: Path) -> Path:
    """Pack a project as `npm publish` does; return the archive, which is in its folder."""
    done = _run(["npm", "pack", "--silent"], project)
    if done.returncode:
        raise AssertionError(f"npm pack: exit {done.returncode}\n{done.stdout}")
    (archive,) = project.glob("*.tgz")
    return archive


def write_document(document: Document) -> Path:
    """Write a document to where the rules of the linters expect it."""
    BUILD.mkdir(exist_ok=True)
    path = BUILD / "openapi.json"
    path.write_text(json.dumps(document, indent=1), "utf-8")
    return path


def _run(command: list[str], folder: Path = FOLDER) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **QUIET},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=WAIT_S_MAX,
        check=False,
        text=True,
    )
