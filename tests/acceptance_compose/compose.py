"""One composed ledger, as an operator handles it: `docker compose` in a clone of its own."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tests.support.waiting import wait_for

COMMAND_S_MAX = 900
SERVICES = ("db", "redis", "backend", "celery_worker", "celery_beat", "frontend")
ONE_SHOT = ("migrate", "secrets")
MAILS = """
import json, mailbox
found = mailbox.Maildir("/mailbox", create=False)
print(json.dumps([{name.lower(): value for name, value in mail.items()} for mail in found]))
"""

T = TypeVar("T")


class FailedError(Exception):
    """Something is not as it should be. The message says what."""


class Compose:
    """A project of `docker compose`.

    Args:
        clone: Where compose.yaml lies.
        project: Its name, which keeps its containers and volumes apart from others.
        port: What the frontend publishes.
    """

    def __init__(self, clone: Path, project: str, port: int) -> None:
        self.clone = clone
        self.project = project
        self.port = port
        self.image = "redemption-ledger"
        self.profiles = ["demo"]

    def __call__(self, *arguments: str, check: bool = True, stdin: str = "") -> str:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("LEDGER_", "COMPOSE_"))}
        env: Mapping[str, str] = {
            **clean,
            "LEDGER_PORT": f"127.0.0.1:{self.port}",
            "LEDGER_IMAGE": self.image,
            "COMPOSE_PROFILES": ",".join(self.profiles),
        }
        command = ["docker", "compose", "--project-name", self.project, *arguments]
        done = subprocess.run(
            command,
            cwd=self.clone,
            env=env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        if check and done.returncode != 0:
            raise FailedError(f"{' '.join(command)}: exit {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")
        return done.stdout

    def up(self, *more: str) -> None:
        self("up", "-d", "--wait", *more)

    def ledger(self, *arguments: str) -> Any:  # noqa: ANN401 - any JSON document
        return json.loads(self("exec", "-T", "backend", "ledger", *arguments, "--json"))

    def health(self) -> dict[str, list[str]]:
        """Health of all containers by service, without those that exit when their work is done."""
        services_by_health: dict[str, list[str]] = {}
        for line in self("ps", "--all", "--format", "json").splitlines():
            container = json.loads(line)
            if container["Service"] in ONE_SHOT and container["ExitCode"] == 0:
                continue
            services_by_health.setdefault(container["Service"], []).append(container["Health"] or container["State"])
        return services_by_health

    def inspect(self, service: str) -> dict[str, Any]:
        name = self("ps", "--quiet", service).split()[0]
        return dict(json.loads(docker("inspect", name))[0])

    def mails(self) -> list[dict[str, str]]:
        return list(json.loads(self("exec", "-T", "mailcatcher", "python", "-c", MAILS)))


def docker(*arguments: str) -> str:
    program = shutil.which("docker")
    if program is None:
        raise FailedError("the command docker is not installed")
    command = [program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S_MAX, check=False)
    if done.returncode != 0:
        raise FailedError(f"docker {' '.join(arguments)}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def wait(read_value: Callable[[], T], seconds: float, why: str) -> T:
    """Wait until something is true, within a bound that is promised."""
    ends = time.monotonic() + seconds

    def read_in_time() -> T:
        if not (value := read_value()) and time.monotonic() > ends:
            raise FailedError(f"not within {seconds:.0f} s: {why}")
        return value

    return wait_for(read_in_time)


def ensure(holds: object, why: str) -> None:
    if not holds:
        raise FailedError(why)
