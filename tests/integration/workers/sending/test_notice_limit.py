"""A recipient gets a bounded number of notices within an hour; those beyond it wait and are not lost."""

from domain.judgment import NOTICE
from projections.work_queue.outbox import OutboxRows
from tests.integration.workers.sending.test_delivery_steps import TOO_BIG, ScriptedChannel, reserved
from tests.support.delivery import deliver
from tests.support.ledger.ledger_bench import LedgerBench
from workers.sending.delivery_steps import DeliverySteps
from workers.sending.notices import NoticeSender

HOURLY_MAX = 2


def test_notices_of_one_recipient_are_deferred_beyond_the_hourly_limit(
    bench: LedgerBench, steps: DeliverySteps
) -> None:
    """Another recipient is not affected; after an hour the deferred one is sent."""
    for person in ("a@example.com", "a@example.com", "a@example.com", "b@example.com"):
        deliver(steps, reserved(bench, person), ScriptedChannel(TOO_BIG), "t1")

    channel = ScriptedChannel()
    first = _sent(bench, steps, channel)
    second = _sent(bench, steps, channel)
    waiting = bench.rows("SELECT attempts, due_at > now() FROM outbox WHERE due_at IS NOT NULL")
    _pass_an_hour(bench)
    third = _sent(bench, steps, channel)

    assert (first, second, third) == (HOURLY_MAX + 1, HOURLY_MAX + 1, HOURLY_MAX + 2)
    assert waiting == [(0, True)]
    assert bench.rows("SELECT count(*) FROM outbox WHERE outcome = 'sent'") == [(HOURLY_MAX + 2,)]


def test_notices_are_not_deferred_where_limits_are_off(bench: LedgerBench, steps: DeliverySteps) -> None:
    """As the settings say with `LEDGER_RATE_LIMIT=off`."""
    for _ in range(HOURLY_MAX + 1):
        deliver(steps, reserved(bench, "a@example.com"), ScriptedChannel(TOO_BIG), "t1")
    channel = ScriptedChannel()

    _sent(bench, steps, channel, hourly_max=None)

    assert len(channel.messages) == HOURLY_MAX + 1


def _sent(
    bench: LedgerBench, steps: DeliverySteps, channel: ScriptedChannel, hourly_max: int | None = HOURLY_MAX
) -> int:
    while NoticeSender(
        OutboxRows(bench.storage), bench.reader.find_reservation, steps, channel, hourly_max=hourly_max
    ).run():
        pass  # one run takes a bounded number
    return len(channel.messages)


def _pass_an_hour(bench: LedgerBench) -> None:
    with bench.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE outbox SET closed_at = closed_at - interval '1 hour'")
        conn.execute("UPDATE outbox SET due_at = due_at - make_interval(secs => %s)", (NOTICE.wait.first_s + 1,))
