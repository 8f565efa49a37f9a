"""Claim, send, record over a real ledger: what each outcome leaves behind."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

from domain.command_bus import Command
from domain.commands.delivery.accept_invite import AcceptInvite
from domain.ports import Accepted, OutcomeUnknown, Rejected
from domain.results import Result
from projections.work_queue.outbox import invitations_are_backed_up
from tests.integration.workers.sending.delivery_rig import TOO_BIG, kinds, reserve, send_notices
from tests.support.delivery import claim, deliver
from tests.support.fake_channel import FakeChannel
from tests.support.ledger.ledger_bench import LedgerBench, correction, done
from workers.sending.delivery_steps import DeliverySteps
from workers.sending.late_acceptance import record_late_acceptance

SENT = Accepted(server="mx:25", reply_code=250)
REFUSED = Rejected(
    server="mx:25", reason="address_refused", final=True, about_address=True, reply_code=550, reply="no such user"
)


def test_message_goes_to_the_typed_address(bench: LedgerBench, steps: DeliverySteps) -> None:
    channel = FakeChannel()
    reservation_id = reserve(bench)

    word = deliver(steps, reservation_id, channel, "t1")

    message = channel.sent[0]
    assert word == "sent"
    assert message.recipient.typed == "Li.Wei@example.com"
    assert message.message_id == f"<{reservation_id}.1@ledger.example>"
    assert message.link.startswith("http://127.0.0.1:8000/a/")
    assert kinds(bench) == ["UseReserved", "InviteAttempted", "InviteSent"]


def test_claim_whose_answer_was_lost_is_still_its_own(bench: LedgerBench, steps: DeliverySteps) -> None:
    """Deciding it again finds the lease that it committed itself."""
    reservation_id = reserve(bench)

    def execute(commands: Sequence[Command]) -> Sequence[Result]:
        bench.storage.ledger.execute(commands)
        return bench.storage.ledger.execute(commands)

    assert len(claim(replace(steps, execute=execute), [reservation_id], "fake", "t1")) == 1
    assert kinds(bench) == ["UseReserved", "InviteAttempted"]


def test_reservation_is_not_sent_while_it_waits_for_a_removal(bench: LedgerBench, steps: DeliverySteps) -> None:
    """A worker that gets its id learns which access has to be removed first."""
    code = bench.issue()
    wrong = done(bench.redeem(code, "ly@example.com")).require_reservation().reservation_id
    bench.attempt(wrong, channel="webhook")
    right = done(bench.run(correction(bench, wrong, "li@example.com"))).require_reservation().reservation_id
    channel, waiting = FakeChannel(), list[UUID]()

    word = deliver(replace(steps, request_removal=waiting.append), right, channel, "t1")

    assert (word, waiting, channel.sent) == ("idle", [wrong], [])


def test_unknown_reservation_is_nothing_to_do(steps: DeliverySteps) -> None:
    """A message carries no truth: an id that does not exist is left alone."""
    assert deliver(steps, uuid4(), FakeChannel(), "t1") == "idle"


def test_refused_address_is_refunded_and_the_reply_is_encrypted(bench: LedgerBench, steps: DeliverySteps) -> None:
    """The server's words may hold personal data, so they are in the vault only."""
    deliver(steps, reserve(bench), FakeChannel(REFUSED), "t1")

    (text_id,) = bench.rows("SELECT text_id FROM private_texts")[0]
    assert kinds(bench)[-2:] == ["InviteFailed", "UseRefunded"]
    assert bench.reader.find_private_text(text_id) == "no such user"


def test_notice_follows_a_refund_once(bench: LedgerBench, steps: DeliverySteps) -> None:
    """The recipient is notified once that nothing was sent and no use was taken."""
    channel = FakeChannel(TOO_BIG)
    reservation_id = reserve(bench)
    deliver(steps, reservation_id, channel, "t1")

    first = send_notices(bench, steps, channel)
    second = send_notices(bench, steps, channel)

    notice = channel.sent[-1]
    assert (first, second) == (1, 0)
    assert (notice.template, notice.reservation_id) == ("refund_notice", reservation_id)
    assert bench.rows("SELECT outcome, due_at FROM outbox") == [("sent", None)]


def test_no_notice_says_that_nothing_was_used_of_a_use_that_was_retaken(
    bench: LedgerBench, steps: DeliverySteps
) -> None:
    """The invitation turned out to be sent before the notice was: it would not be true any more."""
    channel = FakeChannel(TOO_BIG)
    reservation_id = reserve(bench)
    deliver(steps, reservation_id, channel, "t1")
    acceptance = AcceptInvite(context=bench.context(), reservation_id=reservation_id, delivery=1, case_id=uuid4())
    assert done(bench.run(acceptance)).code.used == 1

    send_notices(bench, steps, channel)

    assert [message.template for message in channel.sent] == ["invite"]
    assert bench.rows("SELECT outcome, due_at FROM outbox") == [("not_needed", None)]


def test_notices_take_no_process_from_invitations_that_wait(bench: LedgerBench) -> None:
    """Refunds for want of a process would make notices, and those more refunds."""
    counts = []
    for seconds in (5, 20):
        reserve(bench, f"p{seconds}@example.com")
        counts.append(invitations_are_backed_up(bench.storage, bench.context().now + timedelta(seconds=seconds)))

    assert counts == [False, True]


def test_late_acceptance_settles_the_unknown_outcome_before_a_second_email(
    bench: LedgerBench, steps: DeliverySteps
) -> None:
    """The retry waits as long as the server may still reply, and the reply ends it."""
    slow = OutcomeUnknown(server="mx:25", cause="timeout", retry_after_s=600)
    channel, reservation_id = FakeChannel(slow), reserve(bench)

    first = deliver(steps, reservation_id, channel, "t1")
    early = deliver(replace(steps, now=lambda: steps.now() + timedelta(seconds=599)), reservation_id, channel, "t2")
    record_late_acceptance(steps, channel.sent[0], SENT, 30.0)
    later = deliver(replace(steps, now=lambda: steps.now() + timedelta(seconds=900)), reservation_id, channel, "t3")

    assert [first, early, later] == ["unknown", "idle", "idle"]
    assert len(channel.sent) == 1
    assert kinds(bench) == ["UseReserved", "InviteAttempted", "InviteOutcomeUnknown", "InviteSent"]
