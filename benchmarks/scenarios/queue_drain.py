"""What the workers do: a backlog drained, redeems while they drain, a rate that holds, and from a click to the mail."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from benchmarks.baselines import celery_noop
from benchmarks.harness.load_generators import BenchmarkError, Client, Loader
from benchmarks.harness.plan import Plan
from benchmarks.harness.stack import Machine
from benchmarks.harness.verified_load import Counted
from benchmarks.scenarios.redeem_throughput import Numbers, quiet

CLICKS_PER_S = 100
FEED_S_MAX = 300.0
SUSTAINED_SHARE = 0.7
"""Of the drain's pace: where the search for a rate that holds begins, since the API takes its part of the machine."""
SUSTAINED_TRIES_MAX = 5
STEP = 0.8
SUSTAINED_CONNECTIONS = 64
BACKLOG_S = 1.0
"""A backlog of so many seconds of the rate, more than at the beginning, counts as flat."""


def drain(machine: Machine, loader: Loader, plan: Plan) -> Numbers:
    """A backlog that is sent, and Celery's own pace with tasks that do nothing."""
    machine.drained()
    counted, code = Counted(machine, loader), machine.issue()
    with quiet(machine):
        fed, until = 0, time.monotonic() + FEED_S_MAX
        while fed < plan.finished and time.monotonic() < until:
            fed += counted.run([code], seconds=max(plan.seconds, 1.0)).answers
    began, had = time.monotonic(), machine.live()
    machine.drained(seconds=max(60.0, had / 20))
    numbers = {"drain_rps": had / (time.monotonic() - began), **machine.rss_mb()}
    if plan.noops:
        numbers["noop_task_rps"] = celery_noop.tasks_per_second(machine.info["redis_url"], machine.env, plan.noops)
    return numbers


def size(machine: Machine) -> Numbers:
    """Bytes of all tables with indexes and TOAST, by finished redemption."""
    total, finished = machine.ask(
        "SELECT (SELECT sum(pg_total_relation_size(relid)) FROM pg_stat_user_tables),"
        " (SELECT count(*) FROM reservations WHERE status = 'sent')"
    )[0]
    return {"bytes_per_redemption": float(total) / float(finished), "finished_redemptions": float(finished)}


def draining(machine: Machine, loader: Loader, plan: Plan) -> Numbers:
    """One hot code with the workers sending meanwhile."""
    return {"hot_draining_rps": Counted(machine, loader).run([machine.issue()], seconds=plan.seconds).rps}


def sustained(machine: Machine, loader: Loader, seconds: int, drain_rps: float) -> Numbers:
    """The highest rate tried that held for so long with the backlog flat."""
    machine.drained()
    rate, counted = drain_rps * SUSTAINED_SHARE, Counted(machine, loader)
    for _ in range(SUSTAINED_TRIES_MAX):
        code, before = machine.issue(), machine.live()
        pause_ms = max(1, round(SUSTAINED_CONNECTIONS / rate * 1000))
        load = counted.run([code], seconds=seconds, connections=SUSTAINED_CONNECTIONS, pause_ms=pause_ms)
        grown = machine.live() - before
        machine.drained()
        if grown <= load.rps * BACKLOG_S:
            return {"sustained_rps": load.rps}
        rate = min(rate, load.rps) * STEP
    return {"sustained_rps": 0.0}


def click_to_mail(machine: Machine, seconds: int) -> Numbers:
    """From a click to the mail server's word, at a hundred clicks a second, over real SMTP."""
    code, own = machine.issue(), threading.local()

    def click(number: int) -> tuple[str, float]:
        if not hasattr(own, "client"):
            own.client = Client(machine.base)
        at = time.time()
        return own.client.redeem(code, f"click{number}x{at}@example.com"), at

    with ThreadPoolExecutor(16) as threads:
        waiting = [threads.submit(click, number) for number in _paced(CLICKS_PER_S, seconds)]
        clicked = dict(item.result(120) for item in waiting)
    machine.drained()
    sent = machine.ask("SELECT reservation_id::text, extract(epoch FROM sent_at)::float8 FROM reservations")
    waits = sorted((at - clicked[item]) * 1000 for item, at in sent if item in clicked and at is not None)
    if len(waits) < len(clicked):
        raise BenchmarkError(f"{len(clicked)} clicks but only {len(waits)} mails")
    return {"click_to_mail_p50_ms": waits[len(waits) // 2], "click_to_mail_p99_ms": waits[len(waits) * 99 // 100]}


def _paced(per_second: int, seconds: int) -> Iterator[int]:
    """Numbers, each at its time."""
    began = time.monotonic()
    for number in range(per_second * seconds):
        time.sleep(max(0.0, began + number / per_second - time.monotonic()))
        yield number
