"""Failovers that lose commits: no standby has to confirm them, so the promoted one lacks the last ones.

The answers of the ledger are those of the database that it has, whatever its processes saw of the former one: a use
that was reserved there, and that is in no log any more, is free.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from tests.faults.failover.api_observations import ApiReader
from tests.faults.failover.cluster import PatroniCluster
from tests.faults.rigs.http_client import REDEEM
from tests.faults.rigs.retries import retry

CODES: Final = 20
"""Codes with one use each that a round loses the reservations of."""
REPLICATED_S_MAX: Final = 30.0
FOUND_S_MAX: Final = 90.0
ACCEPTED: Final = {200, 202}


class LostRound(NamedTuple):
    lost: int
    broken: list[str]


def lose_commits(cluster: PatroniCluster, readers: Sequence[ApiReader]) -> LostRound:
    """Reserve uses that no standby receives, fail over, and ask two backends for them; the cluster is not healed."""
    primary = cluster.leader()
    assert primary is not None, cluster.words()
    standbys = [node for node in cluster.nodes if node is not primary]
    codes = [readers[0].issue(1) for _ in range(CODES)]
    assert retry(lambda: _is_replicated(cluster), s_max=REPLICATED_S_MAX), cluster.words()
    for node in standbys:
        node.machine.cut_incoming()
    statuses = [_redeem(readers[0], text, "first") for text, _ in codes]
    refused = [_redeem(readers[1], text, "second") for text, _ in codes]
    # What waits in the primary's sockets would arrive after its death.
    primary.machine.cut_outgoing()
    primary.kill()
    for node in standbys:
        node.machine.reconnect()
    broken = [f"not accepted before the failover: {status}" for status in statuses if status not in ACCEPTED]
    broken += [f"not held before the failover: {status}" for status in refused if status in ACCEPTED]
    is_found = retry(lambda: cluster.leader() not in {None, primary} and _are_answering(readers), s_max=FOUND_S_MAX)
    if not is_found:
        return LostRound(0, [*broken, "no answers from the promoted standby"])
    balances = [readers[0].get(f"/api/v1/codes/{code_id}") for _, code_id in codes]
    free = [number for number, code in enumerate(balances) if code["reserved"] == code["used_count"] == 0]
    for number in free:
        reader = readers[number % len(readers)]
        if (status := _redeem(reader, codes[number][0], "third")) not in ACCEPTED:
            broken.append(f"code {number} is free and was refused with {status} by backend {number % len(readers) + 1}")
    if not free:
        broken.append("the failover lost nothing")
    return LostRound(len(free), broken)


def _redeem(reader: ApiReader, code: str, person: str) -> int:
    """Redeem, and ask again while the database is unavailable; 0 if it remains so."""

    def ask() -> int:
        status, _ = reader.call("POST", REDEEM, {"code": code, "email": f"{person}@example.com"})
        return 0 if status == 503 else status

    return retry(ask, s_max=FOUND_S_MAX)


def _are_answering(readers: Sequence[ApiReader]) -> bool:
    return all(reader.is_answering() for reader in readers)


def _is_replicated(cluster: PatroniCluster) -> bool:
    members = cluster.members()
    return len(members) == len(cluster.nodes) and all(
        member.get("lag", 0) == 0 for member in members if member["role"] != "leader"
    )
