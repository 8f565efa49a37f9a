"""Throughput of the workers: a backlog, redeems while it drains, a rate that holds, and latency of the email."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from benchmarks.baselines import celery_noop
from benchmarks.harness.load_generators import BenchmarkError, LoadGenerator, RedeemClient
from benchmarks.harness.plan import BenchmarkPlan
from benchmarks.harness.stack import BenchmarkStack
from benchmarks.harness.verified_load import VerifiedLoad
from benchmarks.scenarios.redeem_throughput import Numbers, measure_empty_endpoint, pause_workers_and_settle

CLICKS_PER_S = 100
FEED_S_MAX = 300.0
SUSTAINED_SHARE = 0.7
"""Share of the drain rate at which the search for a rate that holds begins: the API needs CPU time too."""
SUSTAINED_ATTEMPTS_MAX = 7
STEP = 0.9
SUSTAINED_CONNECTIONS = 64
PACE_S = 5
"""Seconds of a load that shows how long answers take, because a connection pauses only after its answer."""
BACKLOG_S = 1.0
"""The backlog counts as flat if it grows by less than this number of seconds of the rate."""


def measure_drain(stack: BenchmarkStack, loader: LoadGenerator, plan: BenchmarkPlan) -> Numbers:
    """Measure the rate at which a backlog is sent, and Celery's rate with tasks that do nothing."""
    stack.wait_until_drained()
    counted, code = VerifiedLoad(stack, loader), stack.issue()
    with pause_workers_and_settle(stack):
        fed, until = 0, time.monotonic() + FEED_S_MAX
        while fed < plan.finished and time.monotonic() < until:
            fed += counted.run([code], seconds=max(plan.seconds, 1.0)).answers
    began, had = time.monotonic(), stack.count_live()
    stack.wait_until_drained(seconds=max(60.0, had / 20))
    numbers = {"drain_rps": had / (time.monotonic() - began), **stack.measure_rss_mb()}
    if plan.noops:
        numbers["noop_task_rps"] = celery_noop.measure_tasks_per_second(stack.info["redis_url"], stack.env, plan.noops)
    return numbers


def measure_size(stack: BenchmarkStack) -> Numbers:
    """Measure the bytes of all tables with indexes and TOAST per finished redemption."""
    total, finished = stack.query_rows(
        "SELECT (SELECT sum(pg_total_relation_size(relid)) FROM pg_stat_user_tables),"
        " (SELECT count(*) FROM reservations WHERE status = 'sent')"
    )[0]
    return {"bytes_per_redemption": float(total) / float(finished), "finished_redemptions": float(finished)}


def measure_hot_while_draining(stack: BenchmarkStack, loader: LoadGenerator, plan: BenchmarkPlan) -> Numbers:
    """Measure redeems of one hot code while the workers send."""
    return {"hot_draining_rps": VerifiedLoad(stack, loader).run([stack.issue()], seconds=plan.seconds).rps}


def find_sustained_rate(stack: BenchmarkStack, loader: LoadGenerator, seconds: int, drain_rps: float) -> Numbers:
    """Find a rate that holds for these seconds with a flat backlog; 0 if none of the attempted ones does."""
    stack.wait_until_drained()
    empty_rps = measure_empty_endpoint(stack, loader, PACE_S)["empty_rps"]
    rate, counted = drain_rps * SUSTAINED_SHARE, VerifiedLoad(stack, loader)
    for _ in range(SUSTAINED_ATTEMPTS_MAX):
        code = stack.issue()
        per_request_ms = SUSTAINED_CONNECTIONS / rate * 1000
        paced = counted.run(
            [code], seconds=PACE_S, connections=SUSTAINED_CONNECTIONS, pause_ms=max(1, round(per_request_ms))
        )
        pause_ms = max(1, round(per_request_ms - paced.p50_ms))
        before = stack.count_live()
        load = counted.run([code], seconds=seconds, connections=SUSTAINED_CONNECTIONS, pause_ms=pause_ms)
        grown = stack.count_live() - before
        stack.wait_until_drained()
        if grown <= load.rps * BACKLOG_S:
            return {"sustained_rps": load.rps, "sustained_over_empty": load.rps / empty_rps}
        rate = min(rate, load.rps) * STEP
    return {"sustained_rps": 0.0, "sustained_over_empty": 0.0}


def measure_click_to_mail(stack: BenchmarkStack, seconds: int) -> Numbers:
    """Measure the time from a redeem request to the mail server's acceptance, at 100 requests per second, over SMTP."""
    code, own = stack.issue(), threading.local()

    def click(number: int) -> tuple[str, float]:
        if not hasattr(own, "client"):
            own.client = RedeemClient(stack.base)
        at = time.time()
        return own.client.redeem(code, f"click{number}x{at}@example.com"), at

    with ThreadPoolExecutor(16) as threads:
        waiting = [threads.submit(click, number) for number in _paced(CLICKS_PER_S, seconds)]
        clicked = dict(reservation_id.result(120) for reservation_id in waiting)
    stack.wait_until_drained()
    sent = stack.query_rows("SELECT reservation_id::text, extract(epoch FROM sent_at)::float8 FROM reservations")
    waits = sorted(
        (at - clicked[reservation_id]) * 1000
        for reservation_id, at in sent
        if reservation_id in clicked and at is not None
    )
    if len(waits) < len(clicked):
        raise BenchmarkError(f"{len(clicked)} clicks but only {len(waits)} emails")
    return {"click_to_mail_p50_ms": waits[len(waits) // 2], "click_to_mail_p99_ms": waits[len(waits) * 99 // 100]}


def _paced(per_second: int, seconds: int) -> Iterator[int]:
    """Yield numbers at a constant rate."""
    began = time.monotonic()
    for number in range(per_second * seconds):
        time.sleep(max(0.0, began + number / per_second - time.monotonic()))
        yield number
