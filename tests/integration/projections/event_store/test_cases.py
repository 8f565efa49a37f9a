"""Cases, late successes and bounces on real PostgreSQL: rows, lookups and texts."""

from uuid import UUID, uuid4

from domain.commands.delivery.record_bounce import RecordMailReport
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.commands.reservation.refund import RefundReservation
from domain.commands.reservation.reserve import ReserveUse
from domain.commands.reservation.resolve_case import RefundAfterOutage, Resolution, ResolveReservation
from domain.ports import OutcomeUnknown, Rejected
from tests.support.ledger.ledger_bench import SENT, LedgerBench, assert_no_drift, done

REFUSED = Rejected(server="mx:25", reason="address_refused", final=True, about_address=True, reply_code=550)
LOST = OutcomeUnknown(server="mx:25", cause="connection_lost")
CASES = "SELECT cause, closed_how, closed_at IS NULL FROM cases ORDER BY opened_at, case_id"


def reserved(bench: LedgerBench, code: str, email: str = "li.wei@example.com") -> UUID:
    return done(bench.redeem(code, email)).require_reservation().reservation_id


def success(bench: LedgerBench, reservation_id: UUID, attempt: int) -> RecordOutcome:
    return RecordOutcome(
        context=bench.context("worker", "t9"),
        reservation_id=reservation_id,
        delivery=1,
        attempt=attempt,
        outcome=SENT,
        case_id=uuid4(),
    )


def bounce(bench: LedgerBench, reservation_id: UUID) -> RecordMailReport:
    return RecordMailReport(
        context=bench.context("key"),
        evidence="token",
        reservation_id=reservation_id,
        delivery=1,
        reason="mailbox_unknown",
        case_id=uuid4(),
        text=bench.storage.vault.seal_text("no such user", uuid4(), reservation_id),
    )


def resolve(bench: LedgerBench, reservation_id: UUID, resolution: Resolution) -> ResolveReservation:
    return ResolveReservation(
        context=bench.context("staff", "s1"),
        reservation_id=reservation_id,
        resolution=resolution,
        case_id=uuid4(),
        note=bench.storage.vault.seal_text("asked by phone", uuid4(), reservation_id),
    )


def texts(bench: LedgerBench) -> set[str | None]:
    return {bench.reader.find_private_text(text_id) for (text_id,) in bench.rows("SELECT text_id FROM private_texts")}


def test_case_is_a_row_until_it_is_closed(bench: LedgerBench) -> None:
    """A bounce opens it, staff close it; the server's words and the note are in the vault."""
    reservation_id = reserved(bench, bench.issue())
    bench.attempt(reservation_id)
    bench.run(bounce(bench, reservation_id))
    assert bench.rows(CASES) == [("bounced", None, True)]

    bench.run(resolve(bench, reservation_id, "sent"))

    assert bench.rows(CASES) == [("bounced", "resolved_sent", False)]
    assert texts(bench) == {"no such user", "asked by phone"}
    assert_no_drift(bench)


def test_case_opened_and_closed_in_one_batch_is_one_row(bench: LedgerBench) -> None:
    """Bounce and refund meet in a group commit; so do the opening and the end of a doubt that was not parked."""
    code = bench.issue(2, bound=False)
    bounced, doubtful = reserved(bench, code), reserved(bench, code, "wang@example.com")
    bench.attempt(bounced)
    bench.attempt(doubtful, LOST)
    refund = RefundReservation(context=bench.context("staff", "r1"), reservation_id=bounced, cause="staff")

    bench.storage.ledger.execute([bounce(bench, bounced), refund, resolve(bench, doubtful, "refunded")])

    assert sorted(bench.rows(CASES)) == [
        ("bounced", "resolved_refunded", False),
        ("unknown_outcome", "resolved_refunded", False),
    ]
    assert bench.rows("SELECT used, reserved FROM code_balances") == [(0, 0)]
    assert_no_drift(bench)


def test_late_success_finds_the_newer_reservation_in_the_database(bench: LedgerBench) -> None:
    """The person redeemed again in the meantime: the old use is not counted next to the new one."""
    code = bench.issue(3)
    first = reserved(bench, code)
    bench.attempt(first, REFUSED)
    bench.attempt(reserved(bench, code))

    bench.run(success(bench, first, 2))

    assert bench.rows(CASES) == [("newer_reservation", None, True)]
    assert bench.rows("SELECT used, reserved FROM code_balances") == [(1, 0)]
    assert_no_drift(bench)


def test_late_success_sees_a_redeem_of_its_own_batch(bench: LedgerBench) -> None:
    """Group commit puts strangers together: what came earlier in the batch counts as if it were committed."""
    code = bench.issue(3)
    first = reserved(bench, code)
    bench.attempt(first, REFUSED)
    again: ReserveUse = bench.reserve(code, "li.wei@example.com")

    bench.storage.ledger.execute([again, success(bench, first, 2)])

    assert bench.rows(CASES) == [("newer_reservation", None, True)]
    assert_no_drift(bench)


def test_late_success_retakes(bench: LedgerBench) -> None:
    """A use is free: counted again, and the rows are those of a fold of the log."""
    code = bench.issue()
    reservation_id = reserved(bench, code)
    bench.attempt(reservation_id, REFUSED)

    bench.run(success(bench, reservation_id, 2))

    row = bench.rows("SELECT status, refund_cause, refunded_at FROM reservations")
    assert row == [("sent", None, None)]
    assert bench.rows("SELECT used, reserved FROM code_balances") == [(1, 0)]
    assert_no_drift(bench)


def test_outage_is_refunded_once_under_one_correlation_id(bench: LedgerBench) -> None:
    reservation_id = reserved(bench, bench.issue())
    bench.attempt(reservation_id)
    correlation_id = uuid4()
    context = bench.context("operator", "o1")
    command = RefundAfterOutage(
        context=type(context)(now=context.now, actor="operator", request_id="o1", correlation_id=correlation_id),
        reservation_id=reservation_id,
        include_sent=True,
    )

    changed = [done(result).changed for result in bench.storage.ledger.execute([command, command])]

    assert changed == [True, False]
    history = bench.reader.read_reservation_events([reservation_id])[reservation_id]
    assert history.events[-1][1].correlation_id == correlation_id
    assert_no_drift(bench)


def test_expected_loser_of_a_batch_is_rejected(bench: LedgerBench) -> None:
    reservation_id = reserved(bench, bench.issue())
    bench.attempt(reservation_id)
    bench.run(bounce(bench, reservation_id))
    second = ResolveReservation(
        context=bench.context("staff", "s2"), reservation_id=reservation_id, resolution="refunded", case_id=uuid4()
    )

    results = bench.storage.ledger.execute([resolve(bench, reservation_id, "sent"), second])

    assert done(results[0]).changed
    assert getattr(results[1], "why", None) == "no_case"
