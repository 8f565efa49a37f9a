"""Pages for integrators: their commands run, one after the other, and print what the pages show."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients.app_client import AppClient
from tests.support.waiting import WAIT_S_MAX

DOCS = Path(__file__).parents[4] / "docs"
GUIDE = DOCS / "reference" / "api.md"
IMPORT = DOCS / "how-to" / "import-codes.md"
TUTORIAL = DOCS / "tutorial" / "integrate-a-shop.md"
VARIES = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
    (r"([0-9A-Z]{4}-){4,5}[0-9A-Z]{4}", "CODE"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", "TIME"),
    (r'"(position|next|newest)":\d+', r'"\1":0'),
    (r"request:[0-9a-f]+", "request:ID"),
    (r'"correction_token":"[\w-]{43}"', '"correction_token":"TOKEN"'),
]


def commands_and_outputs(page: Path) -> list[tuple[str, str]]:
    blocks = re.findall(r"```console\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    # Blocks of `ledger` commands are tested in tests/integration/cli/test_guides.py.
    text = "\n".join(block for block in blocks if "$ ledger " not in block)
    pairs: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            pairs.append((line[2:], ""))
        elif line:
            command, printed = pairs.pop()
            pairs.append((command, printed + line + "\n"))
    return pairs


def settled(text: str) -> str:
    """A text without what differs from run to run."""
    for pattern, word in VARIES:
        text = re.sub(pattern, word, text)
    return text.strip()


def is_as_shown(expected: str, printed: str) -> bool:
    """Whether an output is what the page shows; within v1 fields are added, and the page need not follow each."""
    if not expected.startswith(("{", "[")):
        return expected == printed
    return is_within(json.loads(expected), json.loads(printed))


def is_within(shown: Any, real: Any) -> bool:  # noqa: ANN401 - whatever JSON holds
    if isinstance(shown, dict):
        return isinstance(real, dict) and all(name in real and is_within(shown[name], real[name]) for name in shown)
    if isinstance(shown, list):
        same = isinstance(real, list) and len(shown) == len(real)
        return same and all(is_within(one, other) for one, other in zip(shown, real, strict=True))
    return bool(shown == real)


@pytest.mark.parametrize(("page", "commands_min"), [(GUIDE, 14), (IMPORT, 5), (TUTORIAL, 10)])
def test_every_example_prints_what_it_shows(
    shared_app: AppClient, served: str, tmp_path: Path, page: Path, commands_min: int
) -> None:
    shown = commands_and_outputs(page)
    key = shared_app.key("admin")["Authorization"].removeprefix("Bearer ")
    script = "\necho '====='\n".join(command for command, _ in shown)
    env = {**os.environ, "URL": served, "KEY": key, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["/bin/bash", "-e", "-c", script],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=WAIT_S_MAX,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert len(shown) >= commands_min
    printed = done.stdout.split("=====\n")
    assert len(printed) == len(shown)
    for (command, expected), text in zip(shown, printed, strict=True):
        assert is_as_shown(settled(expected), settled(text)), f"{command}\n{text}"
