"""Gathers a run's observations: from the clients, the public API, the database and the mail server's log."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import psycopg

from projections.event_store.stored_state import read_fields
from tests.faults.chaos.load import RedeemLoad
from tests.faults.chaos.observations import BalanceFacts, LogFact, Observations, ReservationFacts, gathered_mails
from tests.support.servers.mail_server import MailServer

OPEN = "SELECT count(*) FROM reservations WHERE status = 'live' AND case_id IS NULL"
FACTS = "SELECT originator_id::text, originator_version, topic, state FROM ledger_events"
ROWS = "SELECT reservation_id::text, code_id::text, status, case_id IS NOT NULL FROM reservations"
BALANCES = "SELECT code_id::text, max_uses, used, reserved FROM code_balances"


def unsettled(database_url: str) -> int:
    """Reservations that are neither settled nor have an open case."""
    with psycopg.connect(database_url, connect_timeout=5) as conn:
        row = conn.execute(OPEN).fetchone()
    assert row is not None
    return int(row[0])


class RunningLedger(Protocol):
    """Where a ledger runs: an embedded stack, or several hosts."""

    @property
    def info(self) -> Mapping[str, Any]:
        """Its `database_url`."""

    def get(self, path: str) -> tuple[int, Any]:
        """One GET from its API."""


def observe(stack: RunningLedger, load: RedeemLoad, mail: MailServer) -> Observations:
    """Everything that the checker wants to know, once the run has come to rest."""
    with psycopg.connect(stack.info["database_url"], connect_timeout=5) as conn:
        facts = [
            LogFact(code_id, version, topic.partition(":")[0], read_fields(state))
            for code_id, version, topic, state in conn.execute(FACTS.encode())
        ]
        rows = [ReservationFacts(*row) for row in conn.execute(ROWS.encode())]
        balances = [BalanceFacts(*row) for row in conn.execute(BALANCES.encode())]
    return Observations(
        acks=load.acks,
        states=_states(stack, sorted({ack.reservation_id for ack in load.acks})),
        facts=facts,
        rows=rows,
        balances=balances,
        message_ids=gathered_mails(mail),
        defects=load.defects,
    )


def _states(stack: RunningLedger, ids: Sequence[str]) -> dict[str, str]:
    states = {}
    for reservation_id in ids:
        status, answer = stack.get(f"/api/v1/public/redemptions/{reservation_id}")
        states[reservation_id] = str(answer.get("state", "")) if status == 200 else ""
    return states
