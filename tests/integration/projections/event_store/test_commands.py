"""Decisions of staff on a real database: what they load, which rows they leave, and what a revoking leaves to do."""

from uuid import UUID, uuid4

import pytest
from msgspec import structs

from domain.application import COMMANDS_PER_ROUND, case_ids, settle_revoked_code
from domain.command_bus import Command
from domain.commands.access.settle_access import RecordRemovalOutcome
from domain.commands.add_note import NoteOnCode, NoteOnReservation
from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.pause import PauseCode, ResumeCode
from domain.commands.code.revoke import RevokeCode
from domain.commands.context import CommandContext
from domain.commands.delivery.accept_invite import AcceptInvite
from domain.commands.reservation.refund import RefundReservation
from domain.commands.reservation.request_resend import RequestResend
from domain.errors import CodeUnknown, RecipientNotCorrectable
from domain.ports import Accepted, OutcomeUnknown, Rejected
from projections.event_store.batch_reads import REVOKED_PER_CODE_MAX
from projections.storage.revocation_queue import settle_next_revocations
from tests.support.ledger.ledger_bench import LedgerBench, check_code, correction, done


def code_id_of(bench: LedgerBench, code: str) -> UUID:
    code_id = bench.reader.find_code(code)
    assert code_id is not None
    return code_id


def test_every_decision_about_a_code_keeps_its_row_equal_to_the_log(bench: LedgerBench) -> None:
    """Paused, resumed, terms, notes, revoked: verified row by row, and by the state that the caches gave."""
    code = bench.issue(5, bound=False)
    code_id = code_id_of(bench, code)
    bench.redeem(code, "li@example.com")
    context, vault = bench.context("staff", "s1"), bench.storage.vault
    commands: list[Command] = [
        PauseCode(context=context, code_id=code_id, note=vault.seal_text("a reason", uuid4())),
        ChangeTerms(context=context, code_id=code_id, changes={"max_uses": 7, "group": "blue"}),
        NoteOnCode(context=context, code_id=code_id, note=vault.seal_text("called", uuid4())),
        ResumeCode(context=context, code_id=code_id),
        RevokeCode(context=context, code_id=code_id, case_ids=case_ids(uuid4)),
    ]

    for command in commands:
        assert done(bench.run(command)).changed
        assert check_code(bench.storage, code_id) == []

    assert bench.rows("SELECT is_paused, revoked_by, max_uses, group_name, reserved FROM code_balances") == [
        (False, 7, 7, "blue", 0)
    ]
    assert bench.rows("SELECT count(*) FROM private_texts WHERE reservation_id IS NULL") == [(2,)]


def test_note_is_kept_once_however_often_it_is_sent(bench: LedgerBench) -> None:
    """In one batch, and in a later one: the text's id is the note's."""
    code = bench.issue()
    reservation_id = done(bench.redeem(code, "li@example.com")).require_reservation().reservation_id
    note = bench.storage.vault.seal_text("they called", uuid4(), reservation_id)
    command = NoteOnReservation(context=bench.context("staff", "n1"), reservation_id=reservation_id, note=note)

    results = bench.storage.ledger.execute([command, command])
    again = bench.run(command)

    assert [done(result).changed for result in [*results, again]] == [True, False, False]
    assert bench.reader.find_private_text(note.text_id) == "they called"
    assert check_code(bench.storage, code_id_of(bench, code)) == []


def test_corrected_use_is_a_new_persons(bench: LedgerBench) -> None:
    """The vault learns the new address with the same commit; the same request again finds the same reservation."""
    code = bench.issue()
    wrong = done(bench.redeem(code, "ly@example.com")).require_reservation().reservation_id
    command = correction(bench, wrong, "li@example.com", actor="person", code=code)

    right = done(bench.run(command)).require_reservation()
    again = done(bench.run(correction(bench, wrong, "LI@example.com", actor="person", code=code))).require_reservation()

    assert bench.reader.find_email_addresses([right.reservation_id]) == {right.reservation_id: "li@example.com"}
    assert again.reservation_id == right.reservation_id
    assert bench.rows("SELECT count(*) FROM recipients") == [(2,)]
    assert check_code(bench.storage, right.code_id) == []


def test_refused_correction_leaves_no_person_but_the_try(bench: LedgerBench) -> None:
    """No vault row is made for a refusal; support sees why it did not work."""
    code = bench.issue()
    wrong = done(bench.redeem(code, "ly@example.com")).require_reservation().reservation_id
    bench.attempt(wrong, OutcomeUnknown(server="mx:25", cause="timeout"))

    refused = bench.run(correction(bench, wrong, "li@example.com", actor="person", code=code))
    other = bench.run(correction(bench, wrong, "li@example.com", actor="person", code=bench.issue()))

    assert isinstance(refused, RecipientNotCorrectable)
    assert isinstance(other, CodeUnknown)
    assert bench.rows("SELECT count(*) FROM recipients") == [(1,)]
    assert bench.rows("SELECT reason FROM refusals") == [("RECIPIENT_NOT_CORRECTABLE",)]


def test_other_persons_reservation_is_seen(bench: LedgerBench) -> None:
    """It is looked up by the new address, which the command brings."""
    code = bench.issue(2, bound=False)
    wrong = done(bench.redeem(code, "ly@example.com")).require_reservation().reservation_id
    bench.redeem(code, "li@example.com")

    refused = bench.run(correction(bench, wrong, "li@example.com"))

    assert isinstance(refused, RecipientNotCorrectable)
    assert refused.why == "address_taken"


def test_revoking_and_an_opened_link_in_one_batch_see_the_newer_reservation(bench: LedgerBench) -> None:
    """The use that revoking refunds is not counted again where a newer one of that person counts already."""
    code = bench.issue(None, bound=False)
    first, middle, older, newer = (uuid4() for _ in range(4))

    def redeem(reservation_id: UUID, again: UUID | None) -> None:
        command = bench.reserve(code, "li@example.com", reservation_id=reservation_id)
        assert (
            done(bench.run(structs.replace(command, again=again))).require_reservation().reservation_id
            == reservation_id
        )

    redeem(first, None)
    bench.attempt(first)
    redeem(middle, first)
    bench.attempt(middle)
    redeem(older, middle)
    bench.attempt(older, Rejected(server="mx:25", reason="temporary", final=False))
    bench.run(RefundReservation(context=bench.context("staff"), reservation_id=middle, cause="staff"))
    redeem(newer, first)
    bench.attempt(newer)
    code_id = code_id_of(bench, code)

    bench.storage.ledger.execute(
        [
            RevokeCode(context=bench.context("staff"), code_id=code_id, case_ids=case_ids(uuid4)),
            AcceptInvite(context=bench.context("person"), reservation_id=older, delivery=1, case_id=uuid4()),
        ]
    )

    assert bench.rows("SELECT cause FROM cases WHERE closed_at IS NULL") == [("newer_reservation",)]
    assert check_code(bench.storage, code_id) == []


def test_removed_access_releases_the_corrected_invitation(bench: LedgerBench) -> None:
    """What waits is loaded with the access that it waits for; its row is due at no time until then."""
    code = bench.issue()
    wrong = done(bench.redeem(code, "ly@example.com")).require_reservation().reservation_id
    bench.attempt(wrong, channel="webhook")
    right = done(bench.run(correction(bench, wrong, "li@example.com"))).require_reservation().reservation_id
    due = "SELECT status, due_at IS NULL, access_due_at IS NULL FROM reservations ORDER BY reserved_at"
    assert bench.rows(due) == [("refunded", True, False), ("live", True, True)]
    assert check_code(bench.storage, code_id_of(bench, code)) == []

    command = RecordRemovalOutcome(
        context=bench.context("sweep"),
        reservation_id=wrong,
        attempt=1,
        channel="webhook",
        outcome=Accepted(server="team"),
        case_id=uuid4(),
    )
    done(bench.run(command))

    assert bench.rows(due) == [("refunded", True, True), ("live", False, True)]
    assert check_code(bench.storage, code_id_of(bench, code)) == []
    bench.attempt(right, channel="webhook")
    assert bench.rows("SELECT used, reserved FROM code_balances") == [(1, 0)]


def test_resend_is_due_and_claimed_like_any_delivery(bench: LedgerBench) -> None:
    """The row says when; the counted use stays."""
    code = bench.issue()
    reservation_id = done(bench.redeem(code, "li@example.com")).require_reservation().reservation_id
    bench.attempt(reservation_id)
    resend = RequestResend(context=bench.context("staff", "s1"), reservation_id=reservation_id)

    assert done(bench.run(resend)).changed
    assert bench.rows("SELECT due_at IS NOT NULL, delivery, attempts, status FROM reservations") == [
        (True, 2, 0, "sent")
    ]
    bench.attempt(reservation_id)

    assert bench.rows("SELECT due_at, delivery, status FROM reservations") == [(None, 2, "sent")]
    assert check_code(bench.storage, code_id_of(bench, code)) == []


def test_sent_use_is_found_behind_many_refunded_ones(bench: LedgerBench) -> None:
    """However often further uses failed, a plain redeem still answers "already sent"."""
    code, li = bench.issue(None), "li@example.com"
    sent = done(bench.redeem(code, li)).require_reservation().reservation_id
    bench.attempt(sent)
    for _ in range(21):
        further = structs.replace(bench.reserve(code, li), again=sent)
        bench.run(further)
        refund = RefundReservation(
            context=bench.context("staff"), reservation_id=further.reservation_id, cause="cancelled"
        )
        assert done(bench.run(refund)).changed

    again = done(bench.redeem(code, li))

    assert (again.require_reservation().reservation_id, again.changed) == (sent, False)


def test_one_use_follows_another_whichever_late_success_comes_first(bench: LedgerBench) -> None:
    """The older one that was retaken is looked up too."""
    code, li = bench.issue(None), "li@example.com"
    sent = done(bench.redeem(code, li)).require_reservation().reservation_id
    bench.attempt(sent)
    further = []
    for _ in range(2):
        command = structs.replace(bench.reserve(code, li), again=sent)
        further.append(done(bench.run(command)).require_reservation().reservation_id)
        bench.attempt(further[-1], Rejected(server="mx:25", reason="x", final=True))

    for reservation_id in further:
        bench.run(AcceptInvite(context=bench.context(), reservation_id=reservation_id, delivery=1, case_id=uuid4()))

    assert bench.rows("SELECT status FROM reservations WHERE follows IS NOT NULL ORDER BY versions[1]") == [
        ("sent",),
        ("refunded",),
    ]
    assert check_code(bench.storage, code_id_of(bench, code)) == []


def test_access_is_removed_with_the_use(bench: LedgerBench) -> None:
    """One commit, and the reason once."""
    code = bench.issue()
    reservation_id = done(bench.redeem(code, "li@example.com")).require_reservation().reservation_id
    bench.attempt(reservation_id)
    note = bench.storage.vault.seal_text("asked for", uuid4(), reservation_id)
    refund = RefundReservation(
        context=bench.context("staff", "r1"),
        reservation_id=reservation_id,
        cause="staff",
        note=note,
        revoke_access=True,
    )

    bench.run(refund)

    topics = bench.rows("SELECT topic FROM ledger_events ORDER BY notification_id DESC LIMIT 2")
    assert topics == [("AccessRevoked:1",), ("UseRefunded:1",)]
    assert bench.rows("SELECT count(*) FROM private_texts") == [(1,)]


@pytest.mark.parametrize("count", [3, 230])
def test_sweep_finishes_an_interrupted_revocation(bench: LedgerBench, count: int) -> None:
    """However many: bounded commands, and the queue is empty afterwards; unknown outcomes become cases."""
    code = bench.issue(None, bound=False)
    code_id = code_id_of(bench, code)
    reserves = [bench.reserve(code, f"p{number}@example.com") for number in range(count)]
    bench.storage.ledger.execute(reserves)
    doubtful = reserves[0].reservation_id
    bench.attempt(doubtful, OutcomeUnknown(server="mx:25", cause="timeout"))
    bench.run(RevokeCode(context=bench.context("staff"), code_id=code_id, case_ids=case_ids(uuid4)))
    left = count - min(count, 100, REVOKED_PER_CODE_MAX) + 1  # of the first ones one is a case
    assert bench.rows("SELECT reserved FROM code_balances") == [(left,)]

    def context() -> CommandContext:
        return bench.context("sweep")

    def settle(code_id: UUID) -> bool:
        return settle_revoked_code(bench.storage.ledger.execute, code_id, context, uuid4)

    for _ in range(1 + count // COMMANDS_PER_ROUND):
        settle_next_revocations(bench.storage, context().now, settle)

    assert bench.rows("SELECT reserved FROM code_balances") == [(1,)]
    assert bench.rows("SELECT count(*) FROM cases WHERE closed_at IS NULL") == [(1,)]
    assert bench.rows("SELECT count(*) FROM revocations") == [(0,)]
    assert check_code(bench.storage, code_id) == []
