"""The faults of a run: what each does to the primary's node, and how all of them are undone."""

import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.faults.failover.cluster import PatroniCluster
from tests.faults.failover.front_servers import FrontServers
from tests.faults.failover.patroni_nodes import PatroniNode
from tests.faults.rigs.retries import pause

FROZEN_S: Final = 60.0
BETWEEN_LINKS_S: Final = (0.5, 3.0)


@dataclass(frozen=True, slots=True)
class FaultScene:
    """What a fault may touch; `primary` is the node that leads as the fault begins."""

    cluster: PatroniCluster
    front: FrontServers
    primary: PatroniNode
    choice: random.Random


@dataclass(frozen=True, slots=True)
class ClusterFault:
    """One kind of fault.

    Attributes:
        name: As reports call it.
        inject: Does it.
        is_deposing: Whether another node must lead before it is undone.
        held_s: Least time in seconds before it is undone.
        is_cutting: Whether members of etcd lose each other and return. What they had sent arrives then: nodes are
            missing in the list of members until they write again, and no standby counts as synchronous.
        is_outlasting: Whether there may be no answers until it is undone.
    """

    name: str
    inject: Callable[[FaultScene], None]
    is_deposing: bool = True
    held_s: float = 0.0
    is_cutting: bool = False
    is_outlasting: bool = False


def _switch_over(scene: FaultScene) -> None:
    assert scene.cluster.switch_over(scene.primary), "Patroni refused a planned switchover"


def _kill_postgres(scene: FaultScene) -> None:
    scene.primary.kill("postgres")


def _kill_patroni(scene: FaultScene) -> None:
    scene.primary.kill("patroni")


def _kill_both(scene: FaultScene) -> None:
    scene.primary.kill("patroni", "postgres")


def _kill_node(scene: FaultScene) -> None:
    scene.primary.kill()


def _freeze_node(scene: FaultScene) -> None:
    scene.primary.machine.signal(signal.SIGSTOP)


def _freeze_both_leaders(scene: FaultScene) -> None:
    """Freeze the primary's node while its member leads etcd too: once freed, that member knows old leases only."""
    leader = next(node for node in scene.cluster.nodes if node.is_etcd_leader())
    assert leader is scene.primary or leader.hand_etcd_to(scene.primary), "etcd refused to change its leader"
    _freeze_node(scene)


def _freeze_postgres(scene: FaultScene) -> None:
    scene.primary.machine.signal(signal.SIGSTOP, "postgres")


def _cut_both_ways(scene: FaultScene) -> None:
    scene.primary.machine.cut_incoming()
    scene.primary.machine.cut_outgoing()


def _cut_outgoing(scene: FaultScene) -> None:
    scene.primary.machine.cut_outgoing()


def _cut_incoming(scene: FaultScene) -> None:
    scene.primary.machine.cut_incoming()


def _kill_etcd_leader(scene: FaultScene) -> None:
    leader = next((node for node in scene.cluster.nodes if node.is_etcd_leader()), scene.primary)
    leader.kill("etcd")


def _fill_disk(scene: FaultScene) -> None:
    scene.primary.fill_disk()


def _clog_links(scene: FaultScene) -> None:
    """Cut the links of a random subset of nodes one by one, and reconnect them in another order."""
    nodes = scene.cluster.nodes
    clogged = scene.choice.sample(nodes, scene.choice.randint(2, len(nodes)))
    for node in clogged:
        node.machine.cut_incoming()
        node.machine.cut_outgoing()
        pause(scene.choice, BETWEEN_LINKS_S)
    for node in scene.choice.sample(clogged, len(clogged)):
        node.machine.reconnect()
        pause(scene.choice, BETWEEN_LINKS_S)


def _kill_broker(scene: FaultScene) -> None:
    scene.front.kill_broker()


CLUSTER_FAULTS: Final = (
    ClusterFault("planned switchover", _switch_over),
    ClusterFault("postgres killed", _kill_postgres, is_deposing=False),
    ClusterFault("Patroni killed", _kill_patroni),
    ClusterFault("postgres and Patroni killed", _kill_both),
    ClusterFault("node killed", _kill_node),
    ClusterFault("node frozen", _freeze_node, held_s=FROZEN_S, is_cutting=True),
    ClusterFault("node with both leaders frozen", _freeze_both_leaders, held_s=FROZEN_S, is_cutting=True),
    ClusterFault("postgres frozen", _freeze_postgres, is_deposing=False, held_s=FROZEN_S),
    ClusterFault("primary cut off", _cut_both_ways, is_cutting=True),
    ClusterFault("primary cannot send", _cut_outgoing, is_cutting=True),
    ClusterFault("primary cannot receive", _cut_incoming, is_cutting=True),
    ClusterFault("etcd leader killed", _kill_etcd_leader, is_deposing=False),
    ClusterFault("disk of the primary full", _fill_disk, is_outlasting=True),
    ClusterFault("links clogged one by one", _clog_links, is_deposing=False, is_cutting=True),
    ClusterFault("broker killed", _kill_broker, is_deposing=False),
)


def start_missing(scene: FaultScene) -> None:
    """Start what does not run, as a service manager does."""
    for node in scene.cluster.nodes:
        node.start_missing()
    scene.front.start_missing()


def heal(scene: FaultScene) -> None:
    for node in scene.cluster.nodes:
        node.machine.reconnect()
        node.free_disk()
        node.machine.signal(signal.SIGCONT)
    start_missing(scene)
