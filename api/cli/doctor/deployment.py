"""The deployment in which `ledger doctor` runs: a remedy is a command that works there."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

from api.cli.doctor.check_result import CheckResult

VARIABLE: Final = "LEDGER_DEPLOYMENT"
Component = Literal["database", "broker", "worker", "beat"]
LEDGER_COMMAND: Final = re.compile(r"`ledger (?!up\b)([^`]+)`")


class Deployment(NamedTuple):
    """Commands of one deployment.

    Attributes:
        start: What starts each component.
        why_stopped: What shows why a worker or beat stopped.
        in_component: What a shell puts in front of a `ledger` command.
        migrate: The command that migrates with the owner's rights.
        export_keys: The command that saves the keyrings.
        backup: How backups are taken.
    """

    start: Mapping[Component, str]
    why_stopped: Mapping[Component, str]
    in_component: str = ""
    migrate: str = "`ledger migrate`"
    export_keys: str = "`ledger keys export --output FILE`"
    backup: str = "keep `ledger backup FOLDER --every 24` running, FOLDER on another machine: docs/how-to/backup.md"

    def start_process(self, component: Component) -> str:
        """Return the remedy for a worker or beat without a heartbeat."""
        return f"start it ({self.start[component]}); {self.why_stopped[component]}"

    def localize(self, sentence: str) -> str:
        """Return a sentence whose `ledger` commands can be pasted into a shell of this deployment."""
        sentence = sentence.replace("`ledger migrate`", self.migrate)
        return LEDGER_COMMAND.sub(rf"`{self.in_component}ledger \1`", sentence) if self.in_component else sentence

    def localize_result(self, result: CheckResult) -> CheckResult:
        """Return a result of one line whose commands can be pasted into a shell of this deployment."""
        line = " ".join(result.found.split())  # libpq's messages have several lines
        return result._replace(found=self.localize(line), remedy=self.localize(result.remedy))


_SERVICES: Final[Mapping[Component, str]] = {
    "worker": "`docker compose up -d celery_worker`",
    "beat": "`docker compose up -d celery_beat`",
}
_LOGS_OF_SERVICES: Final[Mapping[Component, str]] = {
    "worker": "`docker compose logs celery_worker` shows why it stopped",
    "beat": "`docker compose logs celery_beat` shows why it stopped",
}
_OWN_SERVER: Final = "or on the server that you gave it"
_IN_BACKEND: Final = "docker compose exec backend "
_MIGRATE_IN_CONTAINER: Final = "`docker compose run --rm migrate`"
_BACKUP_SERVICE: Final = "`docker compose --profile backup up -d`: docs/how-to/backup.md"
_BACKUP_OF_CLUSTER: Final = "`docker compose run --rm backup` each night: docs/how-to/cluster.md"
_EXPORT_FROM_BACKEND: Final = "`(umask 077; docker compose exec -T backend ledger keys export > FILE)`"

EMBEDDED: Final = Deployment(
    start=dict.fromkeys(("database", "broker", "worker", "beat"), "`ledger up`, which also restarts it automatically"),
    why_stopped={
        "worker": "`logs/worker.log` in the data folder shows why it stopped",
        "beat": "`logs/beat.log` in the data folder shows why it stopped",
    },
)
"""`ledger up` on one machine."""

PROCESSES: Final = Deployment(
    start={
        "database": "on its server",
        "broker": "on its server",
        "worker": "`ledger run worker`",
        "beat": "`ledger run beat`",
    },
    why_stopped=dict.fromkeys(("worker", "beat"), "its log shows why it stopped"),
)
"""Processes that a process manager of the operator's runs."""

DEPLOYMENTS: Final[Mapping[str, Deployment]] = {
    "compose": Deployment(
        start={
            "database": f"`docker compose up -d db`, {_OWN_SERVER}",
            "broker": f"`docker compose up -d redis`, {_OWN_SERVER}",
            **_SERVICES,
        },
        why_stopped=_LOGS_OF_SERVICES,
        in_component=_IN_BACKEND,
        migrate=_MIGRATE_IN_CONTAINER,
        export_keys=_EXPORT_FROM_BACKEND,
        backup=_BACKUP_SERVICE,
    ),
    "cluster-compose": Deployment(
        start={
            "database": "`docker compose up -d db1 db2 db3 haproxy`",
            "broker": "`docker compose up -d valkey1 valkey2 sentinel1 sentinel2 sentinel3`",
            **_SERVICES,
        },
        why_stopped=_LOGS_OF_SERVICES,
        in_component=_IN_BACKEND,
        migrate=_MIGRATE_IN_CONTAINER,
        export_keys=_EXPORT_FROM_BACKEND,
        backup=_BACKUP_OF_CLUSTER,
    ),
    "cluster": Deployment(
        start={
            "database": "`systemctl start etcd patroni` on each node, `systemctl start haproxy` on this machine",
            "broker": "`systemctl start valkey-server valkey-sentinel` on their machines",
            "worker": "`systemctl start ledger-worker`",
            "beat": "`systemctl start ledger-beat`",
        },
        why_stopped={
            "worker": "`journalctl -u ledger-worker` shows why it stopped",
            "beat": "`journalctl -u ledger-beat` shows why it stopped",
        },
        migrate="`ledger run migrate` as the owner: docs/how-to/cluster.md",
        backup="`systemctl start ledger-backup`, and look at its timer: docs/how-to/cluster.md",
    ),
}
"""Deployments that the files of `deploy` set up, by the value of LEDGER_DEPLOYMENT in their environment."""


def find_deployment(*, is_embedded: bool) -> Deployment:
    """Return the deployment that the environment names.

    Args:
        is_embedded: Whether the data folder is that of a `ledger up`, if the environment names none.
    """
    return DEPLOYMENTS.get(os.environ.get(VARIABLE, ""), EMBEDDED if is_embedded else PROCESSES)


def describe_unknown_deployment() -> Iterator[str]:
    """Yield a sentence about a deployment that does not exist."""
    name = os.environ.get(VARIABLE, "")
    if name and name not in DEPLOYMENTS:
        yield f"{VARIABLE} is not a deployment, write one of {', '.join(DEPLOYMENTS)}"
