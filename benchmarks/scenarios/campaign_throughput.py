"""Redeems per second of many codes: without a campaign, of one campaign, and of one whose limit all of them share."""

from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.harness.load_generators import LoadGenerator
from benchmarks.harness.plan import BenchmarkPlan
from benchmarks.harness.stack import BenchmarkStack
from benchmarks.harness.verified_load import VerifiedLoad
from benchmarks.scenarios.redeem_throughput import MICROSECONDS, Numbers, pause_workers_and_settle

NEVER_REACHED: Final = 1_000_000_000
"""A limit whose uses are counted and which no load reaches."""


def issue_codes(stack: BenchmarkStack, plan: BenchmarkPlan) -> Mapping[str, Sequence[str]]:
    """Issue the codes of each load, by the name of the load: as many for each."""
    campaigns = {
        "codes": None,
        "campaign": stack.create_campaign(),
        "limited_campaign": stack.create_campaign(max_per_day=NEVER_REACHED),
    }
    return {
        name: [issued.text for issued in stack.issue_many(plan.campaign_codes, campaign=campaign)]
        for name, campaign in campaigns.items()
    }


def measure_campaigns(
    stack: BenchmarkStack, loader: LoadGenerator, plan: BenchmarkPlan, codes: Mapping[str, Sequence[str]]
) -> Numbers:
    """Measure rate and CPU time of each load, immediately one after the other."""
    counted, numbers = VerifiedLoad(stack, loader), Numbers()
    with pause_workers_and_settle(stack):
        for name, texts in codes.items():
            load = counted.run(texts, seconds=plan.seconds)
            numbers[f"{name}_rps"] = load.rps
            numbers[f"{name}_cpu_us"] = sum(load.cpu_s.values()) / load.answers * MICROSECONDS
    return numbers
