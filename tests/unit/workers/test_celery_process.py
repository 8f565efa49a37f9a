import base64
import os
import subprocess
import sys

import pytest

from tests.support.waiting import WAIT_S_MAX

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
try:
    main(sys.argv[2:])
except SystemExit as error:
    sys.stderr.write(f"{error.code} ")
sys.stderr.write(str(sorted(set(sys.argv[1].split(",")) & set(sys.modules))))
"""


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (("worker",), f"{list(ALONE)} None {sorted(TASKS)}"),
        (("beat",), "[]"),
        (("multi",), "usage: python -m workers.celery_process worker|beat []"),
    ],
)
def test_celery_processes_load_only_their_modules(arguments: tuple[str, ...], printed: str) -> None:
    ring = "1:" + base64.b64encode(b"k" * 32).decode()
    secrets = dict.fromkeys(("LEDGER_PEPPERS", "LEDGER_MASTER_KEYS"), ring)
    env = {**os.environ, "DATABASE_URL": "postgresql:///x", "LEDGER_SECRET_KEY": "k", **secrets}
    command = [sys.executable, "-c", PROGRAM, ",".join((*UNUSED, *TASKS, *ALONE)), *arguments]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=WAIT_S_MAX)

    assert ended.stderr.splitlines()[-1] == printed
