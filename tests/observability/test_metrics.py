import ast
import os
import re
import subprocess
import sys
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from prometheus_client import Metric

from projections.telemetry import metrics
from tests.architecture.sources import find, parse
from tests.architecture.vocabulary import prose_in
from tests.support.metric_samples import scraped
from tests.support.servers.embedded_stack import PROGRAM

ROOT = Path(__file__).parents[2]
WRITES = {"inc", "observe", "set", "time", "labels", "set_to_current_time"}
FIRST_SCRAPE = """
import subprocess, sys
from projections.telemetry.exposition import Exposition
declare = "from projections.telemetry.metrics import declare_zeroes; declare_zeroes()"
subprocess.run([sys.executable, "-c", declare], check=True)
sys.stdout.buffer.write(Exposition([])())
"""


def documented() -> dict[str, tuple[str, str]]:
    text = (ROOT / "docs" / "reference" / "metrics.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", text, re.MULTILINE)
    return {name: (kind, labels) for name, kind, labels in rows}


def test_every_metric_is_documented_and_every_documented_one_exists(families: dict[str, Metric]) -> None:
    documented_metrics = documented()

    assert set(families) == set(documented_metrics)
    for name, metric in families.items():
        kind, labels = documented_metrics[name]
        names = {label for sample in metric.samples for label in sample.labels} - {"le"}
        assert (kind, set(re.findall(r"`(\w+)`", labels))) == (metric.type, names), name


LISTED_ELSEWHERE = {"code", "type", "table"}
"""Labels whose values are problem codes, types of events, and names of tables."""


def documented_values(name: str, label: str) -> set[str]:
    """Values of a label in its row, or in the next row above that lists some."""
    rows = documented()
    above = [labels for _, labels in list(rows.values())[list(rows).index(name) :: -1]]
    listed = (re.search(rf"`{label}`: ([^;|]+)", labels) for labels in above)
    return next((set(re.split(", *", values[1].strip())) for values in listed if values), set())


def test_every_value_of_a_label_is_documented(families: dict[str, Metric]) -> None:
    """Alerts and dashboards select by them, so a value that is renamed or dropped shows in this page."""
    real: dict[tuple[str, str], set[str]] = {}
    for name, metric in families.items():
        for sample in metric.samples:
            for label in sample.labels.keys() - LISTED_ELSEWHERE - {"le"}:
                real.setdefault((name, label), set()).add(sample.labels[label])

    assert len(real) > 25
    assert {key: documented_values(*key) for key in real} == real


HELP = re.compile(r"[A-Z1][^\n]*\.")
WITHOUT_SUBJECT = re.compile(r"\b(them|they|it|that disk|this list|who|whoever)\b", re.IGNORECASE)


def help_errors(text: str) -> list[str]:
    errors = [] if HELP.fullmatch(text) else ["write one sentence with a capital letter and a period"]
    if vague := WITHOUT_SUBJECT.search(text):
        errors.append(f"{vague[0]!r} has no subject here")
    return errors + [f"write another word for {word!r}" for word in prose_in([text])]


def test_help_of_every_metric_stands_alone(families: dict[str, Metric]) -> None:
    """It is read alone, in a tooltip."""
    texts = {name: metric.documentation for name, metric in families.items()}

    assert {name: errors for name, text in texts.items() if (errors := help_errors(text))} == {}


@pytest.mark.parametrize("text", ["age of the pool.", "Age of the oldest of them.", "Mails sent.", "Emails sent"])
def test_help_of_a_metric_that_breaks_a_rule_is_found(text: str) -> None:
    assert len(help_errors(text)) == 1


def never_written(declaring: str, others: list[str]) -> set[str]:
    declared = {
        target.id
        for node in parse(declaring).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        for target in node.targets
        if isinstance(target, ast.Name)
        if ast.unparse(node.value.func) in {"_counter", "_histogram", "Counter", "Gauge", "Histogram"}
    }
    nodes = [node for source in others for node in ast.walk(parse(source))]
    written = {
        node.value.id
        for node in nodes
        if isinstance(node, ast.Attribute) and node.attr in WRITES and isinstance(node.value, ast.Name)
    }
    summed = {
        ast.unparse(node.args[0])
        for node in nodes
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "LoopCounter"
    }
    return declared - written - summed


@cache
def product_sources() -> list[str]:
    folders = ("domain", "projections", "api", "workers")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return [path.read_text("utf-8") for path in paths if path.name != "metrics.py"]


def test_no_metric_is_declared_and_never_written() -> None:
    """13 of the old system's 19 were."""
    declaring = (ROOT / "projections" / "telemetry" / "metrics.py").read_text("utf-8")

    assert never_written(declaring, product_sources()) == set()


def test_metric_that_is_never_written_would_be_found() -> None:
    declaring = "USED = _counter('a', 'b')\nSUMMED = _counter('c', 'd')\nDEAD = _counter('e', 'f')\n"
    others = ["from m import DEAD, SUMMED, USED\nUSED.labels('x').inc()\ncounter = LoopCounter(SUMMED)"]

    assert never_written(declaring, others) == {"DEAD"}


@pytest.mark.parametrize(
    "values", [metrics.ERROR_TYPES, metrics.REDEEM_STATUSES, metrics.PRUNED_KINDS, ("ok", "failed")]
)
def test_every_value_of_a_label_is_used(values: tuple[str, ...]) -> None:
    everything = "".join(product_sources())

    assert [value for value in values if f'"{value}"' not in everything] == []


def test_names_of_the_incident_with_their_labels(families: dict[str, Metric]) -> None:
    """Alerts and dashboards of the old team continue."""
    samples = {(sample.name, *sample.labels.items()) for metric in families.values() for sample in metric.samples}

    assert ("errors_total", ("error_type", "celery_error")) in samples
    assert ("redeem_requests_total", ("status", "accepted")) in samples
    assert ("expired_user_cleanup_total", ("status", "removed"), ("reason", "expired")) in samples


def test_every_series_is_there_from_the_first_scrape_of_several_processes(tmp_path: Path) -> None:
    """One process declares, another shows: each combination of label values has its zero."""
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", FIRST_SCRAPE], env=env, capture_output=True, check=True)
    shown = scraped(done.stdout)

    for metric, domains in metrics.DOMAINS.items():
        (family,) = metric.describe()
        suffix = {"counter": "_total", "histogram": "_count", "gauge": ""}[family.type]
        if suffix:  # a process's own gauges are there once it has set them
            for values in product(*(sorted(domain) for domain in domains.values())):
                labels = ",".join(f'{name}="{value}"' for name, value in sorted(zip(domains, values, strict=True)))
                assert f"{family.name}{suffix}{f'{{{labels}}}' if labels else ''}" in shown


def undeclared_values(source: str) -> set[str]:
    calls = find(parse(source), ast.Call)
    written = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "labels"]
    return {
        str(argument.value)
        for call in written
        if (metric := getattr(metrics, ast.unparse(call.func).removesuffix(".labels"), None)) in metrics.DOMAINS
        for argument, domain in zip(call.args, metrics.DOMAINS[metric].values(), strict=True)
        if isinstance(argument, ast.Constant) and argument.value not in domain
    }


def test_every_value_that_is_written_out_is_in_its_domain() -> None:
    """Others would appear in a scrape only once they were counted, documented nowhere."""
    assert set.union(*map(undeclared_values, product_sources())) == set()


def test_value_that_no_domain_lists_would_be_found() -> None:
    source = "PRUNED.labels('failed', 'a new kind').inc()\nPRUNED.labels('success', kind).inc()"

    assert undeclared_values(source) == {"a new kind"}


def test_no_label_goes_beyond_its_domain() -> None:
    assert metrics.label_or_other("sweep_due_reservations", metrics.TASKS) == "sweep_due_reservations"
    assert metrics.label_or_other("a task of the future", metrics.TASKS) == "other"


def test_command_runs_where_the_folder_is_not_made_yet(tmp_path: Path) -> None:
    """As in a new container, whose first process is `ledger run`."""
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "new" / "metrics")}

    ran = subprocess.run([*PROGRAM, "--help"], env=env, capture_output=True, check=False)

    assert (ran.returncode, ran.stderr) == (0, b"")
