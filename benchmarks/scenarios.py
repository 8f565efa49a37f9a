"""What is measured. Each function runs one scenario once and gives its numbers by key."""

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from benchmarks import noop, stock, yardsticks
from benchmarks.machine import Machine, free_port, served
from benchmarks.tools import BenchmarkError, Client, Load, Wrk, pgbench

Numbers = dict[str, float]
SETTLE_S = 1.0
"""After the workers were stopped: what they held is over, and the machine is quiet."""
CLICKS_PER_S = 100
PAIRS = 150
"""Single redeems on a big and a small code in turn."""
SMALL = 10
DRAIN = 4_000
NOOPS = 4_000


class Counted:
    """wrk on one code, every answer of which must be found in the log."""

    def __init__(self, machine: Machine, wrk: Wrk) -> None:
        self._machine = machine
        self._wrk = wrk

    def run(self, code: str, *, seconds: int, connections: int = 64) -> Load:
        """Post, then compare answers and rows.

        Raises:
            BenchmarkError: Something was refused, or an answer has no reservation.
        """
        before = self._kept()
        load = self._wrk.run(self._machine.base, code, seconds=seconds, connections=connections)
        kept = self._kept() - before
        if load.refused or kept < load.answers:
            raise BenchmarkError(f"{load.answers} answers, {load.refused} refused, {kept} reservations in the log")
        return load

    def _kept(self) -> int:
        return int(self._machine.ask("SELECT count(*) FROM ledger_events WHERE topic LIKE 'UseReserved:%'")[0][0])


def bare(machine: Machine, wrk: Wrk, seconds: int) -> Numbers:
    """The yardsticks: an empty endpoint, a bare UPDATE, a bare INSERT, three counters, the library as it comes."""
    env = {**machine.env, "DATABASE_URL": machine.database_url, "REDIS_URL": machine.info["redis_url"]}
    numbers: Numbers = {}
    apps = {"empty": "empty_rps", "counter_old": "counter_old_rps", "counter_publish": "counter_publish_rps"}
    for name, key in {**apps, "counter_cte": "counter_cte_rps"}.items():
        with served(f"benchmarks.yardsticks:{name}", free_port(), env, factory=True) as base:
            numbers[key] = wrk.run(base, "HOT", seconds=seconds).rps
    url, folder = machine.database_url, machine.folder
    numbers["hot_update_tps"] = pgbench(url, folder, "UPDATE bench_counter SET n = n + 1", seconds=seconds)
    numbers["insert_tps"] = pgbench(url, folder, "INSERT INTO bench_rows (n) VALUES (1)", seconds=seconds)
    numbers["stock_library_rps"] = stock.redeems_per_second(url, seconds)
    return numbers


def hot(machine: Machine, wrk: Wrk, seconds: int, code: str) -> Numbers:
    """One hot code, the workers stopped: one API process, then two."""
    counted = Counted(machine, wrk)
    with machine.workers_stopped():
        time.sleep(SETTLE_S)
        one = counted.run(code, seconds=seconds)
        with machine.second_api() as other:
            runs = [wrk.start(base, code, seconds=seconds, connections=32) for base in (machine.base, other)]
            two = sum(wrk.read(run).rps for run in runs)
    return {"hot_rps": one.rps, "hot_p50_ms": one.p50_ms, "hot2_rps": two}


def refusals(machine: Machine, wrk: Wrk, seconds: int) -> Numbers:
    """A code that is used up by reservations: every try is refused."""
    code = machine.issue(1)
    with machine.workers_stopped():
        _click(machine.base, code, ["first@example.com"])
        load = wrk.run(machine.base, code, seconds=seconds)
    if load.refused != load.answers:
        raise BenchmarkError("a code that is used up was redeemed")
    return {"refusals_rps": load.rps}


def draining(machine: Machine, wrk: Wrk, seconds: int) -> Numbers:
    """The same with the workers sending meanwhile."""
    return {"hot_draining_rps": Counted(machine, wrk).run(machine.issue(), seconds=seconds).rps}


def big_and_small(machine: Machine, big: str) -> Numbers:
    """Latency of one redeem at a time on a code with a long history and one with a short one, in turn."""
    small = machine.issue()
    took: dict[str, list[float]] = {big: [], small: []}
    with machine.workers_stopped(), closing(Client(machine.base)) as client:
        time.sleep(SETTLE_S)
        for number in range(SMALL):
            client.redeem(small, f"small{number}@example.com")
        for number in range(PAIRS):
            for code, times in took.items():
                email = f"pair{number}x{time.monotonic_ns()}@example.com"
                began = time.perf_counter()
                client.redeem(code, email)
                times.append(time.perf_counter() - began)
    return {"big_over_small": statistics.median(took[big]) / statistics.median(took[small])}


def drain(machine: Machine) -> Numbers:
    """Invitations sent per second from a backlog, and Celery's own pace with tasks that do nothing."""
    machine.drained()
    code = machine.issue()
    with machine.workers_stopped():
        emails = [f"drain{number}@example.com" for number in range(DRAIN)]
        with ThreadPoolExecutor(16) as threads:
            list(threads.map(lambda part: _click(machine.base, code, part), _parts(emails, 16)))
    began = time.monotonic()
    machine.drained()
    rate = DRAIN / (time.monotonic() - began)
    redis_url = machine.info["redis_url"]
    return {"drain_rps": rate, "noop_task_rps": noop.tasks_per_second(redis_url, machine.env, NOOPS)}


def size(machine: Machine) -> Numbers:
    """Bytes of all tables with indexes and TOAST, by finished redemption."""
    machine.drained()
    machine.ask(yardsticks.DROP)
    total, finished = machine.ask(
        "SELECT (SELECT sum(pg_total_relation_size(relid)) FROM pg_stat_user_tables),"
        " (SELECT count(*) FROM reservations WHERE status = 'sent')"
    )[0]
    return {"bytes_per_redemption": float(total) / float(finished), "finished_redemptions": float(finished)}


def click_to_mail(machine: Machine, seconds: int) -> Numbers:
    """From a click to the mail server's word, at a hundred clicks a second, over real SMTP."""
    code, own = machine.issue(), threading.local()

    def click(number: int) -> tuple[str, float]:
        if not hasattr(own, "client"):
            own.client = Client(machine.base)
        at = time.time()
        return own.client.redeem(code, f"click{number}@example.com"), at

    with ThreadPoolExecutor(32) as threads:
        waiting = [threads.submit(click, number) for number in _paced(CLICKS_PER_S, seconds)]
        clicked = dict(item.result(30) for item in waiting)
    machine.drained()
    sent = machine.ask("SELECT reservation_id::text, extract(epoch FROM sent_at)::float8 FROM reservations")
    waits = sorted((at - clicked[item]) * 1000 for item, at in sent if item in clicked and at is not None)
    if len(waits) < len(clicked):
        raise BenchmarkError(f"{len(clicked)} clicks but only {len(waits)} mails")
    return {"click_to_mail_p50_ms": waits[len(waits) // 2], "click_to_mail_p99_ms": waits[len(waits) * 99 // 100]}


def _click(base: str, code: str, emails: Sequence[str]) -> None:
    with closing(Client(base)) as client:
        for email in emails:
            client.redeem(code, email)


def _parts(items: Sequence[str], count: int) -> list[Sequence[str]]:
    return [items[start::count] for start in range(count)]


def _paced(per_second: int, seconds: int) -> Iterator[int]:
    """Numbers, each at its time."""
    began = time.monotonic()
    for number in range(per_second * seconds):
        time.sleep(max(0.0, began + number / per_second - time.monotonic()))
        yield number
