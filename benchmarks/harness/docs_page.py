"""The page with the numbers and its chart: docs/explanation/benchmarks.md, .svg and .json."""

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path

from benchmarks.harness.report import TARGETS, Numbers, classify, format_number

Facts = Mapping[str, str | int | float]
BARS = {
    "bare_asgi_rps": "bare ASGI application, no framework",
    "empty_rps": "empty FastAPI endpoint, same models",
    "hot_update_tps": "bare UPDATE of one row (pgbench)",
    "hot_rps": "the ledger: one hot code",
    "hot2_rps": "the same, 2 API processes",
    "batch_rps": "one hot code, batches of 1,000",
    "spread_rps": "10,000 codes",
    "codes_rps": "1,000 codes",
    "campaign_rps": "1,000 codes of one campaign",
    "limited_campaign_rps": "the same, with a limit for each day",
    "refusals_rps": "a code that is used up",
    "hot_draining_rps": "one hot code, workers sending",
    "sustained_rps": "held for 60 s, backlog flat",
    "drain_rps": "invitations sent from a backlog",
    "counter_cte_rps": "counter: one statement",
    "counter_publish_rps": "counter: row lock, commit, publish",
    "counter_old_rps": "counter like the old system's",
    "stock_library_rps": "the library as it comes, 16 threads",
}
OURS = frozenset(
    {
        *("hot_rps", "hot2_rps", "batch_rps", "spread_rps", "codes_rps", "campaign_rps", "limited_campaign_rps"),
        *("refusals_rps", "hot_draining_rps", "sustained_rps", "drain_rps"),
    }
)
HEADLINES = {
    "hot_rps": "redeem requests per second for one code, one API process",
    "hot_over_empty": "the same, over the rate of an empty endpoint",
    "hot_over_counter_old": "the same, over a counter with row locks",
    "hot2_over_hot1": "two API processes, over one",
    "batch_over_hot": "requests of 1,000 items, over single ones",
    "sustained_rps": "redeem requests per second with workers sending, held with a flat backlog",
    "drain_over_noop": "emails of a backlog, over Celery tasks that do nothing",
    "click_to_mail_p50_ms": "milliseconds from the request to the accepted email, median",
    "click_to_mail_p99_ms": "the same, 99th percentile",
    "rebuild_rps": "events per second of a rebuild",
    "redeems_during_rebuild": "redeem requests during a rebuild, over those without",
    "big_over_small": "time of a redeem request for a code with a long history, over a short one",
    "cold_load_ms": "milliseconds of the first redeem request of a new process, long history",
    "bytes_per_redemption": "bytes in the database per redemption",
    "api_rss_mb": "MB of memory of an API process",
    "worker_rss_mb": "MB of memory of a worker process",
}
CORES = (2, 4, 8, 16, 32)
REQUIRED_FOR_CAPACITY = {
    *("redeem_cpu_us", "life_cpu_us", "api_cpu_us_per_redeem", "pg_cpu_us_per_redeem"),
    *("life_worker_cpu_us", "life_postgres_cpu_us"),
}
ROW, LEFT, WIDTH, RIGHT, TOP = 28, 270, 420, 80, 16
WORDS = {"aim": "aim reached", "floor": "acceptable", "below": "missed", "": ""}


def write_page(folder: Path, numbers: Numbers, facts: Facts, notes: list[str]) -> None:
    """Write the three files into a folder that exists."""
    document = {"facts": dict(facts), "notes": notes, **numbers}
    (folder / "benchmarks.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    (folder / "benchmarks.svg").write_text(render_chart(numbers))
    (folder / "benchmarks.md").write_text(render_page(numbers, facts, notes))


def render_chart(numbers: Numbers) -> str:
    """Return an SVG with a bar per rate, the ledger's own in another color, each with its number."""
    bars = {key: numbers[key] for key in BARS if key in numbers}
    longest = max(bars.values(), default=1.0)
    height = TOP * 2 + ROW * len(bars)
    box = f'viewBox="0 0 {LEFT + WIDTH + RIGHT} {height}"'
    title = ", ".join(f"{BARS[key]} {format_number(value)}" for key, value in bars.items())
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img" font-family="system-ui, sans-serif" font-size="13">',
        f"<title>Per second: {escape(title)}</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for number, (key, value) in enumerate(bars.items()):
        y, width = TOP + number * ROW, max(1.0, value / longest * WIDTH)
        color = "#1f5fbf" if key in OURS else "#9aa5b1"
        lines += [
            f'<text x="{LEFT - 10}" y="{y + 18}" text-anchor="end" fill="#1f2933">{escape(BARS[key])}</text>',
            f'<rect x="{LEFT}" y="{y + 4}" width="{width:.1f}" height="{ROW - 8}" rx="2" fill="{color}"/>',
            f'<text x="{LEFT + width + 6:.1f}" y="{y + 18}" fill="#1f2933">{format_number(value)}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


def render_page(numbers: Numbers, facts: Facts, notes: list[str]) -> str:
    """Return the page as Markdown."""
    environment = (
        f"{facts['cpu']}, {facts['cpus']} CPUs, {facts['memory_gb']} GB, {facts['system']}, Python {facts['python']}, "
        f"PostgreSQL {facts['postgresql']}; load before the run {facts['load_before']}"
    )
    rows = "\n".join(_render_row(key, meaning, numbers[key]) for key, meaning in HEADLINES.items() if key in numbers)
    return f"""# Benchmarks

Written by `make bench` on {facts["date"]}. {environment}.

![Requests and tasks per second](benchmarks.svg)

One run on one machine. Values are medians of several rounds; every request uses a new email address. Responses are
checked against the event log. `fsync`, `full_page_writes` and `synchronous_commit` are on, and a response is sent only
after the commit.

- The counters were measured before the first redeem request, and the empty endpoint immediately before what is compared
  with it.
- Workers were stopped for all redeem rates except `hot_draining_rps` and `sustained_rps`.
- `codes_rps` has codes without a campaign. `campaign_rps` and `limited_campaign_rps` have as many codes of one
  campaign, without a shared limit and with a `max_per_day` that counts each use.
- Long histories were loaded in bulk, and the snapshot of a loaded code was written as the worker's task would have.
- Compare ratios rather than absolute values, which are those of this machine.

{render_capacity(numbers)}## Numbers

The *floor* is the acceptable value, and the *aim* the desired one. For times, sizes and costs, lower is better.
"Missed" means worse than the floor. [benchmarks.json](benchmarks.json) has every number.

{_render_notes(notes)}| number | meaning | value | floor | aim | result |
|---|---|---:|---:|---:|---|
{rows}
"""


def render_capacity(numbers: Numbers) -> str:
    """Return what a number of cores carries, computed from the measured CPU time; an empty text if one is missing or 0.

    The kernel counts CPU time in ticks of 10 ms, so a small load may show none.
    """
    if not all(numbers.get(key) for key in REQUIRED_FOR_CAPACITY):
        return ""
    redeem_us, life_us = numbers["redeem_cpu_us"], numbers["life_cpu_us"]
    rows = "\n".join(
        f"| {cores} | {format_number(cores * 1e6 / redeem_us)} | {format_number(cores * 1e6 / life_us)} |"
        for cores in CORES
    )
    api_us, worker_us = numbers["api_cpu_us_per_redeem"], numbers["life_worker_cpu_us"]
    parts = "\n".join(
        f"| {name} | {part_us:,.0f} | {format_number(1e6 / part_us)} | {bound} |"
        for name, part_us, bound in (
            ("one API process", api_us, "one core; add processes (`hot2_over_hot1` says what a second one adds)"),
            ("one worker process", worker_us, "one core; add processes or machines"),
            ("PostgreSQL, redeem requests", numbers["pg_cpu_us_per_redeem"], "its cores, then its disk"),
            ("PostgreSQL, complete redemptions", numbers["life_postgres_cpu_us"], "its cores, then its disk"),
        )
    )
    return f"""## What a number of cores carries

*Computed* from the measured CPU time of this run (`redeem_cpu_us`, `life_cpu_us`): cores × 1,000,000 ÷ microseconds. It
assumes cores like this machine's, all of them busy, and enough processes; clients and mail servers run elsewhere.

| cores | redeem requests per second | complete redemptions per second (request to recorded email) |
|---:|---:|---:|
{rows}

| component | CPU µs per redemption | per second and core | where it ends |
|---|---:|---:|---|
{parts}

"""


def _render_row(key: str, meaning: str, value: float) -> str:
    target = TARGETS.get(key)
    bounds = f"{target.floor:g} | {target.aim:g}" if target else " | "
    return f"| `{key}` | {meaning} | {format_number(value)} | {bounds} | {WORDS[classify(key, value)]} |"


def _render_notes(notes: list[str]) -> str:
    return "".join(f"- {note}\n" for note in notes) + ("\n" if notes else "")
