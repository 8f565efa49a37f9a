"""The ledger's own processes: their commands and the environment they share."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from api.cli.embedded.data_dir import DataDir
from api.cli.embedded.private_file import write_private_file
from api.cli.embedded.process.program import Program
from api.cli.embedded.tcp_ports import HOST
from projections.config.variables import SERVER_PASSWORDS

# Clients end before the servers that they use: API, beat and worker, then mail sink and Valkey, PostgreSQL last.
CLIENT_STAGE, BROKER_STAGE = 2, 1
METRICS_PORT = "LEDGER_WORKER_METRICS_PORT"
OWNER_URL = "LEDGER_OWNER_DATABASE_URL"
"""The role that owns the tables; only the start itself and commands need it."""
GATE = "database.json"
"""File in the working directory of the components. Its existence tells them that the database is ready."""
LAUNCH = (sys.executable, "-m", "api.cli.embedded.process.launch")
_CELERY_MODULES = "kombu.transport.redis,workers.settings,workers.celery_ext.leased_scheduler"
"""Loaded early by worker and beat. `workers.celery_app` reads the settings when it is imported, so it waits."""
WORKER_STOP_S_MAX = 11.0
"""Invitations that are being sent may finish; together with the later stages everything ends within 15 seconds."""


def build_child_environment(folder: DataDir, api_port: int, stack_values: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of every process of the ledger.

    Args:
        folder: The data folder.
        api_port: Port of the API.
        stack_values: Secrets and URLs of the servers. They take precedence over the environment, from which they
            were read where it has them.
    """
    fixed = {
        "LEDGER_DATA_DIR": str(folder.path),
        "PROMETHEUS_MULTIPROC_DIR": str(folder.metrics),
        "PYTHONUNBUFFERED": "1",
        # A folder named `api` in the working directory must not be imported.
        "PYTHONSAFEPATH": "1",
        # The API listens on loopback only: a request with another host name is a DNS rebinding attack.
        "LEDGER_ALLOWED_HOSTS": os.environ.get("LEDGER_ALLOWED_HOSTS") or "localhost",
    }
    defaults = {
        "LEDGER_MAIL_FROM": "ledger@localhost.localdomain",
        "LEDGER_PUBLIC_URL": f"http://{HOST}:{api_port}",
        "LEDGER_CHECKPOINT_FILE": str(folder.checkpoints),
    }
    inherited = {name: value for name, value in os.environ.items() if name != "LEDGER_MAILBOX"}
    env = {**defaults, **inherited, **stack_values, **fixed}
    for name in (*SERVER_PASSWORDS, OWNER_URL):
        env.pop(name, None)
    return env


def open_gate(run: Path, database_url: str) -> None:
    """Let the components run, which are loaded by now or soon.

    Args:
        run: Working directory of the components.
        database_url: Database of the components, migrated.
    """
    write_private_file(run / GATE, json.dumps({"DATABASE_URL": database_url}))


def sink_program(folder: DataDir, port: int, env: Mapping[str, str]) -> Program:
    """Return the mail catcher."""
    arguments = ("--port", str(port), "--maildir", str(folder.mailbox))
    command = (sys.executable, "-m", "api.mail_sink.server", *arguments)
    return Program("sink", command, env, cwd=folder.run, stage=BROKER_STAGE, stop_s_max=1.0)


def api_program(folder: DataDir, port: int, env: Mapping[str, str]) -> Program:
    """Return the API. It has 3 s to end, because browsers hold event streams open."""
    address = ("--host", HOST, "--port", str(port))
    quiet = ("--no-access-log", "--log-level", "warning")
    options = (
        "--loop",
        "uvloop",
        "--http",
        "api.http.server.http_protocol:LedgerProtocol",
        "--no-proxy-headers",
        "--no-server-header",
        *quiet,
    )
    served = ("api.http.server.idle_server", "api.main:create_app", "--factory")
    command = (*LAUNCH, "api.main", GATE, *served, *address, *options)
    return Program("api", command, env, cwd=folder.run, stage=CLIENT_STAGE, stop_s_max=3.0)


def beat_program(folder: DataDir, env: Mapping[str, str]) -> Program:
    """Return beat, the scheduler of the sweeps."""
    command = (*LAUNCH, f"celery.apps.beat,{_CELERY_MODULES}", GATE, "workers.celery_process", "beat")
    return Program("beat", command, env, cwd=folder.run, stage=CLIENT_STAGE, stop_s_max=3.0)


def worker_program(folder: DataDir, env: Mapping[str, str], metrics_port: int) -> Program:
    """Return the worker, with its metrics at `metrics_port` unless a setting names another port.

    SIGTERM is Celery's warm shutdown: the worker ends when its tasks have ended. Tasks that take longer are killed:
    the broker delivers their messages again, and an invitation that was being sent has an unknown outcome.
    """
    command = (
        *LAUNCH,
        f"celery.apps.worker,{_CELERY_MODULES},workers.runtime",
        GATE,
        "workers.celery_process",
        "worker",
    )
    env = {METRICS_PORT: str(metrics_port), **env}  # two ledgers on one machine need different ports
    return Program("worker", command, env, cwd=folder.run, stage=CLIENT_STAGE, stop_s_max=WORKER_STOP_S_MAX)
