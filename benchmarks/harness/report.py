"""One table with ratios and targets from the numbers of several rounds."""

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

Numbers = Mapping[str, float]


class NumberTarget(NamedTuple):
    """Acceptable and desired value of a number. `more` says whether more is better."""

    floor: float
    aim: float
    more: bool = True


RATIOS = {
    "hot_over_empty": ("hot_rps", "empty_rps"),
    "bare_asgi_over_empty": ("bare_asgi_rps", "empty_rps"),
    "redeem_cpu": ("redeem_cpu_us", "empty_cpu_us"),
    "repeats_over_hot": ("repeats_rps", "hot_rps"),
    "hot_over_update": ("hot_rps", "hot_update_tps"),
    "hot2_over_hot1": ("hot2_rps", "hot_rps"),
    "hot_over_counter_old": ("hot_rps", "counter_old_rps"),
    "hot_over_counter_publish": ("hot_rps", "counter_publish_rps"),
    "hot_over_counter_cte": ("hot_rps", "counter_cte_rps"),
    "hot4_over_hot1": ("hot4_rps", "hot_rps"),
    "batch_over_hot": ("batch_rps", "hot_rps"),
    "refusals_over_hot": ("refusals_rps", "hot_rps"),
    "campaign_over_codes": ("campaign_rps", "codes_rps"),
    "limited_campaign_over_codes": ("limited_campaign_rps", "codes_rps"),
    "campaign_cpu": ("campaign_cpu_us", "codes_cpu_us"),
    "limited_campaign_cpu": ("limited_campaign_cpu_us", "codes_cpu_us"),
    "drain_over_noop": ("drain_rps", "noop_task_rps"),
    "rebuild_over_fold": ("rebuild_rps", "fold_rps"),
}
TARGETS = {
    "hot_over_empty": NumberTarget(0.9, 1.1),
    "redeem_cpu": NumberTarget(1.5, 1.2, more=False),
    "life_cpu": NumberTarget(7, 5, more=False),
    "sustained_over_empty": NumberTarget(0.25, 0.35),
    "cli_cpu": NumberTarget(2, 1.5, more=False),
    "history_cli_cpu": NumberTarget(2, 1.5, more=False),
    "hot_over_update": NumberTarget(1.0, 1.3),
    "hot2_over_hot1": NumberTarget(1.0, 1.2),
    "hot_over_counter_old": NumberTarget(15, 15),
    "hot_over_counter_publish": NumberTarget(5, 5),
    "hot_over_counter_cte": NumberTarget(2, 2),
    "batch_over_hot": NumberTarget(2.5, 5),
    "refusals_over_hot": NumberTarget(1.0, 1.3),
    "repeats_over_hot": NumberTarget(1.0, 1.3),
    "big_over_small": NumberTarget(1.2, 1.05, more=False),
    "drain_over_noop": NumberTarget(3, 4),
    "click_to_mail_p50_ms": NumberTarget(60, 30, more=False),
    "click_to_mail_p99_ms": NumberTarget(300, 120, more=False),
    "redeems_beside_proof": NumberTarget(0.97, 1.0),
    "proof_lag_s": NumberTarget(5, 2.5, more=False),
    "rebuild_over_fold": NumberTarget(0.5, 1.0),
    "rebuild_mb": NumberTarget(300, 200, more=False),
    "redeems_during_rebuild": NumberTarget(0.75, 0.9),
    "rebuild_lock_ms": NumberTarget(100, 50, more=False),
    "cold_load_ms": NumberTarget(50, 50, more=False),
    "api_rss_mb": NumberTarget(250, 250, more=False),
    "worker_rss_mb": NumberTarget(200, 200, more=False),
    "statement_ms": NumberTarget(300, 150, more=False),
    "first_view_10000_ms": NumberTarget(300, 150, more=False),
    "first_view_1000000_ms": NumberTarget(600, 300, more=False),
    "first_chart_10000_ms": NumberTarget(300, 150, more=False),
    "first_chart_1000000_ms": NumberTarget(300, 150, more=False),
    "invite_page_ms": NumberTarget(300, 50, more=False),
    "bytes_per_redemption": NumberTarget(1900, 1500, more=False),
}


def summarize(rounds: Sequence[Numbers]) -> dict[str, float]:
    """Return the median of each number over the rounds that have it, and the ratios of those medians."""
    keys = dict.fromkeys(key for one_round in rounds for key in one_round)
    one_round = {key: statistics.median(one_round[key] for one_round in rounds if key in one_round) for key in keys}
    for key, (above, below) in RATIOS.items():
        if above in one_round and one_round.get(below):
            one_round[key] = one_round[above] / one_round[below]
    return one_round


def classify(key: str, value: float) -> str:
    """Return aim, floor or below for a number with a target; an empty text for others."""
    target = TARGETS.get(key)
    if target is None:
        return ""
    sign = 1 if target.more else -1
    if sign * value >= sign * target.aim:
        return "aim"
    return "floor" if sign * value >= sign * target.floor else "below"


DECIMALS_BELOW = 100
"""Numbers from here on are printed without decimals."""


def format_number(value: float) -> str:
    """Return a number as it is printed."""
    return f"{value:,.2f}" if value < DECIMALS_BELOW else f"{value:,.0f}"


def print_table(numbers: Numbers, console: Console) -> None:
    """Print the table."""
    table = Table("number", "value", "floor", "aim", "reached")
    for key, value in numbers.items():
        target = TARGETS.get(key)
        bounds = (f"{target.floor:g}", f"{target.aim:g}") if target else ("", "")
        table.add_row(key, format_number(value), *bounds, classify(key, value))
    console.print(table)
