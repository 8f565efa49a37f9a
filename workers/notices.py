"""Notices of refunds: one letter per refund from the outbox, tried a few times, never sent twice knowingly."""

from datetime import timedelta

from domain.ports import Accepted, Channel, Rejected, Uncertain
from projections.bootstrap import Storage
from projections.reading import Reader
from projections.sql import QUERIES
from workers.steps import Steps, outcome_word

TAKEN_MAX = 20
LEASE_S = 90
ATTEMPTS_MAX = 5
RETRY_S = 60


def send_notices(storage: Storage, reader: Reader, steps: Steps, channel: Channel) -> int:
    """Send the notices that are due; how many were tried.

    A notice whose sending may have succeeded is not tried again: a second one would worry more than a lost one.
    A worker that dies between taking and sending leaves it to be tried after the lease.
    """
    now = storage.recorder.clock.now()
    taken = {"now": now, "leased_until": now + timedelta(seconds=LEASE_S), "limit": TAKEN_MAX}
    with storage.datastore.get_connection() as conn:
        rows = conn.execute(QUERIES["take_outbox"], taken).fetchall()
    addresses = steps.addresses([row["reservation_id"] for row in rows]) if rows else {}
    for row in rows:
        item = reader.reservation(row["reservation_id"])
        address = addresses.get(row["reservation_id"])
        if item is None or address is None:
            outcome, again = "recipient_forgotten", False
        else:
            letter = steps.press.refund_notice(item, address, row["written_at"])
            result = channel.send(letter)
            outcome = outcome_word(result)
            retryable = not isinstance(result, Accepted | Uncertain)
            final = isinstance(result, Rejected) and result.final
            again = retryable and not final and row["attempts"] < ATTEMPTS_MAX
        due_at = now + timedelta(seconds=RETRY_S * row["attempts"]) if again else None
        with storage.datastore.get_connection() as conn:
            conn.execute(QUERIES["close_outbox"], (due_at, outcome, row["reservation_id"], row["template"]))
    return len(rows)
