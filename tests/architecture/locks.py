"""Pins of the locks in `requirements`, and the wheels that the supported machines install of them.

`python -m tests.architecture.locks PYLOCK...` writes the list of these wheels; `make lock` runs it.
"""

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

from packaging import tags
from packaging.markers import Marker, default_environment
from packaging.utils import canonicalize_name, parse_wheel_filename

FOLDER: Final = Path(__file__).parents[2] / "requirements"
WHEELS: Final = FOLDER / "wheels.txt"
"""Digest and file name of every wheel that a supported machine installs, as `sha256sum` writes them."""
WITH_WHEELS: Final = ("dev", "audit", "mutate")
"""Locks that are installed on supported machines. `dev` holds the pins of all locks of the ledger itself."""
PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")


class Pin(NamedTuple):
    """One locked release: where it is installed, and the digests of the files that may be installed."""

    name: str
    version: str
    marker: str
    hashes: frozenset[str]


def read_lock(file: str) -> list[Pin]:
    """Return the pins of a lock; a name has several where different Pythons get different versions.

    Raises:
        ValueError: A line is neither a pin with `==` nor a hash nor a comment.
    """
    text = re.sub(r"^\s*#.*\n", "", (FOLDER / file).read_text(), flags=re.MULTILINE)
    pins = []
    for entry in text.replace("\\\n", " ").splitlines():
        package, *hashes = re.split(r"\s+--hash=", entry.strip())
        pin = re.fullmatch(r"([\w.-]+)(?:\[[\w,-]+\])?==([\w.+!]+)(?: ; (.+))?", package)
        if pin is None:
            message = f"{file}: not a pin: {package!r}"
            raise ValueError(message)
        pins.append(Pin(canonicalize_name(pin[1]), pin[2], pin[3] or "", frozenset(hashes)))
    return pins


class Machine(NamedTuple):
    """A kind of machine that the locks are installed on: system and processor, as Python names them."""

    system: str
    processor: str

    def __str__(self) -> str:
        return f"{self.system} {self.processor}"

    @property
    def platforms(self) -> list[str]:
        """Platform tags of its oldest version, best first: glibc 2.28, macOS 11."""
        if self.system == "darwin":
            return list(tags.mac_platforms((11, 0), self.processor))
        glibc = [f"manylinux_2_{minor}_{self.processor}" for minor in range(28, 4, -1)]
        return [*glibc, *(f"{old}_{self.processor}" for old in ("manylinux2014", "manylinux2010", "manylinux1"))]


MACHINES: Final = (Machine("linux", "x86_64"), Machine("linux", "aarch64"), Machine("darwin", "arm64"))


def find_wheel(pin: Pin, files: Mapping[str, str], machine: Machine, python: str) -> str | None:
    """Return the file that pip installs of a pin, the best for that machine; None if there is none.

    Args:
        pin: A locked release.
        files: Digests of wheels by file name.
        machine: The kind of machine.
        python: Version of Python, as 3.11.
    """
    order = _tag_order(machine, python)
    ranked = [
        (min(order[tag] for tag in file_tags & order.keys()), file)
        for file, version, file_tags in _parse_files(tuple(files)).get(pin.name, ())
        if version == pin.version and f"sha256:{files[file]}" in pin.hashes and file_tags & order.keys()
    ]
    return min(ranked)[1] if ranked else None


def find_missing(pins: list[Pin], files: Mapping[str, str]) -> list[str]:
    """Return a sentence for each pin that some supported machine can't install, with the machines."""
    missing: dict[tuple[str, str], list[str]] = {}
    for pin, machine, python in _installed(pins):
        if find_wheel(pin, files, machine, python) is None:
            missing.setdefault((pin.name, pin.version), []).append(f"{machine} with Python {python}")
    return [
        f"{name} {version} has no wheel for {', '.join(places)}: require another version of it or another package in "
        "requirements/*.in, then run `make lock`"
        for (name, version), places in missing.items()
    ]


def read_digests(text: str) -> dict[str, str]:
    """Return digests by file name, from lines of `sha256sum`.

    Raises:
        ValueError: A line is not a digest and a name.
    """
    return {file: digest for digest, file in (line.split("  ") for line in text.splitlines())}


def _installed(pins: list[Pin]) -> Iterator[tuple[Pin, Machine, str]]:
    for pin, machine, python in product(pins, MACHINES, PYTHONS):
        if not pin.marker or Marker(pin.marker).evaluate(_environment(machine, python)):
            yield pin, machine, python


def _environment(machine: Machine, python: str) -> dict[str, str]:
    here = {name: str(value) for name, value in default_environment().items()}
    return {
        **here,
        "sys_platform": machine.system,
        "platform_system": machine.system.capitalize(),
        "platform_machine": machine.processor,
        "python_version": python,
        "python_full_version": f"{python}.0",
    }


@cache
def _tag_order(machine: Machine, python: str) -> dict[tags.Tag, int]:
    major, minor = map(int, python.split("."))
    specific = tags.cpython_tags((major, minor), platforms=machine.platforms)
    general = tags.compatible_tags((major, minor), f"cp{major}{minor}", machine.platforms)
    return {tag: rank for rank, tag in enumerate((*specific, *general))}


@cache
def _parse_files(files: tuple[str, ...]) -> dict[str, list[tuple[str, str, frozenset[tags.Tag]]]]:
    """Return file, version and tags of wheels, by the package's name."""
    wheels: dict[str, list[tuple[str, str, frozenset[tags.Tag]]]] = {}
    for file in files:
        name, version, _, file_tags = parse_wheel_filename(file)
        wheels.setdefault(name, []).append((file, str(version), file_tags))
    return wheels


def main(paths: list[str]) -> int:
    """Write the wheels that supported machines install, out of the releases that lock files of uv describe.

    Args:
        paths: Files of the standard format pylock.toml.

    Returns:
        1 if a supported machine can't install one of the pins, else 0.
    """
    packages = [package for path in paths for package in tomllib.loads(Path(path).read_text())["packages"]]
    wheels = [wheel for package in packages for wheel in package.get("wheels", ())]
    digests = {wheel["url"].rpartition("/")[2]: wheel["hashes"]["sha256"] for wheel in wheels}
    pins = [pin for kind in WITH_WHEELS for pin in read_lock(f"{kind}.lock")]
    installed = {find_wheel(pin, digests, machine, python) for pin, machine, python in _installed(pins)} - {None}
    WHEELS.write_text("".join(f"{digest}  {file}\n" for file, digest in sorted(digests.items()) if file in installed))
    for sentence in (missing := find_missing(pins, digests)):
        sys.stderr.write(f"{sentence}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
