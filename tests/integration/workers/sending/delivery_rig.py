"""What tests of invitations and notices do with a ledger and a channel without a network."""

from typing import Final
from uuid import UUID

import pytest

from domain.ports import Channel, OutcomeUnknown, Rejected
from projections.work_queue.outbox import OutboxRows
from tests.support.ledger.ledger_bench import LedgerBench, done
from workers.channels.group_router import Cooldowns
from workers.sending.delivery_steps import DeliverySteps
from workers.sending.notices import NoticeSender

TOO_BIG: Final = Rejected(server="mx:25", reason="message_refused", final=True, reply_code=552)
BUSY: Final = Rejected(server="mx:25", reason="temporary", final=False, reply_code=451)
DOUBT: Final = OutcomeUnknown(server="mx:25", cause="timeout")


def reserve(bench: LedgerBench, email: str = "Li.Wei@example.com") -> UUID:
    """A reservation on a new code."""
    return done(bench.redeem(bench.issue(), email)).require_reservation().reservation_id


def reserve_several(bench: LedgerBench, count: int) -> list[UUID]:
    """Reservations on one open code."""
    code = bench.issue(None, bound=False)
    commands = [bench.reserve(code, f"p{number}@example.com") for number in range(count)]
    return [done(result).require_reservation().reservation_id for result in bench.storage.ledger.execute(commands)]


def kinds(bench: LedgerBench) -> list[str]:
    """Event names in order, without the issue."""
    rows = bench.rows("SELECT topic FROM ledger_events ORDER BY notification_id")
    return [topic.split(":")[0] for (topic,) in rows][1:]


def count_statuses(bench: LedgerBench) -> dict[str, int]:
    """How many reservations there are of each status."""
    return dict(bench.rows("SELECT status, count(*) FROM reservations GROUP BY 1"))


def send_notices(
    bench: LedgerBench,
    steps: DeliverySteps,
    channel: Channel,
    *,
    cooldowns: Cooldowns | None = None,
    hourly_max: int | None = None,
) -> int:
    """Run a worker once; how many notices it leased."""
    outbox, find = OutboxRows(bench.storage), bench.reader.find_reservation
    return NoticeSender(outbox, find, steps, channel, cooldowns or Cooldowns(), hourly_max).run()


def move_clock(bench: LedgerBench, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Move the database clock of this process."""
    clock = bench.storage.recorder.clock
    monotonic = clock._monotonic
    monkeypatch.setattr(clock, "_monotonic", lambda: monotonic() + seconds)
    monkeypatch.setattr(clock, "is_stale", lambda: False)
