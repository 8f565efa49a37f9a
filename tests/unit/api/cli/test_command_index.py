import subprocess
import sys

import pytest

from api.cli.command_index import FAMILIES, load_family, read_index

HEAVY = (
    *("asyncio", "babel", "celery", "cryptography", "fastapi", "jinja2"),
    *("msgspec", "psycopg", "pydantic", "redis", "rich"),
)
"""Each takes between 15 and 200 ms of CPU to import."""
PROGRAM = """
import sys
from api.cli.app import run
status = run(sys.argv[2:])
sys.stderr.write(f"{status} {sorted(set(sys.argv[1].split(',')) & set(sys.modules))}")
"""


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", *arguments], capture_output=True, text=True, check=True)


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ()])
def test_command_line_without_a_command_loads_no_heavy_module(arguments: tuple[str, ...]) -> None:
    """If this fails, import the module where a command needs it; `python -X importtime -m api.cli.app` lists them."""
    ended = run_python(PROGRAM, ",".join(HEAVY), *arguments)

    assert ended.stderr in {"0 []", "2 []"}
    assert ended.stdout


def test_help_of_a_command_loads_its_family_only() -> None:
    others = sorted({*FAMILIES} - {"api.cli.maintenance.receipts"})

    assert run_python(PROGRAM, ",".join(others), "receipt", "--help").stderr == "0 []"


def test_every_family_is_in_the_index() -> None:
    """If this fails, run `make docs`."""
    loaded = {name: module for module in FAMILIES for name in load_family(module)}

    assert {command.name: command.module for command in read_index().values()} == loaded


def test_up_loads_no_heavy_module_before_it_starts_the_components() -> None:
    """They load theirs from then on, and each second that they begin later is one that the start takes longer."""
    loaded = "import api.cli.app, api.cli.server.up_and_migrate, api.cli.embedded.up, sys; print(*sys.modules)"

    assert {*run_python(loaded).stdout.split()} & {*HEAVY} == {"msgspec"}
