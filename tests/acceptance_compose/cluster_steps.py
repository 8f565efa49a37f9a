"""What must hold of the ledger on the composed cluster (`deploy/ha`)."""

import json
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
ROLES: Final = ["Leader", "Replica", "Sync Standby"]
MEMBERS: Final = "http://127.0.0.1:2379/v2/members"
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


def lost_parts_are_replaced(compose: Compose) -> str:
    """The commands of the guide replace an etcd member and a standby without volumes, and copy a standby again."""
    people = RedeemRecord(compose)
    code = compose.ledger("issue", "--max-uses", "unlimited", "--open")[0]["code"]
    _lose(compose, "etcd3")
    people.click_patiently(code)
    started = time.monotonic()
    _replace_member(compose, "etcd3")
    sentences = [f"etcd3 in {time.monotonic() - started:.0f} s"]
    first, second = (node for node, (role, _) in _nodes(compose).items() if role != "Leader")
    reinit = ("patronictl", "-c", "/etc/patroni/patroni.yml", "reinit", "ledger", second, "--force", "--wait")
    for node, command in ((first, ("up", "-d", first)), (second, ("exec", "-T", first, *reinit))):
        if node == first:
            _lose(compose, node)
            people.click_patiently(code)
        started = time.monotonic()
        compose(*command)
        wait(lambda: _is_whole(compose), GAP_S_MAX, f"{node} is a standby again")
        sentences.append(f"{node} in {time.monotonic() - started:.0f} s")
        people.click_patiently(code)
    wait(people.all_are_served, SERVED_S_MAX, f"each recipient has one email: {people.states()}")
    used = compose.ledger("history", code)["used_count"]
    ensure(used == len(people.promised), f"used {used}, {len(people.promised)} promises")
    _verify(compose)
    return ", ".join(sentences)


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
    wait(lambda: _is_whole(compose), GAP_S_MAX, "a standby that confirms commits, and can take over")
    _verify(compose)
    return f"{backup}; {drill}; {recovered}"


def _lose(compose: Compose, service: str) -> None:
    compose("rm", "--stop", "--force", service)
    docker("volume", "rm", f"{compose.project}_{service}")


def _replace_member(compose: Compose, name: str) -> None:
    """Let etcd discard a lost member, and another one join; it starts again with the state `new` of the container."""
    curl = ("exec", "-T", "etcd1", "curl", "-fsS")
    ids = {member["name"]: member["id"] for member in json.loads(compose(*curl, MEMBERS))["members"]}
    compose(*curl, "-X", "DELETE", f"{MEMBERS}/{ids[name]}")
    added = json.dumps({"peerURLs": [f"http://{name}:2380"]})
    compose(*curl, "-H", "Content-Type: application/json", "-d", added, MEMBERS)
    script = f"sed s/state=new/state=existing/ /containers/etcd.sh | sh -s {name}"
    joining = compose("run", "--rm", "--no-deps", "--use-aliases", "--detach", name, "sh", "-c", script).strip()
    health = (*curl, f"http://{name}:2379/health")
    wait(lambda: '"true"' in compose(*health, check=False), GAP_S_MAX, f"{name} joins")
    docker("stop", joining)
    compose.up(name)
    now = {member["name"]: member["id"] for member in json.loads(compose(*curl, MEMBERS))["members"]}
    ensure(now.keys() == ids.keys() and now[name] != ids[name], f"members: {now}, formerly {ids}")


def _nodes(compose: Compose) -> dict[str, tuple[str, str]]:
    """Role and state of each database node; none if no node answers."""
    for node in ("db1", "db2", "db3"):
        listed = compose(
            *("exec", "-T", node, "patronictl", "-c", "/etc/patroni/patroni.yml", "list", "-f", "json"), check=False
        )
        if listed:
            return {row["Member"]: (row["Role"], row["State"]) for row in json.loads(listed)}
    return {}


def _is_whole(compose: Compose) -> bool:
    nodes = _nodes(compose).values()
    return sorted(role for role, _ in nodes) == ROLES and {state for _, state in nodes} == {"running", "streaming"}


def _verify(compose: Compose) -> None:
    done = compose("exec", "-T", "backend", "ledger", "verify", check=False)
    ensure("every rule holds" in done, f"verify: {done[-2000:]}")
