"""The image for several architectures, as far as a machine of one can check it."""

import io
import os
import re
import shlex
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.architecture.locks import PYTHONS
from tests.packaging.build_image import ARCHITECTURES, PLATFORMS, main
from tests.packaging.build_release import ROOT, read_source
from tests.support.waiting import WAIT_S_MAX

DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
DOCKER = """#!/bin/sh
# Stands for docker: records its arguments and its input.
for word in "$@"; do echo "$word" >>words; done
cat >context.tar
exit 7
"""
BASE = f"python:3.13-slim@sha256:{'0' * 64}"


def test_image_is_built_for_each_linux_machine_of_the_locks() -> None:
    """What the locks have wheels for; `test_locks.py` checks those that the Dockerfile installs."""
    assert PLATFORMS == "linux/amd64,linux/arm64"


def test_image_has_a_python_that_the_locks_have_wheels_for() -> None:
    """And the C library of their wheels, which an image of Alpine does not have."""
    (base,) = re.findall(r"^ARG BASE=(.+)$", DOCKERFILE, re.MULTILINE)
    python = re.fullmatch(r"python:(3\.\d+)-slim", base)

    assert python is not None
    assert python[1] in PYTHONS


def test_dockerfile_is_bound_to_no_architecture() -> None:
    """No stage is that of one processor, and every stage begins with the argument or with an earlier stage."""
    processors = {name for pair in ARCHITECTURES.items() for name in pair} | {"uname", "--platform"}
    stages = re.findall(r"^FROM (\S+)(?: AS (\w+))?$", DOCKERFILE, re.MULTILINE)
    names = [name for _, name in stages]

    assert {word for word in processors if word in DOCKERFILE} == set()
    assert len(stages) == len(re.findall(r"^FROM", DOCKERFILE, re.MULTILINE))
    assert [base for at, (base, _) in enumerate(stages) if base != "$BASE" and base not in names[:at]] == []


@pytest.mark.parametrize(("target", "status"), [("amd64", 0), ("", 0), ("arm64", 1)])
def test_base_of_another_architecture_ends_the_build(tmp_path: Path, target: str, status: int) -> None:
    """Its name is in the error. An old builder, which names no target, builds for its own machine."""
    (tmp_path / "dpkg").write_text("#!/bin/sh\necho amd64\n")
    (tmp_path / "dpkg").chmod(0o755)
    (check,) = re.findall(r"^RUN (base=.+\\\n.+)$", DOCKERFILE, re.MULTILINE)
    env = {"PATH": f"{tmp_path}:{os.defpath}", "TARGETARCH": target}
    done = subprocess.run(
        ["/bin/sh", "-c", check], env=env, check=False, timeout=WAIT_S_MAX, capture_output=True, text=True
    )

    assert done.returncode == status
    assert done.stderr.startswith("BASE is an image of amd64 alone, not of arm64") == bool(status)


def test_build_has_labels_of_the_commit_and_its_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.chdir(tmp_path)

    assert main(["--base", BASE, "--sbom=false"]) == 7

    words, source = (tmp_path / "words").read_text().splitlines(), read_source("HEAD")
    assert shlex.join(words) == (
        "buildx build --platform linux/amd64,linux/arm64 --provenance mode=max --sbom true"
        f" --build-arg SOURCE_DATE_EPOCH={source.seconds} --build-arg BASE={BASE}"
        f" --label org.opencontainers.image.version={source.version}"
        f" --label org.opencontainers.image.revision={source.commit}"
        f" --output type=oci,dest=build/redemption-ledger-{source.version}.oci.tar --sbom=false -"
    )
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "context.tar").read_bytes())) as context:
        assert {"Dockerfile", "pyproject.toml", "requirements/runtime.lock"} <= set(context.getnames())


def test_missing_docker_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(SystemExit, match="2"):
        main([])

    assert "docker is not installed: install Docker with the plugin buildx" in capsys.readouterr().err
