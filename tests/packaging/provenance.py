"""Digests of a release's files, and the statement that says how they were built.

`python -m tests.packaging.provenance FOLDER` compares a folder with both; `make dist` ends with it.

The statement is an in-toto Statement v1 (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md) with
SLSA provenance v1 (https://slsa.dev/spec/v1.0/provenance). It is not signed: a signature needs the identity of a
release pipeline, so the upload adds it (docs/how-to/release.md). PEP 740 allows one subject in a statement, so package
indexes do not accept this one: there, the trusted publisher attests each file.

The statement covers the files, and `SHA256SUMS` covers the files and the statement. So one signature of the statement
reaches every file, and `sha256sum --check` alone notices a damaged download of any of them.
"""

import argparse
import base64
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from packaging.utils import parse_wheel_filename

from tests.architecture.locks import WHEELS, read_digests, read_lock
from tests.contracts.clients.node_programs import LOCK as NODE_LOCK

SUMS: Final = "SHA256SUMS"
STATEMENT: Final = "provenance.json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://slsa.dev/provenance/v1"
BUILD_TYPE: Final = "urn:redemption-ledger:build:release:1"
LOCAL_BUILDER: Final = "urn:redemption-ledger:builder:local"
"""The builder that no platform vouches for: a person ran the build on a machine of theirs."""
LOCKS: Final = ("dev.lock", "audit.lock")
"""What `make dist` installs of Python's packages."""

Descriptor = dict[str, Any]


class Source(NamedTuple):
    """What a release is built from."""

    commit: str
    """The whole id, in hexadecimal digits."""
    version: str
    """The ledger's, from `pyproject.toml`."""
    seconds: int
    """Unix time of the commit."""


def read_builder(text: str) -> str:
    """Return the URI of a builder, an argument of the commands that build.

    Raises:
        argparse.ArgumentTypeError: It is not a URI.
    """
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*:\S+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a URI: give that of your pipeline, or none to build locally")
    return text


def write_statement(folder: Path, source: Source, builder: str = LOCAL_BUILDER) -> None:
    """Write the statement about the files of a folder, and the digests of all; the same files give the same bytes.

    Args:
        folder: Holds the files of a release, perhaps with an earlier statement and its digests.
        source: What they were built from.
        builder: URI of who ran the build, which decides how far the statement can be trusted.
    """
    files = {name: digest for name, digest in read_files(folder).items() if name != STATEMENT}
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [_describe(name, "sha256", digest) for name, digest in files.items()],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"commit": source.commit, "version": source.version},
                # Without `metadata`: its times would be those of one run, and two builds of a commit would differ.
                "internalParameters": {"SOURCE_DATE_EPOCH": str(source.seconds)},
                "resolvedDependencies": [_describe("source", "gitCommit", source.commit), *_list_packages()],
            },
            "runDetails": {"builder": {"id": builder}},
        },
    }
    (folder / STATEMENT).write_text(json.dumps(statement, indent=1) + "\n", encoding="utf-8")
    sums = [f"{digest}  {name}\n" for name, digest in read_files(folder).items()]
    (folder / SUMS).write_text("".join(sums), encoding="utf-8")


def read_files(folder: Path) -> dict[str, str]:
    """Return SHA-256 of each file of a folder but the list of digests, by name in order."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names if name != SUMS}


def find_differences(folder: Path) -> list[str]:
    """Return a sentence for each difference between a folder's files and what its digests and its statement say."""
    files = read_files(folder)
    differences: list[str] = []
    try:
        differences += _compare(SUMS, read_digests((folder / SUMS).read_text(encoding="utf-8")), files)
    except (OSError, ValueError) as error:
        differences.append(f"{SUMS} is not a list as `sha256sum` writes it: {error}")
    try:
        statement = json.loads((folder / STATEMENT).read_text(encoding="utf-8"))
        types = statement["_type"], statement["predicateType"]
        subjects = {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [*differences, f"{STATEMENT} is not a statement: {error!r}"]
    if types != (STATEMENT_TYPE, PREDICATE_TYPE):
        differences.append(f"{STATEMENT} is of the types {' and '.join(map(str, types))}: it is another statement")
    del files[STATEMENT]
    return [*differences, *_compare(STATEMENT, subjects, files)]


def _compare(place: str, listed: Mapping[str, str], files: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*listed, *files}):
        if name not in files:
            yield f"{name} is in {place}, and not in the folder"
        elif name not in listed:
            yield f"{name} is in the folder, and not in {place}"
        elif listed[name] != files[name]:
            yield f"{name} does not have the digest that {place} names"


def _list_packages() -> Iterator[Descriptor]:
    """Yield each file that the locks of the build let a supported machine install, whichever machine this is."""
    digests = {digest for lock in LOCKS for pin in read_lock(lock) for digest in pin.hashes}
    for file, digest in read_digests(WHEELS.read_text(encoding="utf-8")).items():
        if f"sha256:{digest}" in digests:
            name, version, _, _ = parse_wheel_filename(file)
            yield _describe(file, "sha256", digest, f"pkg:pypi/{name}@{quote(str(version))}")
    for path, package in json.loads(NODE_LOCK.read_text(encoding="utf-8"))["packages"].items():
        if path:  # the one without a path is the project of the lock
            algorithm, _, digest = package["integrity"].partition("-")
            name = path.rpartition("node_modules/")[2]
            uri = f"pkg:npm/{quote(name)}@{quote(package['version'])}"
            yield _describe(path, algorithm, base64.b64decode(digest).hex(), uri)


def _describe(name: str, algorithm: str, digest: str, uri: str = "") -> Descriptor:
    return {"name": name, **({"uri": uri} if uri else {}), "digest": {algorithm: digest}}


def main() -> int:
    """Compare a folder from the command line; return 1 if it differs from its statement or its digests."""
    parser = argparse.ArgumentParser(description="Compare the files of a release with their digests and statement.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    if differences := find_differences(folder):
        sys.stderr.write("".join(f"{sentence}\n" for sentence in differences))
        sys.stderr.write("Do not use these files: download them again, or build them again by `make dist`.\n")
        return 1
    predicate = json.loads((folder / STATEMENT).read_text(encoding="utf-8"))["predicate"]
    said = predicate["buildDefinition"]["externalParameters"] | predicate["runDetails"]
    sys.stdout.write(f"{folder}: all files are those of {SUMS} and {STATEMENT}, which says {json.dumps(said)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
