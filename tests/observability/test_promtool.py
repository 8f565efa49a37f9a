"""Prometheus' own tool reads the rules, plays the alerts' cases, and parses every query of the dashboard.

It is Debian's package prometheus, which `.ci/run` installs; where CI is set, these run or the run fails.
"""

import shutil
import subprocess
from pathlib import Path

import yaml

from tests.support.promql import ALERT_TESTS, ALERTS, DEPLOY, dashboard_queries
from tests.support.waiting import WAIT_S_MAX


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    path = shutil.which("promtool")
    assert path is not None, "install Debian's package prometheus"
    return subprocess.run([path, *arguments], capture_output=True, text=True, timeout=WAIT_S_MAX, check=False)


def test_rules_and_scrape_configuration_are_valid() -> None:
    for arguments in (("check", "rules", ALERTS), ("check", "config", DEPLOY / "prometheus" / "prometheus.yml")):
        done = promtool(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_when_they_should_and_only_then() -> None:
    done = promtool("test", "rules", ALERT_TESTS)

    assert done.returncode == 0, done.stdout + done.stderr


def test_case_that_expects_something_else_fails(tmp_path: Path) -> None:
    """The cases are able to fail: on a good day an alert is expected."""
    document = yaml.safe_load(ALERT_TESTS.read_text("utf-8"))
    document["rule_files"] = [str(ALERTS)]
    document["tests"] = document["tests"][:1]
    document["tests"][0]["promql_expr_test"][0]["exp_samples"] = [{"labels": '{alertname="LedgerDrift"}', "value": 1}]
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(yaml.safe_dump(document))

    assert promtool("test", "rules", wrong).returncode != 0


def test_every_query_of_the_dashboard_parses(tmp_path: Path) -> None:
    """Each is read as the expression of a recording rule; a broken one is refused."""
    for broken, queries in ((False, list(dashboard_queries())), (True, ["sum(rate(up[5m])"])):
        rules = [{"record": f"panel:query_{number}", "expr": query} for number, query in enumerate(queries)]
        file = tmp_path / f"{broken}.yml"
        file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
        done = promtool("check", "rules", file)
        assert (done.returncode != 0) is broken, done.stdout + done.stderr
