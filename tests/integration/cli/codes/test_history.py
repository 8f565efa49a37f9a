"""`ledger history` loads what reading takes: it is the command that support runs all day."""

import subprocess
import sys

from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench

NOT_NEEDED = (
    "api.rate_limits", "api.use_cases.services", "babel", "celery", "domain.command_bus", "eventsourcing.application",
    "fastapi", "jinja2", "prometheus_client", "psutil", "psycopg_pool", "pydantic_settings", "redis", "rich.progress",
    "uvicorn", "yoyo",
)  # fmt: skip
PROGRAM = """
import sys
from api.cli.app import run
status = run(sys.argv[2:])
sys.stderr.write(f"{status} {sorted(set(sys.argv[1].split(',')) & set(sys.modules))}")
"""


def test_history_loads_no_module_that_only_writing_needs(
    bench: LedgerBench,
    terminal: Terminal,  # noqa: ARG001 - it sets the environment
) -> None:
    """If this fails, `python -X importtime -m api.cli.codes.history` lists what imports the module."""
    code = bench.issue()
    command = [sys.executable, "-c", PROGRAM, ",".join(NOT_NEEDED), "history", str(code)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)

    assert ended.stderr == "0 []"
    assert "CodeIssued" in ended.stdout
