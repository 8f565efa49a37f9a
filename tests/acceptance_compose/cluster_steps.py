"""What must hold of the ledger on the composed cluster (`deploy/ha`)."""

import time
from typing import Final

from tests.acceptance_compose.compose import Compose, docker, ensure, wait
from tests.acceptance_compose.people import RedeemRecord
from tests.acceptance_compose.steps import SERVED_S_MAX

REPLICAS: Final = {"backend": 2, "celery_worker": 2, "celery_beat": 2}
SINGLE: Final = (
    *("etcd1", "etcd2", "etcd3", "db1", "db2", "db3", "haproxy", "frontend"),
    *("valkey1", "valkey2", "sentinel1", "sentinel2", "sentinel3"),
)
GAP_S_MAX: Final = 60.0
"""Longest time in seconds without redeems after a container was killed: Patroni's ttl, and a slow machine."""


def cluster_is_healthy(compose: Compose) -> str:
    """Every service has its containers, all healthy."""
    health = compose.health()
    expected = {service: ["healthy"] * REPLICAS.get(service, 1) for service in (*SINGLE, *REPLICAS)}
    ensure(expected.items() <= health.items(), f"health: {health}")
    return f"{sum(map(len, health.values()))} containers"


def each_cluster_container_killed_in_turn(compose: Compose) -> str:
    """Redeems continue after each; afterwards each recipient has one email, and no acknowledged use is lost."""
    people = RedeemRecord(compose)
    code = compose.ledger("issue", "--max-uses", "unlimited", "--open")[0]["code"]
    sentences = []
    for service in (*SINGLE, *REPLICAS):
        container = compose("ps", "--quiet", service).split()[0]
        started = time.monotonic()
        docker("kill", container)
        if service not in {"haproxy", "frontend"}:
            # Without its one door, a machine answers nothing; with several machines each has one.
            people.click_patiently(code)
            people.click_patiently(code)
            seconds = time.monotonic() - started
            ensure(seconds < GAP_S_MAX, f"without {service} two redeems took {seconds:.0f} s")
            sentences.append(f"{service} {seconds:.0f} s")
        docker("start", container)
        compose.up()
    wait(people.all_are_served, SERVED_S_MAX, f"each recipient has one email: {people.states()}")
    used = compose.ledger("history", code)["used_count"]
    ensure(used == len(people.promised), f"used {used}, {len(people.promised)} promises")
    return f"two more redeems within: {', '.join(sentences)}; {used} uses, as many emails"


def a_lost_cluster_is_restored(compose: Compose) -> str:
    """A backup and the archive become a server next to the cluster, and then the cluster itself on empty volumes."""
    people = RedeemRecord(compose)
    code = compose.ledger("issue", "--max-uses", "unlimited", "--open")[0]["code"]
    people.click_patiently(code)
    backup = compose("run", "--rm", "--build", "backup").strip().splitlines()[-1]
    people.click_patiently(code)
    wait(people.all_are_served, SERVED_S_MAX, "each recipient has one email")
    history = compose.ledger("history", code)
    drill = compose("run", "--rm", "restore_drill").strip().splitlines()[-1]
    ensure("newest position" in drill, drill)
    # The drill waited until everything was archived.
    compose("kill")
    compose("down", "--volumes")

    compose("run", "--rm", "restore")
    recovered = compose("run", "--rm", "recover").strip().splitlines()[-1]
    compose.up("etcd1", "etcd2", "etcd3", "db1")
    compose.up()
    ensure(compose.ledger("history", code) == history, "the history is another")
    members = ("exec", "-T", "db1", "patronictl", "-c", "/etc/patroni/patroni.yml", "list")
    wait(lambda: "Sync Standby" in compose(*members), GAP_S_MAX, "a standby that confirms commits, and can take over")
    done = compose("exec", "-T", "backend", "ledger", "verify", check=False)
    ensure("every rule holds" in done, f"verify: {done[-2000:]}")
    return f"{backup}; {drill}; {recovered}"
