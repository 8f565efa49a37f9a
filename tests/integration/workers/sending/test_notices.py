"""Notices: one each to the address that a use was moved away from, with when and what to do; few within an hour."""

from dataclasses import replace as replace_fields
from datetime import timedelta
from typing import Literal
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.events.event import ActorKind
from domain.judgment import NOTICE
from domain.ports import Language, Outcome, RetryLater
from domain.values.identifiers import EmailAddress
from projections.work_queue.impossible_times import bring_back_times
from projections.work_queue.outbox import OutboxRows
from tests.integration.workers.sending.delivery_rig import BUSY, DOUBT, TOO_BIG, reserve, send_notices
from tests.support.delivery import deliver
from tests.support.fake_channel import FakeChannel
from tests.support.ledger.ledger_bench import LedgerBench, done
from workers.channels.mail_message import render_parts
from workers.sending.delivery_steps import DeliverySteps

HOURLY_MAX = 2
OLD, NEW = "ly.wei@example.com", "li.wei@example.com"


def redeemed(bench: LedgerBench, language: Language = "en") -> tuple[str, UUID]:
    code = bench.issue()
    command = replace(bench.reserve(code, OLD), language=language)
    return code, done(bench.run(command)).require_reservation().reservation_id


def correction(bench: LedgerBench, code: str, reservation_id: UUID, actor: ActorKind) -> CorrectRecipient:
    vault = bench.storage.vault
    return CorrectRecipient(
        context=bench.context(actor),
        reservation_id=reservation_id,
        recipient=vault.draft_recipient(EmailAddress.parse(NEW), uuid4()),
        new_reservation_id=uuid4(),
        code_digests=vault.compute_digests("code", code) if actor == "person" else None,
        token_of=reservation_id if actor == "person" else None,
    )


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("actor", ["person", "staff"])
def test_old_address_gets_one_notice_of_a_correction(
    bench: LedgerBench, steps: DeliverySteps, language: Language, actor: Literal["person", "staff"]
) -> None:
    """It says when it happened and what to do, but not where the use went; the same request again sends no other."""
    channel = FakeChannel()
    code, old = redeemed(bench, language)
    deliver(steps, old, channel, "t1")
    for _ in range(2):
        done(bench.run(correction(bench, code, old, actor)))

    posted = [send_notices(bench, steps, channel) for _ in range(2)]

    notice = channel.sent[-1]
    said = render_parts(notice)
    assert (posted, len(channel.sent)) == ([1, 0], 2)
    assert (notice.template, notice.recipient.typed, notice.reservation_id) == ("correction_notice", OLD, old)
    assert f"{notice.written_at:%Y-%m-%d}" in said.text
    assert f"{notice.written_at:%H:%M}" in said.text
    assert ("contact support" if language == "en" else "请联系客服") in said.text
    assert notice.link.endswith(f"/r/{old}")
    assert NEW not in said.text + said.html


@pytest.mark.parametrize(
    ("outcome", "actor", "expected"),
    [(None, "person", []), (BUSY, "person", []), (DOUBT, "staff", ["correction_notice"])],
)
def test_correction_of_an_unsent_invitation_needs_no_notice(
    bench: LedgerBench, steps: DeliverySteps, outcome: Outcome | None, actor: ActorKind, expected: list[str]
) -> None:
    """No email has left for the old address; after an attempt with an unknown outcome one may have."""
    code, old = redeemed(bench)
    if outcome is not None:
        deliver(steps, old, FakeChannel(outcome), "t1")

    done(bench.run(correction(bench, code, old, actor)))

    assert [template for (template,) in bench.rows("SELECT template FROM outbox")] == expected


def test_notice_waits_as_long_as_it_is_asked_to(bench: LedgerBench, steps: DeliverySteps) -> None:
    """Sweeps leave it alone, though it waits longer than any wait that no channel asked for; up to a day."""
    now, code_and_id = bench.storage.recorder.clock.now, redeemed(bench)
    deliver(steps, code_and_id[1], FakeChannel(), "t1")
    done(bench.run(correction(bench, *code_and_id, "person")))
    later = RetryLater(server="team", reason="full", wait=timedelta(days=30))
    outbox = OutboxRows(bench.storage)

    count = send_notices(bench, steps, FakeChannel(later))
    with bench.storage.datastore.get_connection() as conn:
        brought_back = bring_back_times(conn, now())

    assert (count, brought_back) == (1, {})
    assert outbox.take(now() + timedelta(hours=23)) is None
    assert outbox.take(now() + timedelta(days=1)) is not None


def test_notice_that_was_written_while_the_clock_was_ahead_waits_no_hour(
    bench: LedgerBench, steps: DeliverySteps
) -> None:
    """A channel asked for a minute, by the same clock, an hour ahead."""
    now, code_and_id = bench.storage.recorder.clock.now(), redeemed(bench)
    deliver(steps, code_and_id[1], FakeChannel(), "t1")
    done(bench.run(correction(bench, *code_and_id, "person")))
    later = RetryLater(server="team", reason="full", wait=timedelta(minutes=1))
    outbox, real = OutboxRows(bench.storage), now - timedelta(hours=1)

    send_notices(bench, steps, FakeChannel(later))
    with bench.storage.datastore.get_connection() as conn:
        brought_back = bring_back_times(conn, real)

    assert brought_back == {"outbox": 1}
    assert outbox.take(real) is not None


@pytest.mark.parametrize(("lost", "expected"), [(NOTICE.attempts_max - 1, "sent"), (NOTICE.attempts_max, "unknown")])
def test_notice_whose_workers_all_ended_is_unknown_after_the_last_attempt(
    bench: LedgerBench, steps: DeliverySteps, lost: int, expected: str
) -> None:
    """Whatever ends them would end the next one too; before that each lost lease is one attempt."""
    now, code_and_id = bench.storage.recorder.clock.now(), redeemed(bench)
    deliver(steps, code_and_id[1], FakeChannel(), "t1")
    done(bench.run(correction(bench, *code_and_id, "person")))
    outbox, channel = OutboxRows(bench.storage), FakeChannel()
    for nth in range(lost):
        assert outbox.take(now + timedelta(minutes=1 + 2 * nth)) is not None

    later = replace_fields(steps, now=lambda: now + timedelta(hours=1))
    count = send_notices(bench, later, channel)

    assert (count, len(channel.sent)) == (1, 1 if expected == "sent" else 0)
    assert bench.rows("SELECT outcome, due_at FROM outbox") == [(expected, None)]


def test_notice_of_a_newer_release_is_left_to_its_workers(bench: LedgerBench, steps: DeliverySteps) -> None:
    """This one does not know what the notice says: it sends no other text, and spends no attempt."""
    _, reservation_id = redeemed(bench)
    deliver(steps, reservation_id, FakeChannel(), "t1")
    bench.rows(
        "INSERT INTO outbox (reservation_id, template, written_at, due_at)"
        " VALUES (%s, 'of_a_newer_release', now(), now()) RETURNING 1",
        reservation_id,
    )
    channel = FakeChannel()

    count = send_notices(bench, steps, channel)

    assert (count, channel.sent) == (1, [])
    assert bench.rows("SELECT attempts, due_at > now() FROM outbox") == [(0, True)]


def test_notices_of_one_recipient_are_deferred_beyond_the_hourly_limit(
    bench: LedgerBench, steps: DeliverySteps
) -> None:
    """Another recipient is not affected; after an hour the deferred one is sent."""
    for person in ("a@example.com", "a@example.com", "a@example.com", "b@example.com"):
        deliver(steps, reserve(bench, person), FakeChannel(TOO_BIG), "t1")

    channel = FakeChannel()
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
        deliver(steps, reserve(bench, "a@example.com"), FakeChannel(TOO_BIG), "t1")
    channel = FakeChannel()

    _sent(bench, steps, channel, hourly_max=None)

    assert len(channel.sent) == HOURLY_MAX + 1


def _sent(bench: LedgerBench, steps: DeliverySteps, channel: FakeChannel, hourly_max: int | None = HOURLY_MAX) -> int:
    while send_notices(bench, steps, channel, hourly_max=hourly_max):
        pass  # one run takes a bounded number
    return len(channel.sent)


def _pass_an_hour(bench: LedgerBench) -> None:
    with bench.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE outbox SET closed_at = closed_at - interval '1 hour'")
        conn.execute("UPDATE outbox SET due_at = due_at - make_interval(secs => %s)", (NOTICE.wait.first_s + 1,))
