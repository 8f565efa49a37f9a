import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Metric

from tests.support.promql import ALERT_TESTS, alerts, dashboard_queries, metrics_in

ROOT = Path(__file__).parents[2]
OF_PROMETHEUS = {"up", "ALERTS"}


def unknown(query: str, families: dict[str, Metric]) -> set[str]:
    series = set(families) | OF_PROMETHEUS
    for name, metric in families.items():
        if metric.type == "histogram":
            series |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    return metrics_in(query) - series


def test_every_alert_asks_for_metrics_that_exist(families: dict[str, Metric]) -> None:
    """A renamed metric would leave an alert silent forever."""
    assert {
        rule["alert"]: unknown_metrics for rule in alerts() if (unknown_metrics := unknown(rule["expr"], families))
    } == {}


def test_every_query_of_the_dashboard_names_metrics_that_exist(families: dict[str, Metric]) -> None:
    queries = list(dashboard_queries())

    assert len(queries) > 30
    assert {query: unknown_metrics for query in queries if (unknown_metrics := unknown(query, families))} == {}


def test_every_metric_is_looked_at_by_an_alert_or_a_panel(families: dict[str, Metric]) -> None:
    """Metrics without a panel or alert need not exist; the few exceptions help in a search."""
    seen = {
        name for query in [*dashboard_queries(), *(rule["expr"] for rule in alerts())] for name in metrics_in(query)
    }
    bare = {re.sub(r"_(bucket|sum|count)$", "", name) for name in seen}

    assert set(families) - bare == {"ledger_merkle_size"}


def test_metric_that_does_not_exist_is_found(families: dict[str, Metric]) -> None:
    query = 'sum by (instance) (rate(ledger_nothing_total{part="errors_total"}[5m])) / sum(up)'

    assert unknown(query, families) == {"ledger_nothing_total"}


def anchors(path: Path) -> set[str]:
    """Anchors of a page's headings, as Sphinx and GitHub make them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_every_alert_leads_to_its_section_of_the_runbook(rule: dict[str, dict[str, str]]) -> None:
    """At three in the morning no operator searches for a runbook section."""
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")

    assert page == "docs/how-to/runbook.md"
    assert anchor in anchors(ROOT / page)
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url", "first_command"}


def stated_fractions(summary: str) -> set[float]:
    """The percentages of a summary as fractions, and 1 less each, since a quantile is named by either side."""
    fractions = {int(number) / 100 for number in re.findall(r"(\d+) ?%", summary)}
    return fractions | {round(1 - fraction, 2) for fraction in fractions}


@pytest.mark.parametrize(
    "rule", [rule for rule in alerts() if "%" in rule["annotations"]["summary"]], ids=lambda rule: rule["alert"]
)
def test_percentage_of_an_alert_is_the_one_that_it_compares(rule: dict[str, Any]) -> None:
    """An operator acts on the text, so the text names the limit of the expression."""
    compared = re.findall(r"[<>]=? (0\.\d+)$|histogram_quantile\((0\.\d+),", rule["expr"].strip(), re.MULTILINE)

    assert {float(number) for pair in compared for number in pair if number} & stated_fractions(
        rule["annotations"]["summary"]
    )


def test_every_alert_is_seen_to_fire() -> None:
    """Each one is expected to fire in some case of alerts.test.yml, which promtool runs."""
    cases = yaml.safe_load(ALERT_TESTS.read_text("utf-8"))["tests"]
    fired = {
        name
        for case in cases
        for check in case["promql_expr_test"]
        if check["exp_samples"]
        for text in (check["expr"], *(sample["labels"] for sample in check["exp_samples"]))
        for name in re.findall(r'alertname="(\w+)"', text)
    }

    assert fired == {rule["alert"] for rule in alerts()}
