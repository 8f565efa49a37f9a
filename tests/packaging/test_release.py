"""What a release consists of, and the wheel in empty environments: installed from a folder, used, upgraded."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from api.cli.embedded.tcp_ports import find_free_port
from api.web.public.documentation import FOLDER, list_files
from tests.packaging.build_release import (
    LOCK,
    ROOT,
    SHARED,
    TOOLS,
    build_distributions,
    build_release,
    export_commit,
    read_source,
)
from tests.packaging.provenance import STATEMENT, SUMS, find_differences
from tests.support.servers.embedded_stack import Stack

pytestmark = [pytest.mark.night(of="packages"), pytest.mark.timeout(600)]

INSTALL_S_MAX = 300
RELEASE_BEFORE = "c16fd04f"
"""The newest commit that others run; the tag of a release, once there is one."""


def run(*command: str | Path, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=INSTALL_S_MAX)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@cache
def revision() -> str:
    """A commit of what is tested: that of the working tree if it was changed."""
    return run("git", "stash", "create", cwd=ROOT).strip() or "HEAD"


def has_commit(name: str) -> bool:
    """Whether this clone holds a commit; a shallow one doesn't hold early ones."""
    check = ["git", "-C", str(ROOT), "cat-file", "-e", f"{name}^{{commit}}"]
    return subprocess.run(check, check=False, capture_output=True, timeout=INSTALL_S_MAX).returncode == 0


def list_pythons() -> list[str]:
    """Each Python of this machine that the wheel supports and that makes environments, by its path."""
    others = (shutil.which(f"python3.{minor}") for minor in (11, 12, 13, 14))
    by_version = {read_version(path): path for path in others if path is not None}
    by_version[read_version(sys.executable)] = sys.executable
    return [path for version, path in sorted(by_version.items()) if version]


@cache
def read_version(python: str) -> str:
    """Version of a Python; none if it can't make environments."""
    program = "import ensurepip, venv, sys; print(*sys.version_info[:2], sep='.')"
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=False, timeout=INSTALL_S_MAX)
    return done.stdout.strip() if done.returncode == 0 else ""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    build_release(folder, revision())
    return folder


@pytest.fixture(scope="module")
def index(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and with everything that the lock names, for each Python of this machine."""
    folder = tmp_path_factory.mktemp("index")
    for python in list_pythons():
        download(ROOT / LOCK, python, folder)
    shutil.copy(find_wheel(release), folder)
    return folder


def download(lock: Path, python: str, folder: Path) -> None:
    pip = (TOOLS / "python", "-m", "pip", "download", "--quiet", "--only-binary", ":all:", "--no-deps")
    run(*pip, "--dest", folder, "--python-version", read_version(python), "--require-hashes", "-r", lock, cwd=folder)


def find_wheel(folder: Path) -> Path:
    (wheel,) = folder.glob("redemption_ledger-*.whl")
    return wheel


def install_by_pip(programs: Path, index: Path, *words: str | Path) -> None:
    pip = (programs / "python", "-m", "pip", "install", "--quiet", "--no-index", "--find-links", index)
    run(*pip, *words, cwd=programs.parent)


@contextmanager
def running(program: Sequence[str | Path], folder: Path) -> Iterator[Stack]:
    """`ledger up` of an installed program until it is ready; nothing of it runs afterwards."""
    stack = Stack(folder, find_free_port(), {"PYTHONPATH": "", "LEDGER_RATE_LIMIT": "off"}, program)
    try:
        stack.wait_ready()
        yield stack
    finally:
        left = stack.stop()
    assert left == []


def redeem(stack: Stack, email: str, code: str) -> str:
    status, answer = stack.redeem(code, email)
    assert status == 202, answer
    reservation = str(answer["reservation_id"])
    stack.wait(lambda: stack.state(reservation) == "sent")
    assert any(email in str(mail["To"]) for mail in stack.mails())
    return reservation


def read_history(stack: Stack, code: str) -> list[str]:
    return [event["type"] for event in json.loads(stack.cli("history", code, "--json").stdout)["events"]]


def test_release_is_complete_and_its_digests_and_statement_are_right(release: Path) -> None:
    assert find_differences(release) == []
    run("sha256sum", "--check", "--strict", "--quiet", SUMS, cwd=release)
    assert {path.suffix for path in release.iterdir()} == {".whl", ".gz", ".txt", ".json", ""}
    build = json.loads((release / STATEMENT).read_text())["predicate"]["buildDefinition"]
    assert build["externalParameters"]["commit"] == run("git", "rev-parse", revision(), cwd=ROOT).strip()
    assert build["externalParameters"]["version"] == find_wheel(release).name.split("-")[1]
    assert "PostgreSQL" in (release / "THIRD-PARTY-LICENSES.txt").read_text()
    names = {line.partition("==")[0] for line in (release / "constraints.txt").read_text().splitlines()}
    assert {"psycopg", "confluent-kafka", "opentelemetry-sdk"} <= names
    assert any(part["name"] == "psycopg" for part in json.loads((release / "sbom.cdx.json").read_text())["components"])


def test_same_commit_gives_the_same_bytes(release: Path, tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        export_commit(revision(), tmp_path / "source")
        built = build_distributions(tmp_path / "source", tmp_path, read_source(revision()).seconds)
    finally:
        os.umask(umask)

    for path in built:
        assert path.read_bytes() == (release / path.name).read_bytes(), path.name


def test_wheel_holds_the_four_rooms_and_every_file_that_they_read(release: Path) -> None:
    """Statements, pages, catalogs, styles and the documentation are in it, and no test or program that builds it is."""
    with zipfile.ZipFile(find_wheel(release)) as wheel:
        names = {name.rpartition(SHARED)[2] for name in wheel.namelist() if ".dist-info/" not in name}
    tracked = run("git", "ls-files", "domain", "projections", "api", "workers", cwd=ROOT).splitlines()

    assert names == {name for name in tracked if (ROOT / name).exists()} | {f"docs/{name}" for name in list_files()}


@pytest.mark.parametrize("python", list_pythons(), ids=read_version)
def test_wheel_runs_a_first_redemption_in_an_empty_environment(
    release: Path, index: Path, tmp_path: Path, python: str
) -> None:
    programs, offline = tmp_path / "env" / "bin", ("--offline", "--no-index", "--find-links", index)
    run(TOOLS / "uv", "venv", "--offline", "--python", python, tmp_path / "env", cwd=tmp_path)
    pip = (TOOLS / "uv", "pip", "install", "--python", programs / "python", *offline)
    run(*pip, "--constraint", release / "constraints.txt", "redemption-ledger", cwd=tmp_path)
    with running([programs / "redemption-ledger"], tmp_path / "data") as stack:
        code = stack.issue()
        redeem(stack, "li.wei@example.com", code)

        assert read_history(stack, code) == ["CodeIssued", "UseReserved", "InviteAttempted", "InviteSent"]
        assert stack.cli("verify").returncode == 0
        assert stack.get("/docs/how-to/webhooks.md") == (200, (FOLDER / "how-to/webhooks.md").read_text("utf-8"))
        assert "/docs/how-to/webhooks.md): This page shows integrators" in stack.get("/llms.txt")[1]
    run(TOOLS / "uv", "pip", "check", "--python", programs / "python", cwd=tmp_path)


def test_one_line_of_uvx_starts_a_ledger(index: Path, tmp_path: Path) -> None:
    """`uvx redemption-ledger up`, with the servers, although no extra is named."""
    offline = ("--offline", "--no-index", "--find-links", index, "--cache-dir", tmp_path / "cache")
    line: list[str | Path] = [TOOLS / "uvx", "--quiet", *offline, "--python", sys.executable, "redemption-ledger"]
    with running(line, tmp_path / "data") as stack:
        redeem(stack, "li.wei@example.com", stack.issue())


if has_commit(RELEASE_BEFORE):

    def test_data_of_the_release_before_are_taken_over(index: Path, tmp_path: Path) -> None:
        """`pip install` over the wheel before and its packages; the same folder goes on, history and rules hold."""
        export_commit(RELEASE_BEFORE, tmp_path / "source")
        before, _ = build_distributions(tmp_path / "source", tmp_path, read_source(RELEASE_BEFORE).seconds)
        download(tmp_path / "source/requirements/runtime.lock", sys.executable, tmp_path)
        run(sys.executable, "-m", "venv", tmp_path / "env", cwd=tmp_path)
        programs = tmp_path / "env" / "bin"
        install_by_pip(programs, tmp_path, before)
        with running([programs / "ledger"], tmp_path / "data") as stack:
            code = stack.issue(2, is_open=True)
            redeem(stack, "li.wei@example.com", code)
            history = read_history(stack, code)
        install_by_pip(programs, index, "--force-reinstall", "--no-deps", find_wheel(index))
        install_by_pip(programs, index, "redemption-ledger")

        with running([programs / "ledger"], tmp_path / "data") as stack:
            assert read_history(stack, code) == history
            redeem(stack, "wang@example.com", code)
            assert stack.cli("verify").returncode == 0
