"""The README tells the truth: its commands run, with the output it shows, and its table names every dependency."""

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.cli.command_index import read_index
from api.cli.embedded.tcp_ports import find_free_port
from tests.support.servers.embedded_stack import Stack
from tests.support.waiting import WAIT_S_MAX

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEPENDENCIES = (ROOT / "docs" / "reference" / "dependencies.md").read_text(encoding="utf-8")
PORT = find_free_port()
VARIES = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
    (r"([0-9A-Z]{4}-){4}[0-9A-Z]{4}", "CODE"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "TIME"),
    (r"127\.0\.0\.1:\d+", "SERVER"),
    (r"[ ]+$", ""),
]


def console_blocks() -> list[tuple[str, str]]:
    """(commands, expected output) of every console block, commands with their prompt taken off."""
    blocks = []
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        commands = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
        output = [line for line in block.splitlines() if not line.startswith("$ ")]
        blocks.append(("\n".join(commands), "\n".join(output)))
    return blocks


def settled(text: str) -> str:
    for pattern, word in VARIES:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return text.strip()


@pytest.fixture(scope="module")
def stack(servers_folder: Path) -> Iterator[Stack]:
    running = Stack(servers_folder / "readme", PORT)
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


def test_tour_prints_the_output_that_it_shows(stack: Stack) -> None:
    blocks = console_blocks()
    script = "\necho '=====' \n".join(commands for commands, _ in blocks)
    # Readers wait for two seconds; a verdict waits for the email.
    script = script.replace("sleep 2\n", 'until ledger history "$CODE" | grep -q InviteSent; do :; done\n')
    env = {**stack.env, "COLUMNS": "140", "LANG": "C.UTF-8", "LEDGER": f"127.0.0.1:{PORT}"}
    done = subprocess.run(
        ["/bin/bash", "-e", "-c", script],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=WAIT_S_MAX,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert len(blocks) == 3
    for (_, expected), printed in zip(blocks, done.stdout.split("=====\n"), strict=True):
        assert settled(printed) == settled(expected)


def test_two_commands_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert re.findall(r"^make (\w+)", README, re.MULTILINE) == ["run", "test"]
    for target in ("run", "test"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_every_dependency_has_its_reason() -> None:
    """The tables and the lists of requirements name the same packages, those of the clients too."""
    names = ("build.in", "runtime.in", "servers.in", "tracing.in", "kafka.in")
    lists = [ROOT / "requirements" / name for name in names]
    client = tomllib.loads((ROOT / "clients" / "python" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    npm = json.loads((ROOT / "clients" / "typescript" / "package.json").read_text(encoding="utf-8"))["dependencies"]
    listed = "\n".join([*(path.read_text(encoding="utf-8") for path in lists), *client["dependencies"], *npm])
    required = {re.split(r"[~=<>\[]", line)[0].strip() for line in listed.splitlines() if line and line[0] != "#"}
    explained = set(re.findall(r"^\| ([a-z0-9-]+) \| ", DEPENDENCIES, re.MULTILINE))

    assert explained - {"package"} == required


def test_every_command_that_is_named_exists() -> None:
    commands = set(read_index())
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    assert set(re.findall(r"`ledger ([a-z-]+)", README)) <= commands
    assert set(re.findall(r"`make ([a-z]+)`", README)) <= targets


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_links_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()
