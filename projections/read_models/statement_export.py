"""Export of every code's history, code by code, in bounded memory."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Final
from uuid import UUID

from psycopg import Connection

from domain.events.campaign import CampaignEvent
from domain.model.redeem_code import RedeemCode, evolve_code
from projections.database.copy_reader import read_copied_events
from projections.database.errors import translate_outage
from projections.event_store.codec import decode
from projections.event_store.snapshots import stable_position
from projections.read_models.stream_entry import Entry
from projections.sql.read_models import ReadModelsSql
from projections.sql.transfer import TransferSql

PAGE_EVENTS: Final = 50_000
FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)


def read_statement_lines(
    conn: Connection[Any], begin: Callable[[int], None], only: UUID | None = None
) -> Iterator[Entry[RedeemCode]]:
    """Yield lines in order of code id and version, up to the current end of the log; redeem requests continue.

    Args:
        conn: A connection without a bound on statements.
        begin: Called with the number of events.
        only: One code; None for all.

    Raises:
        StorageUnavailableError: The database is unavailable, or became so.
    """
    with translate_outage("export"):
        until = stable_position(conn)
        begin(_count_events(conn, until))
        yield from _read_lines(conn, until, only)


def _count_events(conn: Connection[Any], until: int) -> int:
    row = conn.execute(TransferSql.count_events_until, (until,)).fetchone()
    return int(row[0]) if row else 0


def _read_lines(conn: Connection[Any], until: int, only: UUID | None) -> Iterator[Entry[RedeemCode]]:
    code: RedeemCode | None = None
    after, last = (only or FIRST, 0), only or LAST
    while True:
        read = 0
        with closing(read_copied_events(conn, ReadModelsSql.copy_log_page, (*after, last, until, PAGE_EVENTS))) as page:
            for stored in page:
                read += 1
                stream, version, position, topic, state = stored
                event = decode(topic, state)
                code_id = UUID(bytes=stream)
                after = (code_id, version)
                if isinstance(event, CampaignEvent):
                    continue
                before = code if code and code.code_id == code_id else None
                code = evolve_code(before, code_id, version, event)
                yield Entry(code_id, version, position, event, before, code)
        if read < PAGE_EVENTS:
            return
