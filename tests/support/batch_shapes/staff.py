"""What staff, operators and recipients decide about codes and reservations."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

from domain.command_bus import Command
from domain.commands.access.rebind import RebindReservation, RequestRebind
from domain.commands.add_note import NoteOnCode, NoteOnReservation
from domain.commands.campaign.join_campaign import JoinCampaign
from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.import_code import ImportCode, ImportedUse
from domain.commands.code.pause import PauseCode, ResumeCode
from domain.commands.code.report_end import ReportCodeEnd
from domain.commands.code.revoke import ContinueRevocation, RevokeCode
from domain.commands.delivery.accept_invite import AcceptInvite
from domain.commands.delivery.reveal_link import RevealLink
from domain.commands.reservation.cancel import CancelReservation
from domain.commands.reservation.close_for_erasure import CloseForErasure
from domain.commands.reservation.refund import RefundReservation
from domain.commands.reservation.request_resend import RequestResend
from domain.commands.reservation.reserve import ReserveUse
from domain.commands.reservation.resolve_case import RefundAfterOutage, ResolveReservation
from domain.ports import Rejected, TextDraft
from domain.values.identifiers import EmailAddress, generate_code
from tests.support.batch_shapes.redeems import redeems_of
from tests.support.batch_shapes.registry import (
    AMPLE,
    attempt_reservations,
    claim,
    issue,
    issue_code,
    issue_codes,
    later,
    new_emails,
    record,
    reserve_uses,
    send_uses,
    shape,
)
from tests.support.batch_shapes.workers import ACCESS_DAYS, UNKNOWN, record_bounces, removed
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.ledger_bench import LedgerBench, correction

BUSY: Final = Rejected(server="mx:25", reason="temporary", final=False)

EXTERNAL: Final = "webhook"
"""A channel that removes an access itself."""


def note_on(bench: LedgerBench, reservation_id: UUID | None = None) -> TextDraft:
    return bench.storage.vault.seal_text("they called", uuid4(), reservation_id)


@shape("issue")
def _issue(bench: LedgerBench, count: int) -> Sequence[Command]:
    return [issue(bench).command for _ in range(count)]


@shape("issue in a campaign without limits")
def _issue_in_campaign(bench: LedgerBench, count: int) -> Sequence[Command]:
    campaign_id = bench.create_campaign()
    return [issue(bench, campaign_id=campaign_id).command for _ in range(count)]


@shape("issue in a campaign with max_uses")
def _issue_with_limit(bench: LedgerBench, count: int) -> Sequence[Command]:
    campaign_id = bench.create_campaign(max_uses=AMPLE)
    return [issue(bench, campaign_id=campaign_id).command for _ in range(count)]


@shape("import a code with a use")
def _import(bench: LedgerBench, count: int) -> Sequence[Command]:
    vault, context = bench.storage.vault, bench.context("import")
    return [
        ImportCode(
            context=context,
            code_id=code_id,
            text=vault.draft_code(generate_code(bench.random_source), code_id),
            source="shop",
            terms=make_terms(max_uses=2),
            bound=False,
            uses=[
                ImportedUse(
                    reservation_id=uuid4(),
                    recipient=vault.draft_recipient(EmailAddress.parse(f"{uuid4().hex}@example.com"), uuid4()),
                    sent_at=context.now,
                )
            ],
        )
        for code_id in (uuid4() for _ in range(count))
    ]


@shape("change terms of a code")
def _change_terms(bench: LedgerBench, count: int) -> Sequence[Command]:
    context, changes = bench.context("staff"), {"max_uses": 7}
    return [
        ChangeTerms(context=context, code_id=each, changes=changes, note=note_on(bench))
        for each in issue_codes(bench, count)[1]
    ]


@shape("pause a code")
def _pause(bench: LedgerBench, count: int) -> Sequence[Command]:
    context = bench.context("staff")
    return [PauseCode(context=context, code_id=each, note=note_on(bench)) for each in issue_codes(bench, count)[1]]


@shape("resume a code")
def _resume(bench: LedgerBench, count: int) -> Sequence[Command]:
    code_ids, context = issue_codes(bench, count)[1], bench.context("staff")
    bench.storage.ledger.execute([PauseCode(context=context, code_id=each) for each in code_ids])
    return [ResumeCode(context=context, code_id=each) for each in code_ids]


@shape("report the end of a code")
def _report_end(bench: LedgerBench, count: int) -> Sequence[Command]:
    code_ids, context = issue_codes(bench, count)[1], bench.context("sweep")
    changes = {"expires_at": context.now + timedelta(days=2), "notify_at": "1 day"}
    bench.storage.ledger.execute([ChangeTerms(context=context, code_id=each, changes=changes) for each in code_ids])
    return later([ReportCodeEnd(context=context, code_id=each) for each in code_ids], timedelta(days=1))


def redeem_codes(bench: LedgerBench, count: int) -> tuple[list[UUID], list[UUID]]:
    texts, code_ids = issue_codes(bench, count)
    redeems = redeems_of(bench, texts)
    bench.storage.ledger.execute(redeems)
    return code_ids, [command.reservation_id for command in redeems]


@shape("revoke a code with a reservation")
def _revoke(bench: LedgerBench, count: int) -> Sequence[Command]:
    (code_ids, _), context = redeem_codes(bench, count), bench.context("staff")
    return [RevokeCode(context=context, code_id=each, case_ids=[uuid4()]) for each in code_ids]


@shape("revoke a code with a leased reservation")
def _revoke_leased(bench: LedgerBench, count: int) -> Sequence[Command]:
    """It stays until its attempt ends, so the sweep continues with the revocation."""
    (code_ids, reservations), context = redeem_codes(bench, count), bench.context("staff")
    bench.storage.ledger.execute([claim(bench, each) for each in reservations])
    return [RevokeCode(context=context, code_id=each, case_ids=[uuid4()]) for each in code_ids]


@shape("continue a revocation")
def _continue(bench: LedgerBench, count: int) -> Sequence[Command]:
    """The code was revoked with too few ids for the cases of its unknown outcomes."""
    (code_ids, reservations), context = redeem_codes(bench, count), bench.context("sweep")
    attempt_reservations(bench, reservations, UNKNOWN)
    bench.storage.ledger.execute([RevokeCode(context=context, code_id=each, case_ids=[]) for each in code_ids])
    return [ContinueRevocation(context=context, code_id=each, case_ids=[uuid4()]) for each in code_ids]


@shape("add a note to a code")
def _note_on_code(bench: LedgerBench, count: int) -> Sequence[Command]:
    context = bench.context("staff")
    return [NoteOnCode(context=context, code_id=each, note=note_on(bench)) for each in issue_codes(bench, count)[1]]


@shape("add a note to a reservation")
def _note_on_reservation(bench: LedgerBench, count: int) -> Sequence[Command]:
    context = bench.context("staff")
    return [
        NoteOnReservation(context=context, reservation_id=each, note=note_on(bench, each))
        for each in reserve_uses(bench, count)
    ]


@shape("join a campaign with max_uses")
def _join(bench: LedgerBench, count: int) -> Sequence[Command]:
    campaign_id, context = bench.create_campaign(max_uses=AMPLE), bench.context("staff")
    return [
        JoinCampaign(context=context, code_id=each, campaign_id=campaign_id) for each in issue_codes(bench, count)[1]
    ]


@shape("refund")
def _refund(bench: LedgerBench, count: int) -> Sequence[Command]:
    context = bench.context("staff")
    return [
        RefundReservation(context=context, reservation_id=each, cause="staff", note=note_on(bench, each))
        for each in send_uses(bench, count)
    ]


@shape("cancel")
def _cancel(bench: LedgerBench, count: int) -> Sequence[Command]:
    context = bench.context("staff")
    return [CancelReservation(context=context, reservation_id=each) for each in reserve_uses(bench, count)]


@shape("resend")
def _resend(bench: LedgerBench, count: int) -> Sequence[Command]:
    context = bench.context("staff")
    return [RequestResend(context=context, reservation_id=each) for each in send_uses(bench, count)]


@shape("reveal a link")
def _reveal(bench: LedgerBench, count: int) -> Sequence[Command]:
    context = bench.context("staff")
    return [RevealLink(context=context, reservation_id=each) for each in send_uses(bench, count)]


@shape("resolve an unknown outcome")
def _resolve(bench: LedgerBench, count: int) -> Sequence[Command]:
    context = bench.context("staff")
    return [
        ResolveReservation(context=context, reservation_id=each, resolution="refunded", case_id=uuid4())
        for each in attempt_reservations(bench, reserve_uses(bench, count), UNKNOWN)
    ]


@shape("resolve an open case")
def _resolve_case(bench: LedgerBench, count: int) -> Sequence[Command]:
    bounces, context = record_bounces(bench, count), bench.context("staff")
    bench.storage.ledger.execute(bounces)
    return [
        ResolveReservation(context=context, reservation_id=each.reservation_id, resolution="refunded", case_id=uuid4())
        for each in bounces
    ]


@shape("refund after an outage")
def _refund_outage(bench: LedgerBench, count: int) -> Sequence[Command]:
    context = bench.context("operator")
    return [
        RefundAfterOutage(context=context, reservation_id=each, include_sent=True) for each in send_uses(bench, count)
    ]


@shape("close for erasure")
def _close(bench: LedgerBench, count: int) -> Sequence[Command]:
    context = bench.context("operator")
    return [
        CloseForErasure(context=context, reservation_id=each, case_id=uuid4()) for each in reserve_uses(bench, count)
    ]


@shape("correct a recipient, by staff")
def _correct(bench: LedgerBench, count: int) -> Sequence[Command]:
    reservations = reserve_uses(bench, count)
    return [correction(bench, each, email) for each, email in zip(reservations, new_emails(count), strict=True)]


@shape("correct a recipient of a sent invitation, by the recipient")
def _correct_own(bench: LedgerBench, count: int) -> Sequence[Command]:
    text = issue_code(bench)
    mistyped = [command.reservation_id for command in send_redeems(bench, text, count)]
    return [
        correction(bench, each, email, actor="person", code=text)
        for each, email in zip(mistyped, new_emails(count), strict=True)
    ]


def send_redeems(bench: LedgerBench, text: str, count: int) -> list[ReserveUse]:
    redeems = redeems_of(bench, [text] * count)
    bench.storage.ledger.execute(redeems)
    attempt_reservations(bench, [command.reservation_id for command in redeems])
    return redeems


@shape("rebind, by the recipient")
def _rebind_own(bench: LedgerBench, count: int) -> Sequence[Command]:
    return [
        RequestRebind(
            context=bench.context("person"),
            code_digests=redeem.code_digests,
            recipient=redeem.recipient,
            new_reservation_id=uuid4(),
            group="blue",
            language="en",
            token_of=redeem.reservation_id,
        )
        for redeem in send_redeems(bench, issue_code(bench), count)
    ]


@shape("rebind, by staff")
def _rebind(bench: LedgerBench, count: int) -> Sequence[Command]:
    context = bench.context("staff")
    return [
        RebindReservation(context=context, reservation_id=each, new_reservation_id=uuid4(), group="blue")
        for each in send_uses(bench, count)
    ]


def begin_rebinds(bench: LedgerBench, count: int) -> tuple[list[UUID], list[UUID]]:
    """Begin to move as many accesses to another group; the reservations that gave them, and those of the moves."""
    context, sent = bench.context("staff"), send_uses(bench, count, validity_days=ACCESS_DAYS)
    moves = [
        RebindReservation(context=context, reservation_id=each, new_reservation_id=uuid4(), group="blue")
        for each in sent
    ]
    bench.storage.ledger.execute(moves)
    return sent, [command.new_reservation_id for command in moves]


@shape("claim a rebind")
def _claim_rebind(bench: LedgerBench, count: int) -> Sequence[Command]:
    _, moves = begin_rebinds(bench, count)
    return [claim(bench, each) for each in moves]


@shape("record a rebind sent, which replaces the access")
def _record_rebind(bench: LedgerBench, count: int) -> Sequence[Command]:
    _, moves = begin_rebinds(bench, count)
    bench.storage.ledger.execute([claim(bench, each) for each in moves])
    return [record(bench, each) for each in moves]


@shape("refund an access that is being moved, refused")
def _refund_moving(bench: LedgerBench, count: int) -> Sequence[Command]:
    sent, _ = begin_rebinds(bench, count)
    context = bench.context("staff")
    return [RefundReservation(context=context, reservation_id=each, cause="staff") for each in sent]


def correct_sent(bench: LedgerBench, count: int) -> tuple[list[UUID], list[UUID]]:
    """Correct invitations that an external system sent; their reservations, and those that wait for the removals."""
    sent = attempt_reservations(bench, reserve_uses(bench, count), channel=EXTERNAL)
    corrections = [correction(bench, each, email) for each, email in zip(sent, new_emails(count), strict=True)]
    bench.storage.ledger.execute(corrections)
    return sent, [command.new_reservation_id for command in corrections]


@shape("claim a correction that waits for a removal")
def _claim_waiting(bench: LedgerBench, count: int) -> Sequence[Command]:
    _, waiting = correct_sent(bench, count)
    return [claim(bench, each, EXTERNAL) for each in waiting]


@shape("record a removal for which a correction waits")
def _record_awaited_removal(bench: LedgerBench, count: int) -> Sequence[Command]:
    sent, _ = correct_sent(bench, count)
    return [removed(bench, each, EXTERNAL) for each in sent]


@shape("accept late and revoke, one commit")
def _accept_and_revoke(bench: LedgerBench, count: int) -> Sequence[Command]:
    """What a revocation frees may be counted again, unless the recipient has a newer reservation."""
    (code_ids, reservations), context = redeem_codes(bench, count), bench.context("staff")
    attempt_reservations(bench, reservations, BUSY)
    return [
        *(RevokeCode(context=context, code_id=each, case_ids=[uuid4()]) for each in code_ids),
        *(AcceptInvite(context=context, reservation_id=each, delivery=1, case_id=uuid4()) for each in reservations),
    ]


@shape("join a campaign with max_per_person and redeem, one commit")
def _join_and_redeem(bench: LedgerBench, count: int) -> Sequence[Command]:
    campaign_id, context = bench.create_campaign(max_per_person=AMPLE), bench.context("staff")
    texts, code_ids = issue_codes(bench, count)
    return [
        *(JoinCampaign(context=context, code_id=each, campaign_id=campaign_id) for each in code_ids),
        *redeems_of(bench, texts),
    ]
