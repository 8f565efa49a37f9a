"""What workers and the sweep do, and what servers and recipients report."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from domain.command_bus import Command
from domain.commands.access.record_removal import RecordExternalRemoval
from domain.commands.access.settle_access import RecordRemovalOutcome, SettleAccess
from domain.commands.delivery.accept_invite import AcceptInvite
from domain.commands.delivery.record_bounce import RecordMailReport
from domain.commands.reservation.settle_due import SettleDue
from domain.ports import OutcomeUnknown, Rejected
from tests.support.batch_shapes.registry import (
    AMPLE,
    attempt_reservations,
    claim,
    claim_uses,
    later,
    record,
    reserve_uses,
    send_uses,
    shape,
)
from tests.support.ledger.ledger_bench import SENT, LedgerBench

REJECTED: Final = Rejected(server="mx:25", reason="message_refused", final=True, reply_code=552, reply="too large")
UNKNOWN: Final = OutcomeUnknown(server="mx:25", cause="timeout")
ACCESS_DAYS: Final = 30


@shape("claim")
def _claim(bench: LedgerBench, count: int) -> Sequence[Command]:
    return [claim(bench, each) for each in reserve_uses(bench, count)]


@shape("record sent")
def _record_sent(bench: LedgerBench, count: int) -> Sequence[Command]:
    return [record(bench, each) for each in claim_uses(bench, count)]


@shape("record rejected, which refunds")
def _record_rejected(bench: LedgerBench, count: int) -> Sequence[Command]:
    return [record(bench, each, REJECTED) for each in claim_uses(bench, count)]


@shape("record unknown")
def _record_unknown(bench: LedgerBench, count: int) -> Sequence[Command]:
    return [record(bench, each, UNKNOWN) for each in claim_uses(bench, count)]


@shape("record sent after the refund")
def _record_late(bench: LedgerBench, count: int) -> Sequence[Command]:
    """A late success counts the use again."""
    late = attempt_reservations(bench, reserve_uses(bench, count), REJECTED)
    return [record(bench, each) for each in late]


def record_and_claim(bench: LedgerBench, count: int, **terms: Any) -> Sequence[Command]:
    """Record what ended and claim as many, which workers do in one commit."""
    ended, due = claim_uses(bench, count, **terms), reserve_uses(bench, count, **terms)
    return [*(record(bench, each) for each in ended), *(claim(bench, each) for each in due)]


@shape("record and claim")
def _record_and_claim(bench: LedgerBench, count: int) -> Sequence[Command]:
    return record_and_claim(bench, count)


@shape("record and claim in a campaign without limits")
def _in_campaign(bench: LedgerBench, count: int) -> Sequence[Command]:
    return record_and_claim(bench, count, campaign_id=bench.create_campaign())


@shape("record and claim in a campaign with all shared limits")
def _with_limits(bench: LedgerBench, count: int) -> Sequence[Command]:
    campaign_id = bench.create_campaign(max_uses=AMPLE, max_per_day=AMPLE, max_per_person=AMPLE)
    return record_and_claim(bench, count, campaign_id=campaign_id)


@shape("settle what is overdue")
def _settle_due(bench: LedgerBench, count: int) -> Sequence[Command]:
    context = bench.context("sweep")
    overdue = reserve_uses(bench, count)
    return later(
        [SettleDue(context=context, reservation_id=each, case_id=uuid4()) for each in overdue], timedelta(days=1)
    )


@shape("accept an invitation")
def _accept(bench: LedgerBench, count: int) -> Sequence[Command]:
    context = bench.context("person")
    return [
        AcceptInvite(context=context, reservation_id=each, delivery=1, case_id=uuid4())
        for each in send_uses(bench, count)
    ]


@shape("record a bounce")
def record_bounces(bench: LedgerBench, count: int) -> list[RecordMailReport]:
    context, vault = bench.context("key"), bench.storage.vault
    return [
        RecordMailReport(
            context=context,
            evidence="token",
            reservation_id=each,
            delivery=1,
            reason="mailbox_full",
            case_id=uuid4(),
            text=vault.seal_text("mailbox full", uuid4(), each),
        )
        for each in send_uses(bench, count)
    ]


@shape("record a report about an email")
def _report_mails(bench: LedgerBench, count: int) -> list[RecordMailReport]:
    context, vault = bench.context("worker"), bench.storage.vault
    return [
        RecordMailReport(
            context=context,
            evidence="token",
            reservation_id=each,
            delivery=1,
            kind="complained",
            case_id=uuid4(),
            text=vault.seal_text("unwanted", uuid4(), each),
        )
        for each in send_uses(bench, count)
    ]


@shape("end an access")
def _end_access(bench: LedgerBench, count: int) -> list[SettleAccess]:
    context = bench.context("worker")
    sent = send_uses(bench, count, validity_days=ACCESS_DAYS)
    return later([SettleAccess(context=context, reservation_id=each) for each in sent], timedelta(days=ACCESS_DAYS + 1))


def removed(bench: LedgerBench, reservation_id: UUID, channel: str = "smtp") -> RecordRemovalOutcome:
    """A channel removed an access at the first attempt."""
    return RecordRemovalOutcome(
        context=bench.context("worker"),
        reservation_id=reservation_id,
        attempt=1,
        channel=channel,
        outcome=SENT,
        case_id=uuid4(),
    )


@shape("record that an access was removed")
def _record_removal(bench: LedgerBench, count: int) -> Sequence[Command]:
    ended = _end_access(bench, count)
    bench.storage.ledger.execute(ended)
    return later([removed(bench, command.reservation_id) for command in ended], timedelta(days=ACCESS_DAYS + 2))


@shape("record a removal by an external system")
def _external_removal(bench: LedgerBench, count: int) -> Sequence[Command]:
    context = bench.context("key")
    return [RecordExternalRemoval(context=context, reservation_id=each) for each in send_uses(bench, count)]
