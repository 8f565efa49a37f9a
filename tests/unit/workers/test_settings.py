import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from celery.apps.beat import Beat
from pydantic import ValidationError

from domain.judgment import HAND_OUT, NOTICE, invitation_rules
from domain.policy import LONGEST_WAIT
from domain.policy import WAIT_S_MAX as WAIT_SETTING_S_MAX
from tests.observability.approved_sending import ENVIRONMENT
from tests.support.waiting import WAIT_S_MAX
from workers.celery_ext.min_interval import MinInterval
from workers.celery_ext.shutdown_flag import ShutdownFlag
from workers.channels.smtp.late_replies import MARGIN_S
from workers.settings import WorkerSettings

LONG_TASKS = {"task_time_limit_s": 3600, "visibility_timeout_s": 7200}


def settings(**more: Any) -> WorkerSettings:
    ring = "1:" + base64.b64encode(b"k" * 32).decode()
    defaults = {"DATABASE_URL": "postgresql:///x", "secret_key": "k", "peppers": ring, "master_keys": ring}
    return WorkerSettings.model_validate({**defaults, **more})


@pytest.mark.parametrize(
    ("more", "variable"),
    [
        ({"task_time_limit_s": 300, "visibility_timeout_s": 300}, "LEDGER_VISIBILITY_TIMEOUT_S"),
        ({"smtp_timeout_s": 60.0, "lease_s": 60}, "LEDGER_LEASE_S"),
        ({"smtp_timeout_s": 20.0, "smtp_dot_timeout_s": 19.0}, "LEDGER_SMTP_DOT_TIMEOUT_S"),
        ({"smtp_timeout_s": 20.0, "task_time_limit_s": 30}, "LEDGER_TASK_TIME_LIMIT_S"),
    ],
)
def test_bounds_that_contradict_one_another_are_refused_at_start(more: dict[str, Any], variable: str) -> None:
    with pytest.raises(ValidationError, match=variable):
        settings(**more)

    assert settings().task_time_limit_s < settings().visibility_timeout_s


@pytest.mark.parametrize(
    "waits",
    [
        {"lease_s": WAIT_SETTING_S_MAX + 1},
        {"retry_first_s": WAIT_SETTING_S_MAX + 1},
        {"retry_longest_s": WAIT_SETTING_S_MAX + 1},
        {"smtp_dot_timeout_s": WAIT_SETTING_S_MAX + 1},
        {"lease_s": WAIT_SETTING_S_MAX, **LONG_TASKS, "smtp_timeout_s": WAIT_SETTING_S_MAX / 2 + 1},
    ],
    ids=lambda waits: next(reversed(waits)),
)
def test_wait_that_would_count_as_impossible_is_refused_at_start(waits: dict[str, float]) -> None:
    """An erasure would not wait for such a lease, and a sweep would end it; the message names the variable."""
    *_, name = waits

    with pytest.raises(ValidationError, match=name):
        settings(**waits)


def test_no_wait_is_impossible_with_the_longest_settings() -> None:
    names = ("lease_s", "retry_first_s", "retry_longest_s", "smtp_dot_timeout_s")
    longest = settings(**dict.fromkeys(names, WAIT_SETTING_S_MAX), **LONG_TASKS, smtp_timeout_s=WAIT_SETTING_S_MAX / 2)
    waits = {
        "row": longest.row_lease_s,
        "test": 2 * longest.smtp_timeout_s,
        "back-off": invitation_rules(longest.policy).wait.after(9, chance=1.0).total_seconds(),
        "late reply": longest.smtp_dot_timeout_s + MARGIN_S,
        "notice": NOTICE.wait.after(NOTICE.attempts_max).total_seconds(),
        "hand-out": HAND_OUT.wait.after(HAND_OUT.attempts_max).total_seconds(),
    }

    assert {name: wait for name, wait in waits.items() if wait >= LONGEST_WAIT.total_seconds()} == {}


def test_every_setting_of_seconds_has_a_longest_value() -> None:
    """Or no row in the database waits for it."""
    fields = WorkerSettings.model_fields
    unbounded = {
        name
        for name, field in fields.items()
        if name.endswith("_s") and not any(hasattr(bound, "le") for bound in field.metadata)
    }

    assert unbounded == {
        *("database_wait_s", "request_wait_s", "reservation_ttl_s", "sweep_s", "task_time_limit_s"),
        "visibility_timeout_s",
    }


def test_forked_child_sees_that_the_worker_shuts_down() -> None:
    """The signal reaches the parent alone."""
    flag = ShutdownFlag()
    reading, writing = os.pipe()
    before = flag.is_set()
    pid = os.fork()
    if not pid:
        os.read(reading, 1)
        os._exit(17 if flag.is_set() else 0)
    flag.set()
    os.write(writing, b"!")
    _, status = os.waitpid(pid, 0)

    assert (before, os.waitstatus_to_exitcode(status)) == (False, 17)


def test_backlog_of_the_same_request_is_one_request() -> None:
    """Beat continues while no worker runs; anyone who comes back does each thing once, then at its pace."""
    now = [0.0]
    pace = MinInterval(1.5, lambda: now[0])
    requests = []
    for at in (0.0, 0.0, 0.1, 1.4, 1.5, 2.9, 4.5):
        now[0] = at
        requests.append(pace.begin_if_due())

    assert requests == [True, False, False, False, True, False, True]


def test_beat_keeps_no_file_that_a_kill_could_break(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = {tmp_path / f"schedule{ending}": text for ending, text in ((".dat", ""), (".dir", "'entries', (0, 9)\n"))}
    for path, text in damaged.items():
        path.write_text(text)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    from workers.celery_app import celery_app  # noqa: PLC0415 - it reads its settings when it is imported

    beat = Beat(app=celery_app, schedule=str(tmp_path / "schedule"))
    scheduler = beat.Service(celery_app, None, beat.schedule, beat.scheduler_cls).get_scheduler()

    assert {"sweep-due-reservations", "cleanup-expired-users"} <= set(scheduler.schedule)
    assert damaged == {path: path.read_text() for path in tmp_path.iterdir()}


UNUSED = ("celery.bin.celery", "prompt_toolkit")
"""Loaded by Celery's command line only."""
ALONE = ("without_gossip", "without_heartbeat", "without_mingle")
"""Asking for other workers would take a second of each start, and heartbeats without a reader cost wake-ups."""
TASKS = ("jinja2", "workers.runtime", "workers.tasks")
PROGRAM = """
import sys
from celery.apps.beat import Beat
from celery.apps.worker import Worker
from workers.celery_process import main
Beat.run = lambda beat: beat.init_loader()
Worker.start = lambda worker: sys.stderr.write(f"{sorted(set(worker.options) & set(sys.argv[1].split(',')))} ")
for argument in sys.argv[2:]:
    try:
        main([argument])
    except SystemExit as error:
        sys.stderr.write(f"{error.code} ")
sys.stderr.write(str(sorted(set(sys.argv[1].split(",")) & set(sys.modules))))
"""


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (("worker",), f"{list(ALONE)} None {sorted(TASKS)}"),
        (("multi", "beat"), "usage: python -m workers.celery_process worker|beat []"),
    ],
)
def test_celery_processes_load_only_their_modules(arguments: tuple[str, ...], printed: str) -> None:
    command = [sys.executable, "-c", PROGRAM, ",".join((*UNUSED, *TASKS, *ALONE)), *arguments]
    ended = subprocess.run(
        command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=True, timeout=WAIT_S_MAX
    )

    assert ended.stderr.splitlines()[-1] == printed
