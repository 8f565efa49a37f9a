"""Licenses of everything that is installed: `python -m tests.architecture.licenses`, with --list for all of them.

A license that is not known to be harmless to users of this project ends `make check`, and so does none.
"""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from typing import Final

from packaging.utils import canonicalize_name

ALLOWED: Final = frozenset(
    {
        "MIT",
        "MIT-0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "0BSD",
        "Apache-2.0",
        "ISC",
        "PSF-2.0",
        "MPL-2.0",
        "Unlicense",
        "CC0-1.0",
    }
)
"""SPDX ids. MPL-2.0 binds changes of its own files only, and we change none."""

SAID: Final = {
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""SPDX ids by what classifiers and older metadata say; of BSD the stricter one."""

EXCEPTIONS: Final = {
    "psycopg": "LGPL-3.0-only: used as a library, unchanged, and anybody can put another version in its place",
    "psycopg-binary": "LGPL-3.0-only: as psycopg, whose compiled part it is",
    "psycopg-pool": "LGPL-3.0-only: as psycopg",
    "docutils": "public domain and BSD; GPL is an Emacs mode that no wheel holds. It builds the documentation only",
    "protobuf": "3-Clause BSD License, written out in words. Messages of the tracing protocol",
    "dramatiq": "LGPL-3.0-or-later: the identity provider of a test uses it, unchanged. Tests only",
    "axe-playwright-python": "names none in its metadata; its LICENSE file is MIT. Tests only",
}
"""Who is let in all the same, and why."""

NO_LICENSE: Final = {"OSI Approved", "DFSG approved"}


def declared_license(package: Distribution) -> str:
    """What a package says of its license, as an SPDX expression where it can be read as one; empty if nothing."""
    if expression := _said(package, "License-Expression"):
        return expression
    classifiers = [
        text.rpartition(" :: ")[2] for text in package.metadata.get_all("Classifier") or [] if "License ::" in text
    ]
    names = [name for name in classifiers if name not in NO_LICENSE]
    if not names and (text := _said(package, "License").partition("\n")[0]):
        names = [text]
    return " AND ".join(SAID.get(name, name) for name in names)


def _said(package: Distribution, name: str) -> str:
    return str((package.metadata.get_all(name) or [""])[0]).strip()


def is_allowed(expression: str) -> bool:
    """Whether an SPDX expression leaves a way to use the package; of OR one side is enough, of AND each is needed."""
    text = expression.strip()
    while (inner := re.search(r"\(([^()]*)\)", text)) is not None:
        text = text.replace(inner[0], "MIT" if is_allowed(inner[1]) else "refused")
    return any(all(name.strip() in ALLOWED for name in side.split(" AND ")) for side in text.split(" OR "))


def faults(packages: list[Distribution]) -> Iterator[str]:
    """One line for each package that may not be here, and for each exception that is not needed any more."""
    seen = set()
    for package in packages:
        name, expression = canonicalize_name(package.metadata["Name"]), declared_license(package)
        seen.add(name)
        if name in EXCEPTIONS:
            continue
        if not expression:
            yield f"{name} names no license: read its files, then enter it in {__name__}.EXCEPTIONS with what they say"
        elif not is_allowed(expression):
            yield f"{name} is {expression}: take another package, or enter it in {__name__}.EXCEPTIONS with the reason"
    yield from (f"{name} is an exception that nothing needs: take it out" for name in EXCEPTIONS.keys() - seen)


def main() -> int | str:
    """Check what this interpreter can import."""
    packages = sorted(distributions(), key=lambda package: str(package.metadata["Name"]).lower())
    if "--list" in sys.argv:
        for package in packages:
            name = canonicalize_name(package.metadata["Name"])
            sys.stdout.write(
                f"{name} {package.version}: {declared_license(package) or EXCEPTIONS.get(name, 'unknown')}\n"
            )
    return "\n".join(faults(packages)) or 0


if __name__ == "__main__":
    sys.exit(main())
