"""What `ledger up` starts, in which order, and when it is ready."""

import http.client
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from api.cli.embedded.banner import print_banner
from api.cli.embedded.bounded_wait import wait_until
from api.cli.embedded.data_dir import DataDir
from api.cli.embedded.database_setup import DatabaseSetup
from api.cli.embedded.first_credentials import read_credentials
from api.cli.embedded.process.supervisor import Supervisor
from api.cli.embedded.secrets_file import load_secrets
from api.cli.embedded.services import ledger, postgres, valkey
from api.cli.embedded.services.ledger import OWNER_URL
from api.cli.embedded.stack_error import StackError
from api.cli.embedded.state_file import StackState, write_stack_state
from api.cli.embedded.tcp_ports import HOST, FreePorts
from projections.config.variables import BROKER_PASSWORD, POSTGRES_PASSWORD, RUN_PASSWORD
from workers.monitoring.broker_state import HEARTBEAT_KEYS

SERVER_S_MAX = 60.0
READY_S_MAX = 60.0
RESTARTS_MAX = 5
"""A program that died this often while everything starts will not become ready."""


def start_everything(folder: DataDir, port: int, demo: bool, supervisor: Supervisor) -> None:
    """Start everything, wait until it is ready, write `ledger.json` and print the banner.

    Raises:
        StackError: A program can't be started, or is not ready in time.
        typer.Exit: A setting is malformed, or the database can't be used; stderr says so.
    """
    secrets = load_secrets(folder.path)
    ports = FreePorts(port)
    plan = _plan_servers(folder, secrets, ports)
    owner_url = plan.urls.get(OWNER_URL) or plan.urls["DATABASE_URL"]
    env = ledger.build_child_environment(folder, port, {**secrets, **plan.urls})
    # They load their modules while the servers start, and wait for the gate.
    supervisor.start(
        ledger.api_program(folder, port, env),
        ledger.worker_program(folder, env, ports.draw()),
        ledger.beat_program(folder, env),
    )
    with DatabaseSetup(folder.run) as setup:
        _start_servers(folder, plan, supervisor)
        setup.run(env, owner_url, demo, lambda: supervisor.is_stopped)
    credentials = read_credentials(folder.path)
    missing = _wait_until_ready(port, supervisor)
    state = StackState(
        api=f"http://{HOST}:{port}",
        database_url=owner_url,
        redis_url=plan.urls["REDIS_URL"],
        mailbox=plan.urls.get("LEDGER_MAILBOX"),
        admin_key=credentials["admin_key"],
        staff_email=credentials["staff_email"],
        staff_password=credentials["staff_password"],
        demo_code=credentials["demo_code"],
        pid=os.getpid(),
        public_url=env["LEDGER_PUBLIC_URL"],
        smtp_url=env["LEDGER_SMTP_URL"],
        mail_from=env["LEDGER_MAIL_FROM"],
    )
    write_stack_state(folder.path, state)
    print_banner(state, missing)


class _Server(Protocol):
    """A private server."""

    def is_ready(self) -> bool:
        """Return whether it can be used."""


@dataclass(slots=True)
class _ServerPlan:
    """The servers to start, and the variables with the URLs of all servers.

    Attributes:
        urls: URLs by variable: of the environment, or of a private server that will listen there.
        broker: The private broker.
        sink_port: Port of the mail catcher.
        database: The private database: port, password of its owner.
    """

    urls: dict[str, str]
    broker: valkey.Valkey | None = None
    sink_port: int | None = None
    database: tuple[int, str] | None = None


def _plan_servers(folder: DataDir, secrets: Mapping[str, str], ports: FreePorts) -> _ServerPlan:
    """Choose ports for the servers that the environment does not name."""
    names = ("DATABASE_URL", OWNER_URL, "REDIS_URL", "LEDGER_SMTP_URL")
    plan = _ServerPlan({name: os.environ[name] for name in names if os.environ.get(name)})
    urls = plan.urls
    if "REDIS_URL" not in urls:
        plan.broker = valkey.prepare_valkey(folder.redis, ports.draw(), secrets[BROKER_PASSWORD])
        urls["REDIS_URL"] = plan.broker.url
    if "LEDGER_SMTP_URL" not in urls:
        plan.sink_port = ports.draw()
        urls["LEDGER_SMTP_URL"] = f"smtp://{HOST}:{plan.sink_port}"
        urls["LEDGER_MAILBOX"] = str(folder.mailbox)
    if "DATABASE_URL" not in urls:
        plan.database = (ports.draw(), secrets[POSTGRES_PASSWORD])
        urls[OWNER_URL] = postgres.build_url(postgres.OWNER, *plan.database)
        urls["DATABASE_URL"] = postgres.build_url(postgres.RUNNER, plan.database[0], secrets[RUN_PASSWORD])
    return plan


def _start_servers(folder: DataDir, plan: _ServerPlan, supervisor: Supervisor) -> None:
    """Start the planned servers, all at the same time, and wait until they are ready."""
    started: dict[str, _Server] = {}
    if plan.broker is not None:
        supervisor.start(plan.broker.program)
        started["valkey"] = plan.broker
    if plan.sink_port is not None:
        sink_env = ledger.build_child_environment(folder, 0, {})
        supervisor.start(ledger.sink_program(folder, plan.sink_port, sink_env))
    if plan.database is not None:
        database = postgres.prepare_postgres(folder.path, *plan.database)
        supervisor.start(database.program)
        started["postgres"] = database
    for name, server in started.items():
        _wait_until_server_ready(name, server, supervisor)
        if isinstance(server, valkey.Valkey):
            _delete_old_heartbeats(server)


def _delete_old_heartbeats(broker: valkey.Valkey) -> None:
    """Delete the heartbeats of the former run, after which worker and beat of this one would seem ready."""
    broker.delete_keys(*HEARTBEAT_KEYS.values())


def _wait_until_server_ready(name: str, server: _Server, supervisor: Supervisor) -> None:
    def is_settled() -> bool:
        return server.is_ready() or supervisor.restart_count(name) >= RESTARTS_MAX

    if not wait_until(is_settled, SERVER_S_MAX) or supervisor.restart_count(name) >= RESTARTS_MAX:
        raise _startup_error([name], supervisor)


@dataclass(slots=True)
class _Readiness:
    """The last response of `/readyz`."""

    port: int
    missing: tuple[str, ...] = ("api",)
    is_accepting: bool = False

    def poll(self) -> bool:
        """Request `/readyz`; True if nothing is missing."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            self.missing, self.is_accepting = ("api",), False
            return False
        finally:
            connection.close()
        self.missing = tuple(str(name) for name in answer.get("missing", ()))
        self.is_accepting = response.status == http.client.OK
        return self.is_accepting and answer.get("status") == "ready" and not self.missing


def _wait_until_ready(port: int, supervisor: Supervisor) -> list[str]:
    """Wait until nothing is missing; after READY_S_MAX the API must at least accept redemptions.

    Returns:
        The components that are still missing: emails wait for them, redemptions do not.

    Raises:
        StackError: A program dies again and again, or redemptions can't be accepted.
    """
    readiness = _Readiness(port)

    def find_broken() -> list[str]:
        return [name for name in ("api", "worker", "beat", "sink") if supervisor.restart_count(name) >= RESTARTS_MAX]

    is_complete = wait_until(lambda: bool(find_broken()) or readiness.poll(), READY_S_MAX)
    if broken := find_broken():
        raise _startup_error(broken, supervisor)
    if not is_complete and not readiness.is_accepting:
        raise _startup_error(list(readiness.missing), supervisor)
    return list(readiness.missing)


def _startup_error(names: list[str], supervisor: Supervisor) -> StackError:
    parts_named = ", ".join(names) or "everything"
    log_lines = "; ".join(filter(None, (supervisor.last_log_line(name)[:300] for name in names)))
    suffix = f" ({log_lines})" if log_lines else ""
    return StackError(f"not ready: {parts_named}{suffix}: see the logs in {supervisor.logs}")
