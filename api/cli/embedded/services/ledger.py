"""The ledger's own processes: their commands and the environment they share."""

import os
import sys
from collections.abc import Mapping

from api.cli.embedded.data_dir import DataDir
from api.cli.embedded.process.program import Program
from api.cli.embedded.secrets_file import SERVER_PASSWORDS
from api.cli.embedded.util import HOST

# Who asks ends before who is asked: API, beat and worker together, then the sink and Valkey, PostgreSQL last.
FRONT, MIDDLE = 2, 1
METRICS_PORT = "LEDGER_WORKER_METRICS_PORT"
OWNER_URL = "LEDGER_OWNER_DATABASE_URL"
"""Whoever owns the tables; no part of the ledger but the start itself and commands needs it."""
WORKER_STOP_S_MAX = 11.0
"""Letters that are being sent may end; with the stages after it, all ends within 15 seconds."""


def build_child_environment(folder: DataDir, api_port: int, known: Mapping[str, str]) -> dict[str, str]:
    """What every process of the ledger gets.

    Args:
        folder: The data folder.
        api_port: Where the API listens.
        known: Secrets, and where the servers are. They win over the environment, which was asked for them before.
    """
    fixed = {
        "LEDGER_DATA_DIR": str(folder.path),
        "PROMETHEUS_MULTIPROC_DIR": str(folder.metrics),
        "PYTHONUNBUFFERED": "1",
        # A folder named `api` where we happen to start must not be taken for ours.
        "PYTHONSAFEPATH": "1",
        # It listens on loopback only: a page of another name that reaches it had its name resolved to this machine.
        "LEDGER_ALLOWED_HOSTS": os.environ.get("LEDGER_ALLOWED_HOSTS") or "localhost",
    }
    defaults = {
        "LEDGER_MAIL_FROM": "ledger@localhost.localdomain",
        "LEDGER_PUBLIC_URL": f"http://{HOST}:{api_port}",
        "LEDGER_CHECKPOINT_FILE": str(folder.checkpoints),
    }
    given = {name: value for name, value in os.environ.items() if name != "LEDGER_MAILBOX"}
    env = {**defaults, **given, **known, **fixed}
    for name in (*SERVER_PASSWORDS, OWNER_URL):
        env.pop(name, None)
    return env


def sink_program(folder: DataDir, port: int, env: Mapping[str, str]) -> Program:
    """The mail server for trying things out."""
    arguments = ("--port", str(port), "--maildir", str(folder.mailbox))
    command = (sys.executable, "-m", "api.mail_sink.server", *arguments)
    return Program("sink", command, env, cwd=folder.run, stage=MIDDLE, stop_s_max=1.0)


def api_program(folder: DataDir, port: int, env: Mapping[str, str]) -> Program:
    """The HTTP side. Streams that browsers hold open would keep it for ever, so its time to end is short."""
    address = ("--host", HOST, "--port", str(port))
    quiet = ("--no-access-log", "--log-level", "warning")
    options = ("--loop", "uvloop", "--http", "httptools", "--no-proxy-headers", "--no-server-header", *quiet)
    command = (sys.executable, "-m", "uvicorn", "api.main:create_app", "--factory", *address, *options)
    return Program("api", command, env, cwd=folder.run, stage=FRONT, stop_s_max=3.0)


def beat_program(folder: DataDir, env: Mapping[str, str]) -> Program:
    """The clock of the sweeps."""
    command = (
        *(sys.executable, "-m", "celery", "-A", "workers.celery_app", "-q"),
        *("beat", "--loglevel", "INFO", "--pidfile="),
    )
    return Program("beat", command, env, cwd=folder.run, stage=FRONT, stop_s_max=3.0)


def worker_program(folder: DataDir, env: Mapping[str, str], metrics_port: int) -> Program:
    """Sends. `metrics_port` is where it shows its metrics, unless a setting says where.

    SIGTERM is Celery's warm shutdown: it ends when its tasks have ended, at once if there are none. What takes longer
    is killed: the message comes back, and a letter whose outcome nobody saw is an unknown one.
    """
    command = (sys.executable, "-m", "celery", "-A", "workers.celery_app", "-q", "worker", "--loglevel", "INFO")
    env = {METRICS_PORT: str(metrics_port), **env}  # two ledgers on one machine must not want the same
    return Program("worker", command, env, cwd=folder.run, stage=FRONT, stop_s_max=WORKER_STOP_S_MAX)
