"""Build the image of a commit for each Linux machine that the locks support: `python -m tests.packaging.build_image`.

`make image` runs this. Arguments that it does not have go to `docker buildx build`, after its own.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.architecture.locks import MACHINES
from tests.packaging.build_release import archive_commit, read_source
from tests.packaging.provenance import Source

BUILD_S_MAX: Final = 3600
"""Emulation of the other processor takes most of it."""
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
"""Processors, as images name them."""
PLATFORMS: Final = ",".join(f"linux/{ARCHITECTURES[kind.processor]}" for kind in MACHINES if kind.system == "linux")


def list_words(source: Source, base: str, platforms: str) -> list[str]:
    """Return the words of the command that builds from an archive on its input.

    Args:
        source: The commit, for the labels and the time of the image.
        base: Image that this one is built on, with its digest; none for that of the Dockerfile.
        platforms: What the image is built for, separated by commas.
    """
    labels = {"version": source.version, "revision": source.commit}
    arguments = {"SOURCE_DATE_EPOCH": source.seconds, **({"BASE": base} if base else {})}
    return [
        *("docker", "buildx", "build", "--platform", platforms, "--provenance", "mode=max", "--sbom", "true"),
        *(word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")),
        *(word for name, value in labels.items() for word in ("--label", f"org.opencontainers.image.{name}={value}")),
        *("--output", f"type=oci,dest=build/redemption-ledger-{source.version}.oci.tar"),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Build from the command line; return the exit code of `docker`."""
    parser = argparse.ArgumentParser(description="Build the image of a commit; other arguments go to docker.")
    parser.add_argument("--revision", default="HEAD")
    parser.add_argument("--base", default="", help="image to build on, with its digest: NAME@sha256:...")
    parser.add_argument("--platforms", default=PLATFORMS, help="all that the locks support, if not given: %(default)s")
    chosen, others = parser.parse_known_args(arguments)
    if shutil.which("docker") is None:
        parser.error("docker is not installed: install Docker with the plugin buildx")
    Path("build").mkdir(exist_ok=True)
    command = [*list_words(read_source(chosen.revision), chosen.base, chosen.platforms), *others, "-"]
    packed = archive_commit(chosen.revision)
    return subprocess.run(command, input=packed, check=False, timeout=BUILD_S_MAX).returncode


if __name__ == "__main__":
    sys.exit(main())
