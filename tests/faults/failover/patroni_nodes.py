"""A node of the cluster: PostgreSQL under Patroni, and one member of etcd, on a machine with a small disk."""

import base64
import json
import os
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from api.cli.embedded.os_accounts import choose_account
from api.cli.embedded.process.program import OsAccount, build_server_environment
from api.cli.embedded.services import binaries
from tests.faults.failover.enclosure import DISK, mount_memory
from tests.faults.rigs.http_client import send
from tests.faults.rigs.retries import retry
from tests.support.servers.machines import Machine

PASSWORD: Final = "only-for-tests"
DISK_SIZE: Final = "400m"
ASK_S_MAX: Final = 2.0
HAND_OVER_S_MAX: Final = 10.0
SCOPE: Final = "ledger"
LOCK_KEY: Final = f"service/{SCOPE}/leader"
NO_LEADER: Final = "0"
"""What etcd says in an election."""
POSTGRES_PORT, PATRONI_PORT, ETCD_PORT, ETCD_PEER_PORT = 5432, 8008, 2379, 2380
DEPLOYED: Final = Path(__file__).parents[3] / "deploy/ha"
"""The configuration that operators get: a run uses its rules of failover."""
SHIPPED: Final = yaml.safe_load((DEPLOYED / "patroni.yml").read_text("utf-8"))
ETCD_RULES: Final = dict(
    re.findall(
        r"^(ETCD_(?:HEARTBEAT_INTERVAL|ELECTION_TIMEOUT|ENABLE_V2))=(\S+)$",
        (DEPLOYED / "systemd/etcd.env").read_text("utf-8"),
        re.MULTILINE,
    )
)
LOCK_INTERFACE: Final = re.findall(
    r"^PATRONI_(\w+)_HOSTS=", (DEPLOYED / "systemd/patroni.env").read_text("utf-8"), re.MULTILINE
)[0].lower()
"""Which of etcd's interfaces holds Patroni's lock, as a section of Patroni's configuration."""
SMALL: Final = {
    "max_connections": 100,
    "shared_buffers": "32MB",
    "min_wal_size": "16MB",
    "max_wal_size": "64MB",
    "wal_keep_size": "64MB",
    "archive_mode": "off",
}
"""Settings for three nodes on one test machine."""


def _dynamic_settings() -> dict[str, Any]:
    """Return what all nodes share, in etcd."""
    shipped: dict[str, Any] = SHIPPED["bootstrap"]["dcs"]
    postgresql = shipped["postgresql"]
    return {**shipped, "postgresql": {**postgresql, "parameters": {**postgresql["parameters"], **SMALL}}}


class PatroniNode:
    """One node. Its processes are found by the machine that they run on.

    Attributes:
        lock_interface: Which of etcd's interfaces holds the lock that Patroni of this node asks for.
        has_older_interface: Whether its member of etcd serves the older interface too.
    """

    def __init__(self, machine: Machine, peers: Sequence[str], lock_interface: str) -> None:
        self.machine = machine
        self.has_older_interface = lock_interface == LOCK_INTERFACE
        self._peers = peers
        self._folder = DISK / machine.name
        mount_memory(self._folder, DISK_SIZE)
        self._folder.chmod(0o711)
        self.data = self._folder / "postgres"
        program = binaries.find_postgres_folder() / "postgres"
        account = choose_account(self.data, program)
        self._as_account = _launcher(account)
        self._configuration = self._folder / "patroni.json"
        self._programs = program.parent
        self.configure_lock(lock_interface)
        if account.uid is not None and account.gid is not None:
            os.chown(self._folder, account.uid, account.gid)

    def configure_lock(self, interface: str) -> None:
        """Write Patroni's configuration with its lock in an interface of etcd; it is read when Patroni starts."""
        self.lock_interface = interface
        # A document in JSON is one in YAML too.
        self._configuration.write_text(json.dumps(self._document(interface)))

    def lock_holder(self, interface: str) -> str | None:
        """Return the name of the node that holds the lock in an interface of etcd; None if no node does."""
        if interface == LOCK_INTERFACE:
            answer = self._request("GET", f"/v2/keys/{LOCK_KEY}", None, ASK_S_MAX, ETCD_PORT)[1]
            return answer.get("node", {}).get("value") if isinstance(answer, dict) else None
        body = {"key": base64.b64encode(f"/{LOCK_KEY}".encode()).decode()}
        answer = self._request("POST", "/v3/kv/range", body, ASK_S_MAX, ETCD_PORT)[1]
        values = [base64.b64decode(pair["value"]).decode() for pair in answer.get("kvs", [])]
        return values[0] if values else None

    def remove_lock(self, interface: str) -> None:
        """Remove everything that an interface of etcd holds of this cluster, as an operator does."""
        configuration = self._folder / "former.json"
        configuration.write_text(json.dumps(self._document(interface)))
        program = ("/usr/bin/patronictl", "-c", str(configuration), "remove", SCOPE)
        self.machine.run_inside(*program, stdin=f"{SCOPE}\nYes I am aware\n")

    def start_etcd(self) -> None:
        """Start the member of etcd; its data remain over a restart."""
        address, folder = self.machine.address, DISK / f"{self.machine.name}-etcd"
        cluster = ",".join(f"node{peer.rpartition('.')[2]}=http://{peer}:{ETCD_PEER_PORT}" for peer in self._peers)
        options = {
            "name": self.machine.name,
            "data-dir": folder,
            "listen-client-urls": f"http://{address}:{ETCD_PORT}",
            "advertise-client-urls": f"http://{address}:{ETCD_PORT}",
            "listen-peer-urls": f"http://{address}:{ETCD_PEER_PORT}",
            "initial-advertise-peer-urls": f"http://{address}:{ETCD_PEER_PORT}",
            "initial-cluster": cluster,
            "initial-cluster-state": "new",
            "log-level": "warn",
        }
        rules = {**ETCD_RULES, "ETCD_ENABLE_V2": str(self.has_older_interface).lower()}
        command = ("etcd", *(f"--{name}={value}" for name, value in options.items()))
        self.machine.spawn("etcd", *command, env={**build_server_environment(), **rules})

    def start_patroni(self) -> None:
        environment = {**build_server_environment(), "PYTHONDONTWRITEBYTECODE": "1"}
        command = (*self._as_account, "/usr/bin/patroni", str(self._configuration))
        self.machine.spawn("patroni", *command, env=environment)

    def start_missing(self) -> None:
        """Start etcd and Patroni if they do not run, as a service manager does."""
        if not self.machine.processes("etcd"):
            self.start_etcd()
        if not self.machine.processes("patroni"):
            self.start_patroni()

    def stop(self, name: str) -> None:
        self.machine.signal(signal.SIGTERM, name)
        assert retry(lambda: not self.machine.processes(name)), self.machine.read_log(name)[-1500:]

    def kill(self, *names: str) -> None:
        self.machine.signal(signal.SIGKILL, *names)

    def ask(self, path: str) -> tuple[int, Any]:
        """One GET from Patroni; status 0 if no answer came."""
        return self._request("GET", path, None, ASK_S_MAX)

    def command(self, path: str, body: object, s_max: float) -> tuple[int, Any]:
        return self._request("POST", path, body, s_max)

    def change_settings(self, changes: Mapping[str, object]) -> bool:
        """Change what all nodes share, in etcd; None deletes a setting. Return whether Patroni did it."""
        return self._request("PATCH", "/config", changes, HAND_OVER_S_MAX)[0] == 200

    def is_etcd_leader(self) -> bool:
        member, leader = self.etcd_view()
        return leader != NO_LEADER and member == leader

    def hand_etcd_to(self, other: "PatroniNode") -> bool:
        """Make another node's member lead etcd, which this node's member leads; return whether etcd did it."""
        body = {"targetID": other.etcd_view()[0]}
        return self._request("POST", "/v3/maintenance/transfer-leadership", body, HAND_OVER_S_MAX, ETCD_PORT)[0] == 200

    def etcd_view(self) -> tuple[str, str]:
        """Return the ids of its member of etcd and of the leader that this member follows."""
        status, answer = self._request("POST", "/v3/maintenance/status", {}, ASK_S_MAX, ETCD_PORT)
        if status != 200:
            return "", NO_LEADER
        return answer["header"]["member_id"], answer.get("leader", NO_LEADER)

    def fill_disk(self) -> None:
        """Write until nothing more fits."""
        with self._ballast.open("wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(65536))
            except OSError:
                return

    def free_disk(self) -> None:
        self._ballast.unlink(missing_ok=True)

    @property
    def _ballast(self) -> Path:
        return self._folder / "ballast"

    def _request(self, method: str, path: str, body: object, s_max: float, port: int = PATRONI_PORT) -> tuple[int, Any]:
        return send(f"{self.machine.address}:{port}", method, path, body, s_max=s_max)[:2]

    def _document(self, lock_interface: str) -> dict[str, Any]:
        address = self.machine.address
        network = address.rpartition(".")[0] + ".0/24"
        return {
            "scope": SCOPE,
            "name": self.machine.name,
            "restapi": {"listen": f"{address}:{PATRONI_PORT}", "connect_address": f"{address}:{PATRONI_PORT}"},
            lock_interface: {"hosts": [f"{peer}:{ETCD_PORT}" for peer in self._peers]},
            "bootstrap": {
                "dcs": _dynamic_settings(),
                # Small segments: a full disk stops the primary within seconds, as it stops a busy one.
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, {"wal-segsize": "1"}, {"auth": "scram-sha-256"}],
            },
            "postgresql": {
                "listen": f"{address}:{POSTGRES_PORT}",
                "connect_address": f"{address}:{POSTGRES_PORT}",
                "data_dir": str(self.data),
                "bin_dir": str(self._programs),
                "pgpass": str(self._folder / "pgpass"),
                "authentication": {
                    "superuser": {"username": "postgres", "password": PASSWORD},
                    "replication": {"username": "replicator", "password": PASSWORD},
                    "rewind": {"username": "rewinder", "password": PASSWORD},
                },
                "parameters": {"unix_socket_directories": str(self._folder)},
                "pg_hba": [
                    "local all all scram-sha-256",
                    f"host all all {network} scram-sha-256",
                    f"host replication replicator {network} scram-sha-256",
                ],
            },
            "watchdog": {"mode": "off"},
        }


def _launcher(account: OsAccount) -> tuple[str, ...]:
    """Return the words that run a program as an account: it changes inside the machine, which only root may enter."""
    if account.launcher or account.uid is None:
        return account.launcher
    return ("setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups", "--")
