"""What stands between the ledger and the cluster: HAProxy, and a broker that Sentinel fails over."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from redis import Redis, RedisError

from api.cli.embedded.services import binaries
from api.cli.embedded.tcp_ports import HOST
from tests.faults.rigs.retries import retry

PRIMARY_PORT, STANDBY_PORT = 5000, 5001
VALKEY_PORTS: Final = (6381, 6382)
SENTINEL_PORTS: Final = (26381, 26382, 26383)
BROKER_URL: Final = f"sentinel://{','.join(f'{HOST}:{port}' for port in SENTINEL_PORTS)}/0?master_name=ledger"
PROXY: Final = Path(__file__).parents[3] / "deploy/ha/haproxy.cfg"
"""The configuration that operators get; addresses are in its environment."""


class FrontServers:
    def __init__(self, folder: Path, logs: Path, addresses: Sequence[str]) -> None:
        self._folder, self._logs = folder, logs
        folder.mkdir()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._env = {**os.environ, "CLUSTER_BIND": HOST}
        self._env |= {f"CLUSTER_NODE{number}": address for number, address in enumerate(addresses, start=1)}

    def start(self) -> None:
        """Start all of them, and wait until one Valkey follows the other."""
        self._spawn("haproxy", "haproxy", "-db", "-f", str(PROXY))
        for port in VALKEY_PORTS:
            self.start_valkey(port, follows=None if port == VALKEY_PORTS[0] else VALKEY_PORTS[0])
        for port in SENTINEL_PORTS:
            self._start_sentinel(port)
        assert retry(self.is_whole), "the second Valkey does not follow the first"

    def start_valkey(self, port: int, follows: int | None) -> None:
        (data := self._folder / f"valkey-{port}").mkdir(exist_ok=True)
        options = ["--bind", HOST, "--port", str(port), "--dir", str(data), "--save", "", "--maxmemory-policy"]
        options += ["noeviction", *(("--replicaof", HOST, str(follows)) if follows else ())]
        self._spawn(f"valkey-{port}", str(binaries.find_valkey_server()), *options)

    def kill_broker(self) -> None:
        port = next(port for port in VALKEY_PORTS if self._role_of(port) == "master")
        process = self._processes.pop(f"valkey-{port}")
        process.send_signal(signal.SIGKILL)
        process.wait()

    def start_missing(self) -> None:
        """Start a killed Valkey once the other one takes writes; it follows that one, as Sentinel would say."""
        for port, other in (VALKEY_PORTS, VALKEY_PORTS[::-1]):
            if f"valkey-{port}" not in self._processes and self._role_of(other) == "master":
                self.start_valkey(port, follows=other)

    def is_whole(self) -> bool:
        return sorted(self._role_of(port) for port in VALKEY_PORTS) == ["master", "slave"]

    def _start_sentinel(self, port: int) -> None:
        configuration = self._folder / f"sentinel-{port}.conf"
        configuration.write_text(
            f"bind {HOST}\nport {port}\ndir {self._folder}\n"
            f"sentinel monitor ledger {HOST} {VALKEY_PORTS[0]} 2\n"
            "sentinel down-after-milliseconds ledger 2000\nsentinel failover-timeout ledger 10000\n"
        )
        program = str(binaries.find_valkey_server())
        self._spawn(f"sentinel-{port}", program, str(configuration), "--sentinel")

    def _spawn(self, name: str, *command: str) -> None:
        with (self._logs / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command, env=self._env, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _role_of(self, port: int) -> str:
        with suppress(RedisError), Redis(HOST, port, socket_timeout=1) as client:
            return str(client.info("replication")["role"])
        return ""
