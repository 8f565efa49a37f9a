"""`ledger history` loads what reading takes: it is the command that support runs all day."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench

NOT_NEEDED = (
    "api.rate_limits", "api.use_cases.services", "babel", "celery", "domain.command_bus", "eventsourcing",
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


def test_history_searches_no_installed_package_for_plugins_of_pydantic(
    bench: LedgerBench,
    terminal: Terminal,  # noqa: ARG001 - it sets the environment
    tmp_path: Path,
) -> None:
    """The one that is installed here would end the command."""
    metadata = tmp_path / "plugin-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[pydantic]\nplugin = plugin_of_pydantic:PLUGIN\n")
    (tmp_path / "plugin_of_pydantic.py").write_text("import sys\nsys.exit('a plugin was loaded')\n")
    command = [sys.executable, "-c", "from api.cli.entry import main; main()", "history", str(bench.issue())]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path))}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=env)

    assert (ended.returncode, ended.stderr) == (0, "")
