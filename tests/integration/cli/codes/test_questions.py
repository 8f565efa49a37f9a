"""`ledger history` and `ledger what-if`: what reading loads, and the answers of the route, also in words."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

from domain.values.limits.thresholds import Thresholds
from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench

NOT_NEEDED = (
    "api.rate_limits", "api.use_cases.services", "babel", "celery", "domain.command_bus", "eventsourcing",
    "fastapi", "jinja2", "prometheus_client", "psutil", "psycopg_pool", "pydantic_settings", "redis", "rich.progress",
    "uvicorn", "yoyo",
)  # fmt: skip
PROGRAM = """
import sys
from api.cli.entry import main
needed, sys.argv[1:] = sys.argv[1].split(','), sys.argv[2:]
try:
    main()
except SystemExit as ended:
    sys.stderr.write(f"{ended.code} {sorted(set(needed) & set(sys.modules))}")
"""


def test_history_loads_no_plugin_and_no_module_that_only_writing_needs(
    bench: LedgerBench,
    terminal: Terminal,  # noqa: ARG001 - it sets the environment
    tmp_path: Path,
) -> None:
    """If this fails, `python -X importtime -m api.cli.codes.history` lists what imports the module.

    The plugin of pydantic that is installed here would end the command.
    """
    metadata = tmp_path / "plugin-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[pydantic]\nplugin = plugin_of_pydantic:PLUGIN\n")
    (tmp_path / "plugin_of_pydantic.py").write_text("import sys\nsys.exit('a plugin was loaded')\n")
    command = [sys.executable, "-c", PROGRAM, ",".join(NOT_NEEDED), "history", bench.issue()]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path))}
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=env)

    assert ended.stderr == "0 []"
    assert "CodeIssued" in ended.stdout


def test_what_if_names_the_events_of_the_campaign_that_refused(bench: LedgerBench, terminal: Terminal) -> None:
    campaign_id = bench.create_campaign()
    terminal.ledger("campaign", "pause", str(campaign_id))
    code = str(bench.issue(campaign_id=campaign_id))

    shown = terminal.ledger("what-if", code, "--email", "li.wei@example.com")

    assert shown.out.startswith("CAMPAIGN_PAUSED: ")
    assert "because of #1, campaign Autumn #2" in shown.out


def test_what_if_answers_about_an_address_and_about_an_action(bench: LedgerBench, terminal: Terminal) -> None:
    code = str(bench.issue())

    answer = terminal.ledger("what-if", code, "--email", "li.wei@example.com", "--json").json
    early = terminal.ledger("what-if", code, "--email", "li.wei@example.com", "--as-of", "2020-01-01", "--json").json
    action = terminal.ledger("what-if", code, "--reservation", str(uuid4()), "--action", "refund", "--json").json
    shown = terminal.ledger("what-if", code, "--email", "li.wei@example.com")

    assert (answer["would"], answer["version"], answer["because"]) == ("accepted", 1, [1])
    assert (early["would"], early["version"], early["because"]) == ("CODE_INVALID", 0, [])
    assert (action["would"], action["because"]) == ("NOT_FOUND", [])
    assert shown.out.splitlines()[0].startswith("accepted: ")
    assert "because of #1" in shown.out
    for wrong in ((), ("--action", "refund"), ("--email", "x@example.com", "--reservation", str(uuid4()))):
        assert terminal.ledger("what-if", code, *wrong).status == 2, wrong


def test_what_if_and_the_preview_of_a_limit_name_thresholds(bench: LedgerBench, terminal: Terminal) -> None:
    """A request would use up the code; so would a limit that is set to the uses it has."""
    code = str(bench.issue(2, bound=False, notify_at=Thresholds("100%")))
    bench.redeem(code, "li.wei@example.com")

    asked = terminal.ledger("what-if", code, "--email", "mei@example.com")
    limit = terminal.ledger("terms", code, "--max-uses", "1", "--preview")

    assert "crosses 100% of the code" in asked.out.splitlines()
    assert limit.out.splitlines()[1:] == [
        "  crosses 100%",
        "from_now: limit 2, counted 1, available 1, over the limit 0",
    ]
