"""Backends, workers and beat as separate process groups over one database and broker, as on several machines."""

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any, Self

from api.cli.embedded.bounded_wait import wait_until
from api.cli.embedded.process.program import kill_group
from api.cli.embedded.tcp_ports import HOST, find_free_port
from tests.faults.rigs.http_client import send
from tests.support.servers.embedded_stack import PROGRAM
from tests.support.waiting import WAIT_S_MAX


class LedgerHosts:
    """Named processes, each by `ledger run` in a session of its own."""

    def __init__(self, folder: Path, database_url: str, redis_url: str, smtp_url: str) -> None:
        folder.mkdir()
        self._folder = folder
        self._ports: dict[str, int] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.info = {"database_url": database_url}
        rings = ("1:" + base64.b64encode(os.urandom(32)).decode() for _ in range(2))
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LEDGER_", "DATABASE_URL", "REDIS_URL", "PROMETHEUS_"))
        }
        self.env = {
            **clean,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "LEDGER_SECRET_KEY": base64.b64encode(os.urandom(33)).decode(),
            "LEDGER_PEPPERS": next(rings),
            "LEDGER_MASTER_KEYS": next(rings),
            "LEDGER_SMTP_URL": smtp_url,
            "LEDGER_MAIL_FROM": "ledger@example.com",
            "LEDGER_RATE_LIMIT": "off",
            "LEDGER_LEASE_S": "5",
            "LEDGER_SMTP_TIMEOUT_S": "2",
            "LEDGER_WEBHOOK_TIMEOUT_S": "2",
            "LEDGER_RETRY_FIRST_S": "0.5",
            "LEDGER_SWEEP_S": "1",
            "LEDGER_TASK_TIME_LIMIT_S": "20",
            "LEDGER_VISIBILITY_TIMEOUT_S": "25",
            "LEDGER_WORKER_CONCURRENCY": "1",
        }

    def start(self, *names: str) -> None:
        """Start processes by name: what comes before the dash is the part, such as `backend-1`."""
        for name in names:
            part = name.partition("-")[0]
            own = self._folder / name
            own.mkdir(exist_ok=True)
            port = self._ports.setdefault(name, find_free_port())
            options = ["--host", HOST, "--port", str(port)] if part == "backend" else ["--name", name]
            with (self._folder / f"{name}.log").open("ab") as log:
                self._processes[name] = subprocess.Popen(
                    [*PROGRAM, "run", part, *options],
                    env={**self.env, "TMPDIR": str(own), "PROMETHEUS_MULTIPROC_DIR": str(own)},
                    cwd=own,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    def wait_ready(self, *backends: str) -> None:
        """Wait until these backends take redeems, and worker and beat have given heartbeats."""
        for name in backends:
            assert wait_until(lambda name=name: self._ready(name), WAIT_S_MAX), self.words()  # type: ignore[misc]  # mypy does not infer a lambda with a default

    def kill(self, *names: str) -> None:
        """Each process with its whole group, at once, as when its machine loses power."""
        for name in names:
            kill_group(self._processes[name].pid)
        for name in names:
            self._processes.pop(name).wait()

    def base(self, name: str) -> str:
        return f"http://{HOST}:{self._ports[name]}"

    def get(self, path: str) -> tuple[int, Any]:
        return self._get(next(name for name in self._ports if name.startswith("backend")), path)

    def issue(self, max_uses: int) -> str:
        return str(json.loads(self.cli("issue", "--max-uses", str(max_uses), "--open", "--json"))[0]["code"])

    def cli(self, *arguments: str) -> str:
        """A command with the hosts' settings; what it printed."""
        done = subprocess.run(
            [*PROGRAM, *arguments],
            env=self.env,
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=WAIT_S_MAX,
            check=True,
        )
        return done.stdout

    def words(self) -> str:
        return "\n".join(f"{log.name}: {log.read_text(errors='replace')[-600:]}" for log in self._folder.glob("*.log"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill(*self._processes)

    def _ready(self, name: str) -> bool:
        return bool(self._get(name, "/readyz")[1].get("status") == "ready")

    def _get(self, name: str, path: str) -> tuple[int, Any]:
        status, answer, _ = send(self.base(name), "GET", path, s_max=5)
        return (0, {}) if isinstance(answer, str) else (status, answer)
