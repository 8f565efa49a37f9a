"""The bounds of a worker: contradictions are refused at start, and a worker that ends begins nothing new."""

import base64
import os
from typing import Any

import pytest
from pydantic import ValidationError

from workers.pace import Pace
from workers.settings import WorkerSettings
from workers.stopping import Stopping


def settings(**more: Any) -> WorkerSettings:
    """Settings with made-up keys."""
    ring = "1:" + base64.b64encode(b"k" * 32).decode()
    known = {"DATABASE_URL": "postgresql:///x", "secret_key": "k", "peppers": ring, "master_keys": ring}
    return WorkerSettings.model_validate({**known, **more})


@pytest.mark.parametrize(
    ("more", "variable"),
    [
        ({"task_time_limit_s": 300, "visibility_timeout_s": 300}, "LEDGER_VISIBILITY_TIMEOUT_S"),
        ({"smtp_timeout_s": 60.0, "lease_s": 60}, "LEDGER_LEASE_S"),
        ({"smtp_timeout_s": 20.0, "task_time_limit_s": 30}, "LEDGER_TASK_TIME_LIMIT_S"),
    ],
)
def test_bounds_that_contradict_one_another_are_refused_at_start(more: dict[str, Any], variable: str) -> None:
    """The message names what to change; the defaults agree."""
    with pytest.raises(ValidationError, match=variable):
        settings(**more)

    assert settings().task_time_limit_s < settings().visibility_timeout_s


def test_a_forked_child_learns_that_the_worker_ends() -> None:
    """The signal reaches the parent alone."""
    flag = Stopping()
    reading, writing = os.pipe()
    before = flag.has_begun()
    pid = os.fork()
    if not pid:
        os.read(reading, 1)
        os._exit(17 if flag.has_begun() else 0)
    flag.begin()
    os.write(writing, b"!")
    _, status = os.waitpid(pid, 0)

    assert (before, os.waitstatus_to_exitcode(status)) == (False, 17)


def test_a_backlog_of_the_same_request_is_one_request() -> None:
    """Beat goes on while no worker runs; whoever comes back does each thing once, then at its pace."""
    now = [0.0]
    pace = Pace(1.5, lambda: now[0])
    found = []
    for at in (0.0, 0.0, 0.1, 1.4, 1.5, 2.9, 4.5):
        now[0] = at
        found.append(pace.is_due())

    assert found == [True, False, False, False, True, False, True]
