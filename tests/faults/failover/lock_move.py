"""Moving the lock of a running cluster to another interface of etcd (docs/how-to/move-the-cluster-lock.md)."""

from typing import Final

from tests.faults.failover.cluster import PatroniCluster
from tests.faults.failover.cluster_faults import CLUSTER_FAULTS, ClusterFault, FaultScene
from tests.faults.failover.patroni_nodes import LOCK_INTERFACE
from tests.faults.rigs.retries import retry

FORMER_INTERFACE: Final = "etcd3"
"""Where clusters of former releases keep their lock, as a section of Patroni's configuration."""


def _move_here(scene: FaultScene) -> None:
    move_lock(scene, LOCK_INTERFACE)


def _move_back(scene: FaultScene) -> None:
    move_lock(scene, FORMER_INTERFACE)


def move_lock(scene: FaultScene, interface: str) -> None:
    """Move the lock to an interface while PostgreSQL runs on, and remove what the former one held."""
    cluster, primary = scene.cluster, scene.primary
    standbys = [node for node in cluster.nodes if node is not primary]
    former = primary.lock_interface
    started, timeline = _start_times(cluster), cluster.timeline()
    cluster.set_pause(is_on=True)
    for node in standbys:
        node.stop("patroni")
    for node in cluster.nodes:
        _serve_both_interfaces(cluster, node.machine.name)
    primary.stop("patroni")
    primary.configure_lock(interface)
    primary.start_patroni()
    assert retry(lambda: primary.lock_holder(interface) == primary.machine.name), cluster.words()
    for node in standbys:
        node.configure_lock(interface)
        node.start_patroni()
    assert retry(cluster.is_whole), cluster.words()
    cluster.set_pause(is_on=False)
    assert retry(lambda: primary.lock_holder(former) is None), f"{former} still has a holder of the lock"
    primary.remove_lock(former)
    assert (_start_times(cluster), cluster.timeline()) == (started, timeline), "PostgreSQL did not run through"


def _serve_both_interfaces(cluster: PatroniCluster, name: str) -> None:
    """Restart one member of etcd with the older interface too, and wait until all members agree on a leader."""
    node = next(node for node in cluster.nodes if node.machine.name == name)
    if node.has_older_interface:
        return
    node.has_older_interface = True
    node.stop("etcd")
    node.start_etcd()
    assert retry(cluster.has_etcd_quorum), cluster.words()


def _start_times(cluster: PatroniCluster) -> list[str]:
    return [node.ask("/patroni")[1]["postmaster_start_time"] for node in cluster.nodes]


_BY_NAME: Final = {fault.name: fault for fault in CLUSTER_FAULTS}
LOCK_MOVES: Final = (
    ClusterFault("lock moved", _move_here, is_deposing=False, is_cutting=True),
    _BY_NAME["node killed"],
    ClusterFault("lock moved back", _move_back, is_deposing=False, is_cutting=True),
    _BY_NAME["planned switchover"],
    ClusterFault("lock moved again", _move_here, is_deposing=False, is_cutting=True),
    _BY_NAME["postgres and Patroni killed"],
)
"""The rounds of a cluster that was set up by a former release: there and back, with a failover on each side."""
