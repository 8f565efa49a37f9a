"""The end of a run in which the sweep erases addresses: days pass by the database's clock, and then it is right again.

Whose address is needed is read from the rows before, and shares nothing with the code that erases.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import uuid4

import psycopg

from tests.faults.rigs.http_client import KeyedClient
from tests.faults.rigs.retries import retry
from tests.support.servers.embedded_stack import Stack
from tests.support.servers.stepped_clock import SteppedClock

RETENTION_DAYS = 7
AHEAD = timedelta(days=17)
"""Of codes that end 7 and 14 days after their hand-out, only the first ended longer ago than the retention then."""
REDEEMS_MAX = 3
BETWEEN_S = 1.0
STALE_S_MAX = 15.0
"""A process that writes once a second knows the time after so long: it asks every 10 s."""
ALL = "SELECT recipient_id::text FROM recipients"
NEEDED = """
    SELECT recipient_id FROM reservations WHERE case_id IS NOT NULL OR status = 'live' OR accepted_at IS NOT NULL
    UNION SELECT recipient_id FROM opt_outs
    UNION SELECT recipient_id FROM suppressed_addresses
    UNION SELECT h.recipient_id FROM handed_out_codes h JOIN code_balances b USING (code_id)
        JOIN handed_out_codes m ON m.code_id = coalesce(h.line_id, h.code_id)
        WHERE b.used + b.reserved = 0 AND coalesce(b.expires_at, 'infinity') > now() + interval '10 days'
        AND NOT (m.mail = 1 AND m.mail_state IN ('failed', 'bounced', 'skipped'))
    UNION SELECT l.recipient_id FROM hand_out_recipients l
        WHERE NOT EXISTS (SELECT FROM handed_out_codes h WHERE h.code_id = l.code_id)
    UNION SELECT r.recipient_id FROM reservations r
        JOIN code_balances b USING (code_id) JOIN campaigns c USING (campaign_id)
        WHERE c.max_per_person IS NOT NULL AND r.status <> 'refunded'
"""
ENDED = """
    SELECT code_id::text FROM code_balances JOIN handed_out_codes USING (code_id)
    WHERE expires_at IS NOT NULL AND line_id IS NULL AND used + reserved = 0
"""
ERASURES = "SELECT count(*) FROM audit WHERE act = 'erased_unaccepted'"


class Swept(NamedTuple):
    """What the days led to: how many addresses there were and were erased, answers to late requests, what is wrong."""

    addresses: int = 0
    erased: int = 0
    late_answers: Sequence[str] = ()
    broken: Sequence[str] = ()


def let_days_pass(stack: Stack, clock: SteppedClock, codes: dict[str, str], open_code: str) -> Swept:
    """Wait until the sweep has erased what nothing needs, and redeem some codes after their own ends.

    In the meantime people redeem an open code, because processes ask for the time when they write.
    """
    url = str(stack.info["database_url"])
    before, needed = _read(url, ALL), _read(url, NEEDED)
    late = [codes[code_id] for code_id in sorted(_read(url, ENDED) & codes.keys())][:REDEEMS_MAX]
    clock.set_ahead(AHEAD)
    try:
        began = time.monotonic()

        def is_swept() -> bool:
            if before & _read(url, ALL) <= needed and time.monotonic() >= began + STALE_S_MAX:
                return True
            _redeem(stack, open_code, f"busy{uuid4()}@example.com")
            return False

        retry(is_swept, every_s=BETWEEN_S)
        left = before & _read(url, ALL)
        answers = [_redeem(stack, code, "late@example.com") for code in late]
    finally:
        clock.set_ahead(timedelta())
    broken = [
        *find_wrong_addresses(before, needed, left),
        *(f"{answer} after its own end" for answer in answers if answer != "CODE_EXPIRED"),
    ]
    if bool(before - left) != bool(_read(url, ERASURES) - {"0"}):
        broken.append("the audit log and the addresses do not agree on whether some were erased")
    return Swept(len(before), len(before - left), answers, broken)


def find_wrong_addresses(before: set[str], needed: set[str], left: set[str]) -> Iterator[str]:
    """Yield the recipients whose address was erased although something needs it, or is left although nothing does."""
    yield from (f"the address of {key} was erased, and something needs it" for key in sorted((needed & before) - left))
    yield from (f"the address of {key} was not erased, and nothing needs it" for key in sorted(left - needed))


def _redeem(stack: Stack, code: str, email: str) -> str:
    with KeyedClient(stack.base) as client:
        status, answer = client.ask_until_answered(f"{email} {code}", {"code": code, "email": email})
    return str(answer.get("code", status))


def _read(database_url: str, query: str) -> set[str]:
    with psycopg.connect(database_url, connect_timeout=5) as conn:
        return {str(value) for (value,) in conn.execute(query.encode())}
