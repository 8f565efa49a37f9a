"""A vault row whose digest is not that of its text: nothing goes out to it, and a person decides."""

from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from domain.commands.reservation.request_resend import RequestResend
from domain.commands.reservation.resolve_case import ResolveReservation
from projections.telemetry.metrics import ERRORS
from tests.integration.workers.sending.delivery_rig import kinds
from tests.support.delivery import claim, deliver
from tests.support.fake_channel import FakeChannel
from tests.support.ledger.ledger_bench import LedgerBench, assert_no_drift, done
from workers.sending.delivery_steps import DeliverySteps

VICTIM, MALLORY = "victim@example.com", "mallory@example.com"


def swap(bench: LedgerBench, column: str = "digest") -> None:
    """Exchange a column of the two persons' rows, as the runtime role could."""
    name = sql.Identifier(column)
    with psycopg.connect(bench.database_url) as conn:
        rows = conn.execute(sql.SQL("SELECT recipient_id, {} FROM recipients ORDER BY 1").format(name)).fetchall()
        (one, first), (other, second) = rows
        change = sql.SQL("UPDATE recipients SET {} = %s WHERE recipient_id = %s").format(name)
        for row, value in ((one, b"-" * 32), (other, first), (one, second)):
            conn.execute(change, (value, row))


def both(bench: LedgerBench) -> tuple[UUID, UUID]:
    first, second = (done(bench.redeem(bench.issue(2), email)).require_reservation() for email in (VICTIM, MALLORY))
    return first.reservation_id, second.reservation_id


def causes(bench: LedgerBench) -> list[tuple[UUID, str, bool]]:
    return bench.rows("SELECT reservation_id, cause, closed_at IS NULL FROM cases ORDER BY opened_at")


@pytest.mark.parametrize("column", ["digest", "sealed"])
def test_invitation_is_parked_and_not_sent_when_the_address_is_not_that_of_the_digest(
    bench: LedgerBench, steps: DeliverySteps, column: str
) -> None:
    """Neither to the one nor to the other; the use stays reserved, and a retry after the repair sends it."""
    channel, before = FakeChannel(), ERRORS.labels("vault_error")._value.get()
    reservation_id, _ = both(bench)
    swap(bench, column)

    word = deliver(steps, reservation_id, channel, "t1")

    assert (word, channel.sent) == ("failed", [])
    assert [(reservation_id, "address_mismatch", True)] == causes(bench)
    assert "InviteFailed" in kinds(bench)
    assert "UseRefunded" not in kinds(bench)
    assert ERRORS.labels("vault_error")._value.get() == before + 1
    assert_no_drift(bench)

    swap(bench, column)
    retry = ResolveReservation(
        context=bench.context("staff"), reservation_id=reservation_id, resolution="retry", case_id=uuid4()
    )
    bench.run(retry)
    assert deliver(steps, reservation_id, channel, "t2") == "sent"
    assert [message.recipient.typed for message in channel.sent] == [VICTIM]


def test_no_message_is_sent_when_the_stored_text_is_not_an_email_address(
    bench: LedgerBench, steps: DeliverySteps
) -> None:
    """A text that was encrypted under the right key still adds no command to the dialogue with the mail server."""
    (reservation_id, _), channel, vault = both(bench), FakeChannel(), bench.storage.vault
    recipient_id, text = recipient(bench, reservation_id), "a@example.com\r\nRCPT TO:<b@example.com>"
    with psycopg.connect(bench.database_url) as conn:
        conn.execute(
            "UPDATE recipients SET sealed = %s, digest = %s WHERE recipient_id = %s",
            (
                vault.seal("recipient", recipient_id, text).sealed,
                vault.compute_digests("recipient", text)[0],
                recipient_id,
            ),
        )

    word = deliver(steps, reservation_id, channel, "t1")

    assert (word, channel.sent) == ("failed", [])
    assert causes(bench) == [(reservation_id, "address_mismatch", True)]


def test_broken_row_stops_only_its_own_message(bench: LedgerBench, steps: DeliverySteps) -> None:
    """Those that were claimed together with it go out."""
    items, channel = both(bench), FakeChannel()
    with psycopg.connect(bench.database_url) as conn:
        conn.execute("UPDATE recipients SET pepper_id = 77 WHERE recipient_id = %s", (recipient(bench, items[0]),))

    for claimed in claim(steps, items, channel.name, "t1"):
        steps.send(claimed, channel)

    assert [message.recipient.typed for message in channel.sent] == [MALLORY]


def recipient(bench: LedgerBench, reservation_id: UUID) -> UUID:
    recipient_id: UUID = bench.rows("SELECT recipient_id FROM reservations WHERE reservation_id = %s", reservation_id)[
        0
    ][0]
    return recipient_id


def test_message_goes_to_the_recipient_of_the_log_when_the_read_model_names_another(
    bench: LedgerBench, steps: DeliverySteps
) -> None:
    """Who may write the read model still can't redirect an invitation."""
    (reservation_id, other), channel = both(bench), FakeChannel()
    with psycopg.connect(bench.database_url) as conn:
        conn.execute(
            "UPDATE reservations SET recipient_id = %s WHERE reservation_id = %s",
            (recipient(bench, other), reservation_id),
        )

    deliver(steps, reservation_id, channel, "t1")

    assert [message.recipient.typed for message in channel.sent] == [VICTIM]


def test_resend_to_an_altered_row_becomes_a_case(bench: LedgerBench, steps: DeliverySteps) -> None:
    """The reservation stays sent and counted."""
    reservation_id, _ = both(bench)
    channel = FakeChannel()
    deliver(steps, reservation_id, channel, "t1")
    swap(bench)
    bench.run(RequestResend(context=bench.context("staff"), reservation_id=reservation_id))

    deliver(steps, reservation_id, channel, "t2")

    assert len(channel.sent) == 1
    assert [(reservation_id, "address_mismatch", True)] == causes(bench)
