"""The cluster: its nodes, who leads, whether it is whole, and a planned switchover."""

from pathlib import Path
from typing import Any, Final

import psycopg

from api.cli.embedded.services.postgres import DATABASE, OWNER
from tests.faults.failover.patroni_nodes import NO_LEADER, PASSWORD, POSTGRES_PORT, PatroniNode
from tests.faults.rigs.retries import retry
from tests.support.servers.machines import Machine, Network, run
from tests.support.waiting import WAIT_S_MAX

NOT_BY_REWIND: Final = "replica has been created using basebackup"


class PatroniCluster:
    """Some nodes with one history.

    Attributes:
        is_synchronous: Whether a standby must confirm each commit, as it is at the start.
    """

    is_synchronous = True

    def __init__(self, node_count: int, logs: Path, lock_interface: str) -> None:
        run("ip", "link", "set", "lo", "up")
        network = Network("10.77.0", "ledger0")
        machines = [Machine(network, number, f"node{number}", logs) for number in range(1, node_count + 1)]
        addresses = [machine.address for machine in machines]
        self.nodes = [PatroniNode(machine, addresses, lock_interface) for machine in machines]

    def start(self) -> None:
        """Start every node, and create the ledger's role and database on the primary."""
        for node in self.nodes:
            node.start_etcd()
        assert retry(lambda: any(node.is_etcd_leader() for node in self.nodes)), self.words()
        for node in self.nodes:
            node.start_patroni()
        assert retry(self.is_whole), self.words()
        self._create_database()

    def leader(self) -> PatroniNode | None:
        """Return the node that Patroni's members agree on as the primary, if it runs."""
        for node in self.nodes:
            if node.ask("/primary")[0] == 200:
                return node
        return None

    def primaries(self) -> list[str]:
        """Return the names of the nodes that HAProxy would send writes to now."""
        return [node.machine.name for node in self.nodes if node.ask("/primary")[0] == 200]

    def stop_confirming(self) -> None:
        """Let the primary answer commits that no standby has confirmed; wait until it does."""
        leader = self.leader()
        assert leader is not None, self.words()
        self.is_synchronous = False
        assert leader.change_settings({"synchronous_mode": None, "synchronous_mode_strict": None}), self.words()
        assert retry(lambda: not self._confirming_standbys() and self.is_whole()), self.words()

    def is_whole(self) -> bool:
        """Return whether every node runs, one leads, all are on one timeline, and etcd agrees.

        Where commits are confirmed, one standby is synchronous too.
        """
        members = self.members()
        roles = [member["role"] for member in members]
        standbys = {member["name"] for member in members if member["role"] == "sync_standby"}
        return (
            len(members) == len(self.nodes)
            and roles.count("leader") == 1
            and (bool(standbys & self._confirming_standbys()) or not self.is_synchronous)
            and all(member["state"] in {"running", "streaming"} for member in members)
            and len({member.get("timeline") for member in members}) == 1
            and self.has_etcd_quorum()
        )

    def has_etcd_quorum(self) -> bool:
        """Return whether every member of etcd runs and follows the same leader."""
        leaders = {node.etcd_view()[1] for node in self.nodes}
        return len(leaders) == 1 and NO_LEADER not in leaders

    def timeline(self) -> int:
        """Return the newest timeline of the members: each promotion adds one."""
        return max((member.get("timeline", 0) for member in self.members()), default=0)

    def members(self) -> list[dict[str, Any]]:
        """Return the members as the first node that answers lists them."""
        for node in self.nodes:
            status, answer = node.ask("/cluster")
            if status == 200:
                return list(answer["members"])
        return []

    def switch_over(self, leader: PatroniNode) -> bool:
        """Move the primary to the synchronous standby, as an operator does; return whether Patroni did it."""
        standby = next(member["name"] for member in self.members() if member["role"] == "sync_standby")
        body = {"leader": leader.machine.name, "candidate": standby}
        return leader.command("/switchover", body, WAIT_S_MAX)[0] == 200

    def set_pause(self, *, is_on: bool) -> None:
        """Turn the maintenance mode on or off, in which Patroni stops no PostgreSQL; wait until each node knows."""
        leader = self.leader()
        assert leader is not None, self.words()
        assert leader.change_settings({"pause": is_on or None}), self.words()
        is_known = [lambda node=node: bool(node.ask("/patroni")[1].get("pause")) is is_on for node in self.nodes]
        assert all(retry(condition) for condition in is_known), self.words()

    def copied_nodes(self) -> int:
        """Return how often a standby was created as a whole copy; each node is once, at the start."""
        return sum(node.machine.read_log("patroni").count(NOT_BY_REWIND) for node in self.nodes)

    def rewound_nodes(self) -> int:
        """Return how often pg_rewind returned an old primary to the cluster's history."""
        return sum(node.machine.read_log("patroni").count("pg_rewind exit code=0") for node in self.nodes)

    def words(self) -> str:
        return "\n".join(
            f"{node.machine.name} {name}: {node.machine.read_log(name)[-1500:]}"
            for node in self.nodes
            for name in ("etcd", "patroni")
        )

    def _confirming_standbys(self) -> set[str]:
        """Return the names of the standbys that PostgreSQL itself waits for, whatever is recorded in etcd."""
        leader = self.leader()
        answer = {} if leader is None else leader.ask("/primary")[1]
        rows = answer.get("replication", []) if isinstance(answer, dict) else []
        return {row["application_name"] for row in rows if row["sync_state"] == "sync"}

    def _create_database(self) -> None:
        leader = self.leader()
        assert leader is not None, self.words()
        url = f"postgresql://postgres:{PASSWORD}@{leader.machine.address}:{POSTGRES_PORT}/postgres"
        role = f"CREATE ROLE {OWNER} LOGIN CREATEDB CREATEROLE PASSWORD '{PASSWORD}' IN ROLE pg_monitor"
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as conn:
            conn.execute(role.encode())
            conn.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}".encode())
