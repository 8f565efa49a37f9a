"""What is on its way to a person. Each message is sent under a lease, and an erasure waits for those to the person.

A sender commits its lease, and then reads the address here. An erasure keeps these reads waiting from before it looks
for leases until it has committed. So it finds the lease of every address that was read, and what is leased later finds
no address.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from psycopg import ClientCursor, Cursor
from psycopg.rows import tuple_row

from domain.ports import UnverifiedAddress
from domain.values.identifiers import EmailAddress
from projections.database.errors import translate_database_errors
from projections.read_models.reader import read_recipients
from projections.sql.privacy import PrivacySql
from projections.storage.bootstrap import LedgerStore
from projections.work_queue.impossible_times import find_bounds


class InFlight(NamedTuple):
    """Messages to a person that may be on their way: how many, and the end of the last lease; None without any."""

    messages: int
    until: datetime | None


def find_in_flight(
    cursor: Cursor[tuple[object, ...]], recipient_ids: Sequence[UUID], digests: Sequence[bytes], now: datetime
) -> InFlight:
    """Return what is on its way to a person, by their ids in the log and the digests of their address."""
    parameters = {**find_bounds(now), "recipient_ids": list(recipient_ids), "digests": list(digests)}
    return InFlight._make(cursor.execute(PrivacySql.in_flight, parameters).fetchall()[0])


def read_leased_addresses(
    storage: LedgerStore, recipient_ids: Sequence[UUID]
) -> dict[UUID, EmailAddress | UnverifiedAddress]:
    """Return the addresses to which leased messages are sent, as `Reader` does, but not during an erasure."""
    # One message to the server with both statements, in one transaction; the second sees what the first waited for.
    statement = f"{PrivacySql.share_addresses}; {PrivacySql.recipients_by_id}"
    with (
        translate_database_errors(),
        storage.datastore.get_connection() as conn,
        ClientCursor(conn, row_factory=tuple_row) as cursor,
    ):
        cursor.execute(statement, (list(recipient_ids),))
        cursor.nextset()
        return read_recipients(storage.vault, cursor.fetchall())


@contextmanager
def lease_test_email(
    storage: LedgerStore, test_id: UUID, recipient: EmailAddress, longest_send: timedelta
) -> Iterator[None]:
    """Lease a test email to an address, while it is sent."""
    digest = storage.vault.compute_digests("recipient", recipient.normal)[0]
    leased_until = storage.recorder.clock.now() + longest_send
    with translate_database_errors(), storage.datastore.get_connection() as conn:
        conn.execute(PrivacySql.lease_test_email, (test_id, digest, leased_until))
    try:
        yield
    finally:
        with translate_database_errors(), storage.datastore.get_connection() as conn:
            conn.execute(PrivacySql.end_test_email, (test_id,))
