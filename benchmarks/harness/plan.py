"""What is measured: everything, or small sizes that show within seconds that every scenario still runs."""

from typing import NamedTuple

MILLION = 1_000_000


class BenchmarkPlan(NamedTuple):
    """Sizes and durations of all scenarios.

    Attributes:
        rounds: Runs of each load; the medians count.
        seconds: Duration of one load.
        spread_codes: Number of codes over which redeems are spread.
        campaign_codes: Number of codes of each load that shows what a campaign costs.
        connections: Connections of the further loads on one hot code; the main load has 64.
        apis: Numbers of API processes.
        finished: Distinct redemptions after which the tables are measured; draining them is the drain.
        noops: Celery tasks that do nothing.
        sustained_s: Seconds that a rate must hold; None to skip it.
        click_s: Seconds of redeem requests at 100/s.
        life_s: Seconds of redeem requests whose whole life is measured.
        commands: Runs of each command whose start is measured.
        batch_items: Items of one batch.
        pairs: Single redeems on each of the codes that are compared.
        histories: Redemptions of the codes that are compared.
        lives: Live reservations of the codes that are compared.
        logs: Events in the log.
        page_uses: Redemptions, of three events each, of the code whose page is opened.
        page_histories: Events of the codes whose pages are opened first in a new process.
        baselines: Names of the apps of `benchmarks.baselines.http_counters` to measure before the first redeem.
        bare: Whether the database alone and the library as it comes are measured.
    """

    rounds: int
    seconds: float
    spread_codes: int
    campaign_codes: int
    connections: tuple[int, ...]
    apis: tuple[int, ...]
    finished: int
    noops: int
    sustained_s: int | None
    click_s: int
    batch_items: int
    life_s: float
    commands: int
    pairs: int
    histories: tuple[int, ...]
    lives: tuple[int, ...]
    logs: tuple[int, ...]
    page_uses: int
    page_histories: tuple[int, ...]
    baselines: tuple[str, ...]
    bare: bool


FULL = BenchmarkPlan(
    rounds=3,
    seconds=4,
    spread_codes=10_000,
    campaign_codes=1_000,
    connections=(16, 256),
    apis=(1, 2, 4),
    finished=100_000,
    noops=4_000,
    sustained_s=60,
    click_s=10,
    batch_items=1_000,
    life_s=3,
    commands=7,
    pairs=150,
    histories=(10, 10_000, MILLION),
    lives=(10, 10_000, 100_000),
    logs=(10_000, MILLION, 10 * MILLION),
    page_uses=3_334,
    page_histories=(10_000, MILLION),
    baselines=("bare_asgi", "counter_old", "counter_publish", "counter_cte"),
    bare=True,
)
QUICK = BenchmarkPlan(
    rounds=1,
    seconds=0.4,
    spread_codes=20,
    campaign_codes=10,
    connections=(),
    apis=(1,),
    finished=100,
    noops=0,
    sustained_s=None,
    click_s=1,
    batch_items=20,
    life_s=0.4,
    commands=1,
    pairs=5,
    histories=(10, 1_200),
    lives=(10, 100),
    logs=(1_000, 4_000),
    page_uses=3,
    page_histories=(12_000,),
    baselines=("bare_asgi",),
    bare=False,
)
