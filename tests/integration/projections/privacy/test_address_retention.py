"""Addresses of people who never accepted are erased after a time; each reason to keep one is a case of the table."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Event
from typing import Any, Final, LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest
from msgspec.structs import replace
from psycopg import Cursor

from domain.commands.campaign.manage_campaign import CampaignCommand, ChangeCampaignTerms, EndCampaign
from domain.commands.campaign.waiting_list import JoinWaitingList
from domain.commands.code.revoke import RevokeCode
from domain.commands.delivery.accept_invite import AcceptInvite
from domain.commands.hand_out.hand_out_mail import RecordHandOutMail, ResendHandOut
from domain.commands.reservation.refund import RefundReservation
from domain.commands.reservation.resolve_case import ResolveReservation
from domain.events.hand_out import SkipReason
from domain.ports import FinalOutcome, Rejected
from domain.results import CampaignResult, Result
from projections.privacy import address_retention, erasure
from projections.privacy.address_retention import AddressRetention
from projections.privacy.erasure import PersonEraser, WhyKept
from projections.privacy.opt_outs import OptOutRepository
from projections.sql.event_store import EventStoreSql
from projections.sql.privacy import PrivacySql
from tests.support.ledger.ledger_bench import SENT, LedgerBench, assert_no_drift, done
from tests.support.waiting import WAIT_S_MAX, wait_for

DAYS: Final = 30
WAITING: Final = """
SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE NOT l.granted AND d.datname = current_database()
"""


def sent(bench: LedgerBench, email: str, campaign_id: UUID | None = None) -> UUID:
    result = done(bench.redeem(bench.issue(campaign_id=campaign_id), email))
    reservation_id = result.require_reservation().reservation_id
    bench.attempt(reservation_id)
    return reservation_id


def erase(bench: LedgerBench, now: datetime) -> int:
    return AddressRetention(bench.storage, DAYS, uuid4).erase_due(now, lambda: False)


def later(bench: LedgerBench, **interval: float) -> datetime:
    return bench.storage.recorder.clock.now() + timedelta(**interval)


def count(bench: LedgerBench, now: datetime) -> Counter[WhyKept | None]:
    return AddressRetention(bench.storage, DAYS, uuid4).count(now)


def test_address_of_a_person_who_never_accepted_is_erased_after_its_time(bench: LedgerBench) -> None:
    """Not a day earlier; the history and the counts stay, and the audit log has the number of people."""
    sent(bench, "li@example.com")
    refunded = done(bench.redeem(bench.issue(), "wang@example.com")).require_reservation().reservation_id
    bench.run(RefundReservation(context=bench.context("staff"), reservation_id=refunded, cause="staff"))
    balances = bench.rows("SELECT code_id, used FROM code_balances ORDER BY 1")

    assert erase(bench, later(bench, days=DAYS - 1)) == 0
    assert count(bench, later(bench, days=DAYS - 1)) == {"recent": 2}
    assert sum(erase(bench, later(bench, days=DAYS, minutes=1)) for _ in range(2)) == 2  # tiny pages

    assert bench.rows("SELECT count(*) FROM recipients") == [(0,)]
    assert bench.rows("SELECT code_id, used FROM code_balances ORDER BY 1") == balances
    [(action, subject, staff, text_id)] = bench.rows("SELECT act, subject_id, staff_id, text_id FROM audit")
    assert (action, subject, staff) == ("erased_unaccepted", None, None)
    assert bench.reader.find_private_text(text_id) == f"people: 2; after_days: {DAYS}"
    assert_no_drift(bench)


def accept(bench: LedgerBench) -> None:
    bench.run(
        AcceptInvite(context=bench.context(), reservation_id=sent(bench, "li@example.com"), delivery=1, case_id=uuid4())
    )


def leave_pending(bench: LedgerBench) -> None:
    bench.redeem(bench.issue(), "li@example.com")


def open_case(bench: LedgerBench) -> None:
    bench.bounce(sent(bench, "li@example.com"))


def hand_out(bench: LedgerBench) -> None:
    bench.create_hand_out()
    [(code_id,)] = bench.rows("SELECT code_id FROM hand_out_recipients")
    bench.hand_out_code(code_id)


def list_only(bench: LedgerBench) -> None:
    bench.create_hand_out()


def count_per_person(bench: LedgerBench) -> None:
    sent(bench, "li@example.com", bench.create_campaign(max_per_person=1))


def opt_out(bench: LedgerBench) -> None:
    sent(bench, "li@example.com")
    [(recipient_id,)] = bench.rows("SELECT recipient_id FROM recipients")
    OptOutRepository(bench.storage).insert(recipient_id, "VIP", bench.context().now)


@pytest.mark.parametrize(
    ("prepare", "why"),
    [
        (accept, "accepted"),
        (leave_pending, "open"),
        (open_case, "case"),
        (hand_out, "code"),
        (list_only, "open"),
        (count_per_person, "limit"),
        (opt_out, "opt_out"),
    ],
)
def test_address_is_kept_for_a_reason(bench: LedgerBench, prepare: Callable[[LedgerBench], None], why: str) -> None:
    """However long ago it was."""
    prepare(bench)
    now = later(bench, days=10 * DAYS)

    assert count(bench, now) == {why: 1}
    assert erase(bench, now) == 0
    assert bench.rows("SELECT count(*) FROM recipients, address_retention_progress") == [(1,)]
    assert bench.rows("SELECT count(*) FROM audit") == [(0,)]


def end_by_staff(bench: LedgerBench, campaign_id: UUID, at: datetime) -> CampaignCommand:
    return EndCampaign(context=replace(bench.context("staff"), now=at), campaign_id=campaign_id)


def end_as_planned(bench: LedgerBench, campaign_id: UUID, at: datetime) -> CampaignCommand:
    """Staff say before when a campaign will end."""
    return ChangeCampaignTerms(context=bench.context("staff"), campaign_id=campaign_id, changes={"ends_at": at})


@pytest.mark.parametrize("command", [end_by_staff, end_as_planned])
@pytest.mark.parametrize("prepare", [hand_out, list_only, count_per_person])
def test_end_of_a_campaign_begins_the_time(
    bench: LedgerBench,
    prepare: Callable[[LedgerBench], None],
    command: Callable[[LedgerBench, UUID, datetime], CampaignCommand],
) -> None:
    """However long ago all else was: no code is redeemed or sent any more, and no use counts."""
    prepare(bench)
    [(campaign_id,)] = bench.rows("SELECT campaign_id FROM campaigns")
    end = command(bench, campaign_id, later(bench, days=10 * DAYS))
    assert isinstance(bench.storage.ledger.execute_one(end), CampaignResult)

    assert erase(bench, later(bench, days=11 * DAYS - 1)) == 0
    assert erase(bench, later(bench, days=11 * DAYS, minutes=1)) == 1


def test_end_of_the_codes_of_a_hand_out_begins_the_time_of_its_lines(bench: LedgerBench) -> None:
    """From then on it issues none."""
    bench.create_hand_out(expires_at=later(bench, days=DAYS))

    assert count(bench, later(bench, days=2 * DAYS - 1)) == {"open": 1}
    assert erase(bench, later(bench, days=2 * DAYS, minutes=1)) == 1


def test_upload_that_did_not_end_keeps_addresses_for_the_time_only(bench: LedgerBench) -> None:
    """Its lines lead to no code, although their hand-out goes on."""
    bench.create_hand_out(ends_upload=False)

    assert count(bench, later(bench, days=DAYS - 1)) == {"recent": 1}
    assert erase(bench, later(bench, days=DAYS, minutes=1)) == 1


@pytest.mark.parametrize("is_by_staff", [True, False])
def test_end_of_a_campaign_begins_the_time_of_lines_without_a_code(bench: LedgerBench, *, is_by_staff: bool) -> None:
    """Staff end it, or its end comes: none of them gets a code any more."""
    list_only(bench)
    ends_at = later(bench, days=20)
    for (campaign_id,) in bench.rows("SELECT campaign_id FROM campaigns"):
        about = {"context": replace(bench.context("staff"), now=ends_at), "campaign_id": campaign_id}
        if not is_by_staff:
            about |= {"context": bench.context("staff"), "changes": {"ends_at": ends_at}}
        command = (EndCampaign if is_by_staff else ChangeCampaignTerms)(**about)
        assert isinstance(bench.storage.ledger.execute_one(command), CampaignResult)

    assert count(bench, ends_at + timedelta(days=DAYS - 1)) == {"open": 1}
    assert erase(bench, ends_at + timedelta(days=DAYS, minutes=1)) == 1


def test_end_of_a_case_begins_the_time(bench: LedgerBench) -> None:
    """However long ago its reservation was refunded or sent."""
    reservation_id = sent(bench, "li@example.com")
    bench.bounce(reservation_id)
    done(
        bench.run(
            ResolveReservation(
                context=replace(bench.context("staff"), now=later(bench, days=10 * DAYS)),
                reservation_id=reservation_id,
                resolution="sent",
                case_id=uuid4(),
            )
        )
    )

    assert count(bench, later(bench, days=11 * DAYS - 1)) == {"recent": 1}
    assert erase(bench, later(bench, days=11 * DAYS, minutes=1)) == 1


def test_revoked_code_begins_the_time(bench: LedgerBench) -> None:
    """The time runs from its revocation, which nothing else about the person shows."""
    hand_out(bench)
    [(code_id,)] = bench.rows("SELECT code_id FROM handed_out_codes")
    context = replace(bench.context("staff"), now=later(bench, days=20))
    bench.run(RevokeCode(context=context, code_id=code_id, case_ids=()))

    assert count(bench, later(bench, days=20 + DAYS - 1)) == {"recent": 1}
    assert erase(bench, later(bench, days=20 + DAYS, minutes=1)) == 1


FAILED: Final = Rejected(server="mx:25", reason="mailbox full", final=True)


@pytest.mark.parametrize(("outcomes", "is_kept"), [([FAILED], False), (["opted_out"], False), ([SENT, FAILED], True)])
@pytest.mark.parametrize("codes", [1, 2])
def test_codes_whose_only_email_did_not_arrive_keep_the_address_for_the_time_only(
    bench: LedgerBench, outcomes: Sequence[FinalOutcome | SkipReason], codes: int, *, is_kept: bool
) -> None:
    """The first code of a line has the emails of all; before a resend, another one arrived."""
    bench.create_hand_out(codes=codes)
    [(code_id,)] = bench.rows("SELECT code_id FROM hand_out_recipients")
    bench.hand_out_code(code_id, outcomes[0])
    for mail, outcome in enumerate(outcomes[1:], 2):
        done(bench.run(ResendHandOut(context=bench.context("staff"), code_id=code_id)))
        done(bench.run(RecordHandOutMail(context=bench.context("worker"), code_id=code_id, mail=mail, outcome=outcome)))

    assert count(bench, later(bench, days=DAYS - 1)) == {"code" if is_kept else "recent": 1}
    assert erase(bench, later(bench, days=DAYS, minutes=1)) == (not is_kept)


def test_end_of_a_campaign_by_staff_begins_the_time_of_those_who_wait(bench: LedgerBench) -> None:
    """Its list is empty from then on, however long ago they joined."""
    campaign_id = bench.create_campaign(max_uses=1, waiting_hours=24)
    code = bench.issue(9, bound=False, campaign_id=campaign_id)
    bench.attempt(done(bench.redeem(code, "first@example.com")).require_reservation().reservation_id)
    bench.storage.ledger.execute_one(JoinWaitingList(redeem=bench.reserve(code, "li@example.com")))
    bench.storage.ledger.execute_one(end_by_staff(bench, campaign_id, later(bench, days=10 * DAYS)))

    assert count(bench, later(bench, days=11 * DAYS - 1)) == {None: 1, "recent": 1}
    assert count(bench, later(bench, days=11 * DAYS, minutes=1)) == {None: 2}


def test_code_that_someone_else_redeemed_waits_no_longer(bench: LedgerBench) -> None:
    """The recipient passed it on; who redeemed it is another person, who accepted."""
    bench.create_hand_out()
    [(code_id,)] = bench.rows("SELECT code_id FROM hand_out_recipients")
    result = done(bench.redeem(bench.hand_out_code(code_id), "other@example.com"))
    reservation_id = result.require_reservation().reservation_id
    bench.attempt(reservation_id)
    bench.run(AcceptInvite(context=bench.context(), reservation_id=reservation_id, delivery=1, case_id=uuid4()))
    now = later(bench, days=DAYS, minutes=1)

    assert count(bench, now) == {"accepted": 1, None: 1}
    assert erase(bench, now) == 1


def test_walk_goes_on_where_a_run_ended(bench: LedgerBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of two people: everyone is seen, whatever is kept between them; then it begins again."""
    monkeypatch.setattr(address_retention, "PAGE_SIZE", 2)
    people = 5
    for nth in range(people):
        sent(bench, f"person{nth}@example.com")
    now = later(bench, days=DAYS + 1)

    assert [erase(bench, now) for _ in range(3)] == [2, 2, 1]
    sent(bench, "new@example.com")
    assert erase(bench, later(bench, days=DAYS + 1)) == 1


def test_run_that_is_over_leaves_the_rest_to_the_next_one(bench: LedgerBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stops between two transactions; no person is left out."""
    monkeypatch.setattr(address_retention, "CHUNK_SIZE", 1)
    for nth in range(3):
        sent(bench, f"person{nth}@example.com")
    answers = iter([False, True])
    now = later(bench, days=DAYS + 1)

    assert AddressRetention(bench.storage, DAYS, uuid4).erase_due(now, lambda: next(answers)) == 1
    assert erase(bench, now) == 2
    assert bench.rows("SELECT count(*) FROM audit") == [(3,)]


@pytest.mark.parametrize("lock", [EventStoreSql.lock_shared_writer, PrivacySql.share_addresses])
def test_run_ends_while_commands_or_senders_are_busy(bench: LedgerBench, lock: LiteralString) -> None:
    """Later commands would wait behind it for as long as one lasts. The next run erases."""
    sent(bench, "li@example.com")
    now = later(bench, days=DAYS + 1)
    with psycopg.connect(bench.database_url) as busy:
        busy.execute(lock)
        assert erase(bench, now) == 0
        assert done(bench.redeem(bench.issue(), "other@example.com")).changed

    assert erase(bench, now) == 1


def test_person_who_redeems_again_in_between_is_kept(bench: LedgerBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was due when the page was read is looked at again in the transaction that erases."""
    sent(bench, "li@example.com")
    erase_unaccepted = PersonEraser.erase_unaccepted

    def redeem_first(eraser: PersonEraser, recipient_id: UUID, now: datetime, before: datetime) -> bool:
        with ThreadPoolExecutor(1) as other:  # another thread has another transaction
            other.submit(lambda: bench.redeem(bench.issue(), "li@example.com")).result()
        return erase_unaccepted(eraser, recipient_id, now, before)

    monkeypatch.setattr(PersonEraser, "erase_unaccepted", redeem_first)

    assert erase(bench, later(bench, days=DAYS + 1)) == 0
    assert bench.rows("SELECT count(*) FROM recipients") == [(1,)]


def test_redemption_between_the_decision_and_the_erasure_has_its_address(
    bench: LedgerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person redeems another code once the sweep has decided; the sweep goes on when that ends or waits for it."""
    sent(bench, "li@example.com")
    code, now = bench.issue(), later(bench, days=DAYS + 1)
    decided, decide = Event(), erasure.find_why_kept

    def decide_and_let_redeem(
        cursor: Cursor[Any], recipient_ids: Sequence[UUID], now: datetime, before: datetime
    ) -> dict[UUID, WhyKept | None]:
        why_kept = decide(cursor, recipient_ids, now, before)
        decided.set()
        wait_for(lambda: redeem.done() or bench.rows(WAITING) != [])
        return why_kept

    monkeypatch.setattr(erasure, "find_why_kept", decide_and_let_redeem)

    def redeem_once_decided() -> Result:
        assert decided.wait(WAIT_S_MAX)
        return bench.redeem(code, "li@example.com")

    with ThreadPoolExecutor(1) as other:  # another thread has another transaction
        redeem = other.submit(redeem_once_decided)
        assert erase(bench, now) == 1
        reservation_id = done(redeem.result()).require_reservation().reservation_id

    [recipient_id] = bench.rows("SELECT recipient_id FROM reservations WHERE reservation_id = %s", reservation_id)
    assert bench.rows("SELECT recipient_id FROM recipients") == [recipient_id]
