"""Build the files of a release from a commit: `python -m tests.packaging.build_release FOLDER [--revision REVISION]`.

The same commit gives the same bytes. Its tools are run from the working tree, which must not differ in them.
`make dist` runs this.
"""

import argparse
import gzip
import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from tests.architecture.licenses import EXCEPTIONS, declared_license
from tests.packaging.provenance import LOCAL_BUILDER, SUMS, Source, read_builder, write_statement

ROOT: Final = Path(__file__).parents[2]
TOOLS: Final = ROOT / ".venv-audit" / "bin"
"""Programs of requirements/audit.lock; `make dist` installs them."""
STEP_S_MAX: Final = 600
TOP_LEVEL: Final = ("api", "domain", "projections", "workers")
"""Names that the wheel adds to an environment; common ones, so it belongs into a separate environment."""
SHARED: Final = ".data/data/share/redemption-ledger/"
"""Where a wheel has what belongs into the `share` folder of an environment: the documentation."""
LOCK: Final = "requirements/servers.lock"
EXTRAS_LOCKS: Final = ("requirements/kafka.lock", "requirements/tracing.lock")
"""What the extras add to `LOCK`; all locks have one version of a package."""
TOOL_SOURCES: Final = ("tests/packaging", "tests/architecture", "tests/contracts/clients", "requirements")
"""What a build runs from the working tree, and not from the commit that it builds."""
LICENSE_FILES: Final = re.compile(r"\.dist-info/(?:.*/)?(?:LICEN[CS]E|COPYING|NOTICE)[^/]*$", re.IGNORECASE)


def build_release(folder: Path, revision: str = "HEAD", builder: str = LOCAL_BUILDER) -> None:
    """Write wheel, source distribution, constraints, SBOM, licenses, statement and digests into a folder.

    Args:
        folder: Holds nothing else afterwards than what this wrote; created if it is missing.
        revision: A commit of this clone.
        builder: URI of who runs the build, for the statement.

    Raises:
        subprocess.CalledProcessError: A tool refused.
        ValueError: The wheel has other top-level names than it should, a package of the lock has no license text, or
            the tools are not those of the commit.
    """
    require_tools_of(revision)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "source"
        export_commit(revision, source)
        commit = read_source(revision)
        wheel, sdist = build_distributions(source, folder, commit.seconds)
        check_top_level(wheel)
        run_tool(TOOLS / "twine", "check", "--strict", wheel, sdist)
        pins = [pin for lock in (LOCK, *EXTRAS_LOCKS) for pin in read_pins((source / lock).read_text(encoding="utf-8"))]
        pins = sorted({str(pin): pin for pin in pins}.values(), key=str)
        (folder / "constraints.txt").write_text("".join(f"{pin}\n" for pin in pins), encoding="utf-8")
        (folder / "THIRD-PARTY-LICENSES.txt").write_text(collect_licenses(pins), encoding="utf-8")
        sbom = ("--mc-type", "application", "--output-reproducible", "--output-file", folder / "sbom.cdx.json")
        run_tool(TOOLS / "cyclonedx-py", "requirements", source / LOCK, "--pyproject", source / "pyproject.toml", *sbom)
    write_statement(folder, commit, builder)


def read_source(revision: str) -> Source:
    """Return what a release of a commit is built from."""
    commit, seconds = read_git("log", "-1", "--format=%H %ct", revision).split()
    project = tomllib.loads(read_git("show", f"{commit}:pyproject.toml"))["project"]
    return Source(commit, project["version"], int(seconds))


def require_tools_of(revision: str) -> None:
    """Raise ValueError if the tools of the working tree are not those of a commit: they decide about the bytes."""
    command = ["git", "-C", str(ROOT), "diff", "--quiet", revision, "--", *TOOL_SOURCES]
    if subprocess.run(command, check=False, timeout=STEP_S_MAX).returncode:
        raise ValueError(f"{' or '.join(TOOL_SOURCES)} differs from {revision}: check out {revision}, without changes")


def archive_commit(revision: str) -> bytes:
    """Return the files of a commit as a tar file, with the same permissions under any umask."""
    command = ["git", "-C", str(ROOT), "-c", "tar.umask=0022", "archive", "--format=tar", revision]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=STEP_S_MAX).stdout


def export_commit(revision: str, folder: Path) -> None:
    """Write the files of a commit."""
    with tarfile.open(fileobj=io.BytesIO(archive_commit(revision))) as tar:
        tar.extractall(folder, filter="data")


def build_distributions(source: Path, folder: Path, seconds: int) -> tuple[Path, Path]:
    """Build wheel and source distribution; return their paths.

    Args:
        source: The files of a commit.
        folder: Where they are written to.
        seconds: Unix time of the commit, which every member of an archive gets
            (https://reproducible-builds.org/specs/source-date-epoch/).
    """
    with tempfile.TemporaryDirectory() as built:
        run_tool(
            TOOLS / "python", "-m", "build", "--no-isolation", "--outdir", built, source, SOURCE_DATE_EPOCH=str(seconds)
        )
        (made_wheel,), (made_sdist,) = Path(built).glob("*.whl"), Path(built).glob("*.tar.gz")
        wheel, sdist = folder / made_wheel.name, folder / made_sdist.name
        wheel.write_bytes(made_wheel.read_bytes())
        sdist.write_bytes(normalize_archive(made_sdist.read_bytes(), seconds))
    return wheel, sdist


def normalize_archive(packed: bytes, seconds: int) -> bytes:
    """Return a gzipped tar file with its members in order, without owner or time of who packed it."""
    written = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(packed)) as before,
        gzip.GzipFile(filename="", mode="wb", fileobj=written, mtime=seconds) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as after,
    ):
        for member in sorted(before.getmembers(), key=lambda each: each.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = seconds, 0, 0, "", ""
            member.mode, member.pax_headers = 0o755 if member.isdir() or member.mode & 0o100 else 0o644, {}
            after.addfile(member, before.extractfile(member) if member.isfile() else None)
    return written.getvalue()


def check_top_level(wheel: Path) -> None:
    """Raise ValueError if a wheel would add other names to an environment than the four rooms and what it shares."""
    with zipfile.ZipFile(wheel) as archive:
        paths = [name for name in archive.namelist() if SHARED not in name]
    names = {path.partition("/")[0] for path in paths}
    if unexpected := {name for name in names if not name.endswith(".dist-info")} ^ set(TOP_LEVEL):
        raise ValueError(f"top-level names of the wheel: {', '.join(sorted(unexpected))} should not differ")
    sys.stdout.write(f"top-level names: {', '.join(TOP_LEVEL)}; install the wheel into a separate environment\n")


def read_pins(lock: str) -> Iterator[Requirement]:
    """Yield the pins of a lock without their digests: constraints may apply to packages of other machines too."""
    for line in re.findall(r"^[a-z0-9].*==.*?(?= \\|$)", lock, re.MULTILINE):
        pin = Requirement(line)
        if pin.name != "setuptools":  # it builds the wheel, and nothing that runs needs it
            yield pin


def collect_licenses(pins: list[Requirement]) -> str:
    """Return the license of each package of the lock that is installed here, with its text where the package has one.

    Raises:
        ValueError: A package that this machine needs is not installed in the lock's version.
    """
    parts = []
    for pin in pins:
        try:
            package = distribution(pin.name)
        except PackageNotFoundError:
            if pin.marker is None or pin.marker.evaluate():
                raise ValueError(f"{pin.name} is not installed: run `make setup`") from None
            parts.append(f"{pin.name} (other machines only)\n")
            continue
        if not pin.specifier.contains(package.version):
            raise ValueError(f"{pin} is locked, and {package.version} is installed: run `make setup`")
        texts = [
            Path(str(package.locate_file(path))).read_text(encoding="utf-8", errors="replace").strip()
            for path in sorted(package.files or (), key=str)
            if LICENSE_FILES.search(str(path))
        ]
        said = declared_license(package) or EXCEPTIONS[pin.name]
        parts.append("\n\n".join([f"{pin.name} {package.version}: {said}", *texts]) + "\n")
    return f"\n{'=' * 80}\n".join(["Packages that Redemption Ledger needs, as its constraints pin them.\n", *parts])


def read_git(*words: str) -> str:
    """Return what git prints about this clone."""
    command = ["git", "-C", str(ROOT), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=STEP_S_MAX).stdout.strip()


def run_tool(program: Path, *words: object, **env: str) -> None:
    """Run a tool; its output is shown if it fails."""
    command = [str(program), *map(str, words)]
    done = subprocess.run(
        command,
        env={**os.environ, **env, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
        timeout=STEP_S_MAX,
        umask=0o022,  # modes of the files that a build makes are part of its bytes
    )
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        raise subprocess.CalledProcessError(done.returncode, command)


def run_build(build: Callable[[Path, str, str], None], description: str) -> None:
    """Build from the command line, and print the digests."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--revision", default="HEAD")
    said = "URI of who runs the build, by default %(default)s"
    parser.add_argument("--builder", type=read_builder, default=LOCAL_BUILDER, metavar="URI", help=said)
    chosen = parser.parse_args()
    build(chosen.folder, chosen.revision, chosen.builder)
    sys.stdout.write((chosen.folder / SUMS).read_text(encoding="utf-8"))


if __name__ == "__main__":
    run_build(build_release, "Build the files of a release from a commit.")
