"""A cluster of a former release keeps what Patroni knows of it when its lock moves to the older interface of etcd."""

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from api.cli.embedded.bounded_wait import wait_until
from api.cli.embedded.tcp_ports import HOST, find_free_port
from tests.faults.failover.enclosure import find_program
from tests.faults.rigs.http_client import send
from tests.support.waiting import WAIT_S_MAX

pytestmark = pytest.mark.night(of="failover")

CARRY_LOCK = Path(__file__).parents[2] / "deploy/ha/containers/carry-lock.sh"
MOVE_S_MAX = 800
WAITS_S = 2.0
"""Seconds in which a script that did not wait would end."""
CLUSTER_KEYS = {
    "initialize": "7577",
    "config": '{"ttl":20,"synchronous_mode":true}',
    "sync": '{"leader":"db1","sync_standby":"db2","quorum":0}',
}


class EtcdMember:
    """One member of etcd that serves both interfaces."""

    def __init__(self, port: int) -> None:
        self.place = f"{HOST}:{port}"

    def put_newer(self, key: str, value: str) -> None:
        self._ask("/v3/kv/put", {"key": _encode(f"/service/ledger/{key}"), "value": _encode(value)})

    def delete_newer(self, key: str) -> None:
        self._ask("/v3/kv/deleterange", {"key": _encode(f"/service/ledger/{key}")})

    def older_values(self) -> dict[str, str]:
        nodes = self._ask("/v2/keys/service?recursive=true").get("node", {}).get("nodes", [])
        nodes = [node for folder in nodes for node in folder.get("nodes", [])]
        return {node["key"].rpartition("/")[2]: node["value"] for node in nodes}

    def is_healthy(self) -> bool:
        return bool(self._ask("/health").get("health") == "true")

    @contextmanager
    def carry_lock(self) -> "Iterator[subprocess.Popen[str]]":
        """Run the script until the block ends, as a container of the cluster does before Patroni."""
        env = {**os.environ, "PATRONI_ETCD_HOSTS": self.place}
        with subprocess.Popen(["/bin/sh", CARRY_LOCK], env=env, text=True, stdout=subprocess.PIPE) as carry:
            try:
                yield carry
            finally:
                carry.kill()

    def _ask(self, path: str, body: dict[str, str] | None = None) -> Any:  # noqa: ANN401 - any JSON document
        return send(self.place, "GET" if body is None else "POST", path, body).body


@pytest.fixture
def member(tmp_path: Path) -> Iterator[EtcdMember]:
    port, peer_port = find_free_port(), find_free_port()
    peers = f"http://{HOST}:{peer_port}"
    clients = f"http://{HOST}:{port}"
    command = [find_program("etcd"), "--data-dir", str(tmp_path / "etcd"), "--enable-v2", "--log-level", "error"]
    command += ["--listen-client-urls", clients, "--advertise-client-urls", clients]
    command += ["--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers]
    etcd = subprocess.Popen([*command, "--initial-cluster", f"default={peers}"], stderr=subprocess.DEVNULL)
    try:
        started = EtcdMember(port)
        assert wait_until(started.is_healthy, WAIT_S_MAX)
        yield started
    finally:
        etcd.kill()
        etcd.wait(WAIT_S_MAX)


def test_lock_is_carried_once_no_node_uses_the_former_interface(member: EtcdMember) -> None:
    """Until then nothing is written: a node of the former release could still take the lock there."""
    for key, value in CLUSTER_KEYS.items():
        member.put_newer(key, value)
    member.put_newer("members/db1", "{}")

    with member.carry_lock() as carry:
        assert carry.stdout is not None
        assert "waiting until no node uses it" in carry.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            carry.wait(WAITS_S)
        assert member.older_values() == {}
        member.delete_newer("members/db1")

        assert (carry.wait(WAIT_S_MAX), member.older_values()) == (0, CLUSTER_KEYS)


def test_carried_lock_is_never_overwritten(member: EtcdMember) -> None:
    """What the former interface holds is out of date once a node has started with the older one."""
    for key, value in CLUSTER_KEYS.items():
        member.put_newer(key, value)
    assert run_carry_lock(member) == 0
    member.put_newer("sync", '{"leader":"db3","sync_standby":null,"quorum":0}')

    assert (run_carry_lock(member), member.older_values()) == (0, CLUSTER_KEYS)


def test_new_cluster_starts_with_an_empty_store(member: EtcdMember) -> None:
    """There is nothing to carry, and Patroni initializes it."""
    assert (run_carry_lock(member), member.older_values()) == (0, {})


@pytest.mark.night(of="failover")
def test_acknowledged_redeems_survive_a_move_of_the_lock() -> None:
    """There and back under load, with a failover on each side; PostgreSQL runs through each move."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.failover", "--seed", "1", "--move-lock", "--slice"],
        capture_output=True,
        text=True,
        timeout=MOVE_S_MAX,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "| lock moved back | 1 |" in done.stdout
    assert "0 guarantees broken" in done.stdout


def run_carry_lock(member: EtcdMember) -> int:
    with member.carry_lock() as carry:
        return carry.wait(WAIT_S_MAX)


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
