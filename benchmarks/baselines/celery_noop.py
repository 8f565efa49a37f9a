"""A Celery task that does nothing, with the ledger's worker settings: the throughput of Celery itself."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping

import redis
from celery import Celery

from benchmarks.harness.stack import wait_until

QUEUE = "bench_noop"
app = Celery("benchmarks.baselines.celery_noop", broker=os.environ.get("REDIS_URL", "redis://127.0.0.1:1/0"))
app.conf.update(task_ignore_result=True, task_default_queue=QUEUE, worker_prefetch_multiplier=64)


@app.task(name="bench_noop")  # type: ignore[untyped-decorator]  # Celery ships no types
def noop(_: str) -> None:
    """Do nothing."""


with_results = Celery("benchmarks.baselines.celery_noop", broker=app.conf.broker_url, backend=app.conf.broker_url)
with_results.conf.update(task_default_queue=QUEUE)


@with_results.task(name="bench_noop_with_result")  # type: ignore[untyped-decorator]  # as above
def noop_with_result(_: str) -> None:
    """Do nothing, with a result backend as in the legacy system: the caller subscribes to the result first."""


def measure_tasks_per_second(redis_url: str, env: Mapping[str, str], count: int) -> float:
    """Measure how many no-op tasks per second a worker with two processes runs until its queue is empty."""
    app.conf.broker_url = redis_url
    for number in range(count):
        noop.delay(str(number))
    client = redis.Redis.from_url(redis_url)
    options = ("worker", "-Q", QUEUE, "-c", "2", "--loglevel", "ERROR", "--without-gossip", "--without-mingle")
    command = (sys.executable, "-m", "celery", "-A", "benchmarks.baselines.celery_noop", *options)
    worker = subprocess.Popen(
        command, env={**env, "REDIS_URL": redis_url}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: _count_unfinished(client) < count, 60, "a worker at work")
        began, had = time.monotonic(), _count_unfinished(client)
        wait_until(lambda: _count_unfinished(client) == 0, 240, "an empty queue")
        return had / (time.monotonic() - began)
    finally:
        worker.terminate()
        worker.wait(30)
        client.close()


def _count_unfinished(client: "redis.Redis") -> int:
    """Count the tasks in the queue and those that a worker holds."""
    unacked = sum(QUEUE.encode() in value for value in client.hvals("unacked"))
    return int(client.llen(QUEUE)) + unacked
