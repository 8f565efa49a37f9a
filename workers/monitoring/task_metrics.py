"""Rate, errors and duration of Celery tasks, one log line for each, and the life of the worker's child processes."""

import logging
import os
import time
from collections.abc import Callable
from typing import Any, Final

from celery import Task
from celery.signals import task_postrun, task_prerun
from prometheus_client.multiprocess import mark_process_dead

from domain.values.trace_ids import outside_trace_id
from projections.monitoring.pool_metrics import show_pool
from projections.storage.bootstrap import LedgerStore
from projections.telemetry import multiprocess
from projections.telemetry.log_setup import FactLog
from projections.telemetry.metrics import (
    ERRORS,
    TASK_RUNS,
    TASK_SECONDS,
    TASKS,
    WORKER_PROCESSES,
    declare_zeroes,
    label_or_other,
)
from projections.vault.random_source import RANDOM
from workers.celery_ext.outage_log_filters import failure_reason

log = logging.getLogger(__name__)
SUCCESSFUL_TASKS: Final = FactLog(__name__)

NO_ID = "unnamed"
"""Stands for a task id that does not have the form in which Celery generates them."""

_started_at: dict[str, float] = {}


def measure_tasks(storage: Callable[[], LedgerStore | None]) -> None:
    """Count every task that runs in this process.

    Args:
        storage: This process's, whose pool is shown after each task.
    """

    def begin(task_id: str, **_: Any) -> None:
        _started_at[task_id] = time.perf_counter()

    def end(task_id: str, task: Task, state: str | None, retval: object = None, **_: Any) -> None:
        name = label_or_other(task.name, TASKS)
        seconds = time.perf_counter() - _started_at.pop(task_id, time.perf_counter())
        TASK_SECONDS.labels(name).observe(seconds)
        is_ok = state == "SUCCESS"
        outcome = "ok" if is_ok else "failed"
        TASK_RUNS.labels(name, outcome).inc()
        spent = {"outcome": outcome, "ms": round(seconds * 1000, 2)}
        line = {"action": task.name, "task_id": known_task_id(task_id), **spent}
        if is_ok:
            SUCCESSFUL_TASKS.info("task", line)
        else:
            ERRORS.labels("celery_error").inc()
            log.warning("task", extra={**line, "reason": failure_reason(retval)})
        if (storage_now := storage()) is not None:
            show_pool(storage_now)

    task_prerun.connect(begin, weak=False)
    task_postrun.connect(end, weak=False)


def draw_task_id() -> str:
    """Return a random id for a task: 60 bits after a letter, in the form of a request's id.

    Two events of each invitation hold it, and Celery's own ids take 20 octets more.
    """
    return f"f{RANDOM.draw_bytes(8).hex()[1:]}"


def known_task_id(task_id: str | None) -> str:
    """Return the id of a task for logs and events. A caller who publishes manually may choose any text for it."""
    return outside_trace_id(task_id or "") or NO_ID


def count_process_start() -> None:
    """Count a child process of the worker that starts."""
    declare_zeroes()
    WORKER_PROCESSES.inc()


def count_process_end() -> None:
    """Count one that ends; its gauges end with it, its counts stay."""
    if (folder := multiprocess.find_folder()) is not None:
        mark_process_dead(os.getpid(), str(folder))  # type: ignore[no-untyped-call]  # prometheus_client ships this one without types
