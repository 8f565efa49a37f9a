"""Offers to people on waiting lists over a real ledger: one email each, bounded, and the next person where it fails."""

import dataclasses
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from msgspec.structs import replace

from domain.commands.campaign.manage_campaign import ChangeCampaignTerms, PauseCampaign, ResumeCampaign
from domain.commands.campaign.waiting_list import (
    OFFERS_PER_COMMAND,
    JoinWaitingList,
    OfferUses,
    WaitingListCommand,
)
from domain.commands.code.pause import PauseCode, ResumeCode
from domain.commands.code.revoke import RevokeCode
from domain.errors import Refusal
from domain.model.campaign import Campaign
from domain.model.suppression import ReportKind
from domain.model.waiting_list import OFFER_MAIL_MAX
from domain.ports import Accepted, Outcome, OutcomeUnknown, Rejected, RetryLater
from domain.report_intake import MailReport
from domain.results import CampaignResult, WaitingResult
from domain.values.mail.mail_token import mail_token
from projections.database.errors import StorageUnavailableError
from projections.database.migrations import migrate
from projections.event_store.stored_state import read_fields
from projections.privacy.opt_outs import OptOutRepository
from projections.read_models.campaign_list import CampaignReader
from projections.verification.verify import verify
from projections.work_queue.outbox import LEASE_S
from projections.work_queue.waiting_offers import FIRST, WaitingRows
from tests.integration.workers.sending.waiting_rig import HOURS, WaitingRig, make_waiting_rig
from tests.support.fake_channel import FakeChannel
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.rebuilds import NoProgress
from workers.sending.delivery_steps import DeliverySteps

PLACES_OF_ERASED = "0085_places_of_erased_people"
LATER = Rejected(server="mx", reason="temporary", final=False)
REFUSED = Rejected(server="mx", reason="address_refused", final=True, about_address=True)


@pytest.fixture
def house(bench: LedgerBench, steps: DeliverySteps) -> WaitingRig:
    return make_waiting_rig(bench, steps)


def test_first_person_gets_one_email_with_the_deadline(house: WaitingRig) -> None:
    """Nothing before a use is free; the email leads to the page of the place, and opts out."""
    house.wait("li")
    house.wait("wang")
    assert house.sweep() == []

    house.allow(2)
    for _ in range(2):
        written_to = house.sweep()

    assert written_to == ["li"]
    (message,) = house.channel.sent
    assert message.template == "waiting_offer"
    assert (message.ends_at, message.group) == (house.now + timedelta(hours=HOURS), "red")
    assert message.code_suffix == house.code[-4:]
    assert "/waiting/" in message.link
    assert "/opt-out/" in message.opt_out_link
    assert house.outcomes() == ["sent"]


def test_next_person_is_written_to_when_the_deadline_has_passed(house: WaitingRig) -> None:
    """And not a second before."""
    house.wait("li")
    house.wait("wang")
    house.allow(2)
    house.sweep()
    house.now += timedelta(hours=HOURS, seconds=-1)
    before = house.sweep()
    house.now += timedelta(seconds=1)

    assert (before, house.sweep()) == (["li"], ["li", "wang"])


def test_late_email_leaves_the_person_all_hours(house: WaitingRig) -> None:
    """No worker sent it before the hours were over; the email names the deadline, and the offer ends then."""
    house.wait("li")
    house.wait("wang")
    house.allow(2)
    house.channel = FakeChannel(LATER)
    house.sweep()
    house.channel = FakeChannel()
    house.now += timedelta(hours=HOURS + 1)
    written_to = house.sweep()
    until = house.campaign.waiting[0].offered_until
    house.now += timedelta(hours=HOURS, seconds=-1)
    before = house.sweep()
    house.now += timedelta(seconds=1)

    assert (written_to, before, house.sweep()) == (["li"], ["li"], ["li", "wang"])
    assert house.channel.sent[0].ends_at == until


def test_offer_without_an_email_ends(house: WaitingRig) -> None:
    """The mail server is unavailable; the use goes to the next person, not before three more days have passed."""
    house.wait("li")
    house.wait("wang")
    house.allow(2)
    house.channel = FakeChannel(RetryLater(server="mx", reason="full", wait=timedelta(days=1)))
    first = house.sweep()
    house.now += timedelta(hours=HOURS, seconds=-1) + OFFER_MAIL_MAX
    expired = house.campaign.find_expired_offers(house.now)
    house.now += timedelta(seconds=1)

    assert (first, expired) == (["li"], [])
    assert house.sweep()[-1] == "wang"


@pytest.mark.parametrize(
    ("outcome", "written_to"),
    [
        (Accepted(server="mx"), ["li"]),
        (REFUSED, ["li", "wang"]),
        (OutcomeUnknown(server="mx", cause="timeout"), ["li"]),
        (Rejected(server="mx", reason="message_refused", final=True), ["li"]),
    ],
)
def test_place_ends_only_if_no_email_goes_to_the_person(
    house: WaitingRig, outcome: Outcome, written_to: list[str]
) -> None:
    """An unknown outcome keeps the offer, and no second email is sent."""
    house.channel = FakeChannel(outcome)
    house.wait("li")
    house.wait("wang")
    house.allow(2)

    for _ in range(3):
        people = house.sweep()

    assert people == written_to


def test_email_is_sent_again_after_a_temporary_failure(house: WaitingRig) -> None:
    """With the same Message-ID, and a deadline that counts from this attempt."""
    house.channel = FakeChannel(LATER)
    house.wait("li")
    house.allow(2)
    house.sweep()
    house.now += timedelta(hours=1)

    assert house.sweep() == ["li", "li"]
    first, second = house.channel.sent
    assert first == dataclasses.replace(second, ends_at=first.ends_at)
    assert second.ends_at == house.now + timedelta(hours=HOURS)


def test_wave_after_an_outage_is_bounded(house: WaitingRig) -> None:
    """A run makes so many offers and sends so many emails; each person gets one."""
    people = [f"w{number}" for number in range(OFFERS_PER_COMMAND + 2)]
    for name in people:
        house.wait(name)
    house.allow(100)

    counts = [len(house.sweep()) for _ in range(3)]

    assert counts == [OFFERS_PER_COMMAND, len(people), len(people)]
    assert sorted({message.recipient.typed for message in house.channel.sent}) == sorted(
        f"{name}@example.com" for name in people
    )


def test_lost_lease_keeps_the_offer(house: WaitingRig) -> None:
    """The email may have been sent."""
    house.wait("li")
    house.allow(2)
    house.bench.storage.ledger.execute_one(OfferUses(context=house.context(), campaign_id=house.campaign_id))
    assert WaitingRows(house.bench.storage, LEASE_S).take(house.now) is not None
    house.now += timedelta(seconds=LEASE_S + 1)

    assert house.sweep() == []
    assert house.campaign.waiting[0].offered_until == house.now + timedelta(hours=HOURS)


@pytest.mark.parametrize("first", [Accepted(server="mx"), LATER])
def test_renewed_offer_has_an_email_of_its_own(house: WaitingRig, first: Outcome) -> None:
    """Mail programs show it next to the first one, and it has all attempts, whatever became of the first."""
    house.channel = FakeChannel(first)
    house.wait("li")
    house.allow(2)
    for _ in range(9):
        house.sweep()
        house.now += timedelta(hours=1)
    earlier = {message.message_id for message in house.channel.sent}
    house.manage(PauseCampaign(context=house.context("staff"), campaign_id=house.campaign_id))
    house.now += timedelta(hours=HOURS) + OFFER_MAIL_MAX
    house.manage(ResumeCampaign(context=house.context("staff"), campaign_id=house.campaign_id))
    house.channel = FakeChannel()

    assert house.sweep() == ["li"]
    assert len(earlier) == 1
    assert house.channel.sent[0].message_id not in earlier
    assert house.bench.rows("SELECT attempts, outcome FROM waiting_places") == [(1, "sent")]


@pytest.mark.parametrize("hours", [1, HOURS + 1])
def test_offer_behind_a_start_that_was_moved_has_another_email_at_the_start(house: WaitingRig, hours: int) -> None:
    """The sweep finds that the start has come, because no event says so; the person has all hours."""
    house.wait("li")
    house.allow(2)
    house.sweep()
    house.stop({"starts_at": hours})
    house.now += timedelta(hours=hours, seconds=-1)

    assert house.sweep() == ["li"]
    house.now += timedelta(seconds=1)
    assert [house.sweep() for _ in range(2)] == [["li"] * 2] * 2
    assert len({message.message_id for message in house.channel.sent}) == 2
    assert house.campaign.waiting[0].offered_until == house.now + timedelta(hours=HOURS)


def test_offer_that_is_renewed_while_its_email_is_sent_is_written_about_again(house: WaitingRig) -> None:
    """The worker that has the lease does not end the renewed one; the second email follows when the lease ends."""
    house.wait("li")
    house.allow(2)
    house.bench.storage.ledger.execute_one(OfferUses(context=house.context(), campaign_id=house.campaign_id))
    rows = WaitingRows(house.bench.storage, LEASE_S)
    leased = rows.take(house.now)
    assert leased is not None
    house.manage(PauseCampaign(context=house.context("staff"), campaign_id=house.campaign_id))
    ahead = house.now
    house.now += timedelta(hours=HOURS) + OFFER_MAIL_MAX
    house.manage(ResumeCampaign(context=house.context("staff"), campaign_id=house.campaign_id))
    rows.close(leased, None, "sent")
    house.now = max(house.now, ahead + timedelta(seconds=LEASE_S + 1))

    assert house.sweep() == ["li"]
    assert house.outcomes() == ["sent"]


@pytest.mark.parametrize("kind", ["bounced", "complained"])
@pytest.mark.parametrize("has_ended", [False, True])
def test_report_about_the_email_ends_the_place_and_suppresses_the_address(
    house: WaitingRig, kind: ReportKind, *, has_ended: bool
) -> None:
    """The use goes to the next person; a report that comes after the place has ended still says not to write again."""
    house.wait("li")
    house.wait("wang")
    house.allow(2)
    house.sweep()
    (message,) = house.channel.sent
    place = house.campaign.waiting[0]
    if has_ended:
        house.leave(place.place_id)
    storage, intake = house.bench.storage, house.make_intake()
    token = mail_token(b"secret", message.ref, message.written_at)
    report = MailReport(kind, (token,), "no such user", reason="mailbox_unknown")
    results = [intake.take(report, house.context("worker")) for _ in range(2)]

    assert [each.outcome for each in results] == (["known"] * 2 if has_ended else ["taken", "known"])
    assert house.sweep() == ["li", "wang"]
    cause = "mailbox_unknown" if kind == "bounced" else "complained"
    assert house.bench.rows("SELECT recipient_id, cause FROM suppressed_addresses") == [(place.recipient_id, cause)]
    assert OptOutRepository(storage).is_suppressed(place.recipient_id, "red")
    assert house.bench.rows("SELECT about, recipient_id FROM private_texts JOIN text_subjects USING (text_id)") == [
        ("person", place.recipient_id)
    ]


@pytest.mark.parametrize("has_ended", [False, True])
def test_report_that_comes_again_does_not_undo_that_staff_allowed_emails(house: WaitingRig, *, has_ended: bool) -> None:
    """Whether the place had ended before the first one or not."""
    house.wait("li")
    house.allow(2)
    house.sweep()
    (message,) = house.channel.sent
    (place,) = house.campaign.waiting
    if has_ended:
        house.leave(place.place_id)
    intake = house.make_intake()
    token = mail_token(b"secret", message.ref, message.written_at)
    report = MailReport("bounced", (token,), "no such user", reason="mailbox_unknown")
    intake.take(report, house.context("worker"))
    opt_outs = OptOutRepository(house.bench.storage)
    assert opt_outs.lift_suppressions(place.recipient_id)

    intake.take(report, house.context("worker"))

    assert opt_outs.list_suppressions(place.recipient_id) == []
    intake.take(report._replace(kind="complained"), house.context("worker"))
    assert [each.suppression.cause for each in opt_outs.list_suppressions(place.recipient_id)] == ["complained"]


def test_migration_deletes_ended_places_of_erased_people(house: WaitingRig) -> None:
    """Former releases left them. A place that is still on the list stays, and so do those of other people."""
    for name in ("li", "wang", "zhao"):
        house.wait(name)
    ended, waiting, other = (place for place in house.campaign.waiting)
    house.leave(ended.place_id)
    house.leave(other.place_id)
    erased = [ended.recipient_id, waiting.recipient_id]
    with psycopg.connect(house.bench.database_url, autocommit=True) as conn:
        conn.execute("DELETE FROM recipients WHERE recipient_id = ANY(%s)", (erased,))
        conn.execute("DELETE FROM _yoyo_migration WHERE migration_id = %s", (PLACES_OF_ERASED,))

    assert migrate(house.bench.database_url) == [PLACES_OF_ERASED]
    places = house.bench.rows("SELECT place_id FROM waiting_places ORDER BY joined_at")
    assert places == [(waiting.place_id,), (other.place_id,)]


def test_bug_in_one_campaign_stops_no_other(house: WaitingRig) -> None:
    """Whichever comes first: it is logged, and the other one offers its use and sends the email."""
    broken = house.campaign_id
    house.campaign_id = house.bench.create_campaign(max_uses=1, waiting_hours=HOURS)
    house.wait("wang", house.bench.issue(99, bound=False, campaign_id=broken, group="red"))
    house.code = house.bench.issue(99, bound=False, campaign_id=house.campaign_id, group="red")
    house.bench.redeem(house.code, "second@example.com")
    house.wait("li")
    house.allow(2)
    sender, find = house.make_sender(), CampaignReader(house.bench.storage).find_campaign_state

    def find_campaign(campaign_id: UUID) -> Campaign | None:
        if campaign_id == broken:
            raise ZeroDivisionError
        return find(campaign_id)

    sender.find_campaign = find_campaign
    sender.run()

    assert [message.recipient.typed for message in house.channel.sent] == ["li@example.com"]
    assert [*map(type, house.bugs)] == [ZeroDivisionError]


def test_run_continues_with_the_campaign_at_which_the_database_was_unavailable(house: WaitingRig) -> None:
    """It is not left out until all others had their turn."""
    house.wait("li")
    house.allow(2)
    sender, execute = house.make_sender(), house.bench.storage.ledger.execute_one

    def fail(_command: WaitingListCommand) -> None:
        raise StorageUnavailableError

    sender.execute = fail
    with pytest.raises(StorageUnavailableError):
        sender.run()
    sender.execute = execute
    sender.run()

    assert [message.recipient.typed for message in house.channel.sent] == ["li@example.com"]
    assert house.bugs == []


def test_database_that_fails_twice_at_one_campaign_stops_no_other(house: WaitingRig) -> None:
    """Such as a lock that lasts: from the second run on, the other one offers its uses and emails are sent."""
    house.wait("li")
    house.allow(2)
    locked, code = house.campaign_id, house.code
    house.campaign_id = house.bench.create_campaign(max_uses=1, waiting_hours=HOURS)
    house.code = house.bench.issue(99, bound=False, campaign_id=house.campaign_id, group="red")
    house.bench.redeem(house.code, "other@example.com")
    house.wait("wang")
    house.allow(2)
    sender, execute = house.make_sender(), house.bench.storage.ledger.execute_one

    def fail_for_one(command: WaitingListCommand) -> object:
        if isinstance(command, OfferUses) and command.campaign_id == locked:
            raise StorageUnavailableError
        return execute(command)

    sender.execute = fail_for_one
    with pytest.raises(StorageUnavailableError):
        sender.run()
    sender.run()

    assert [message.recipient.typed for message in house.channel.sent] == ["wang@example.com"]
    for _ in range(2):
        sender.run()
    assert [*map(type, house.bugs)] == [StorageUnavailableError] * 2

    sender.execute, sender.after = execute, FIRST
    sender.run()
    sender.execute, sender.after = fail_for_one, FIRST
    house.campaign_id, house.code = locked, code
    house.wait("zhao")
    house.allow(3)
    with pytest.raises(StorageUnavailableError):  # the database answered for it since: this may be an outage
        sender.run()


def test_run_that_should_stop_offers_nothing(house: WaitingRig) -> None:
    """The next one does."""
    house.wait("li")
    house.allow(2)
    sender = house.make_sender()
    sender.run(lambda: True)
    stopped = list(house.channel.sent)
    sender.run()

    assert (stopped, len(house.channel.sent)) == ([], 1)


def test_two_spellings_of_one_inbox_have_one_place(house: WaitingRig) -> None:
    """The store looks up whose inboxes wait already."""
    changes = {"max_per_person": 1, "person_rule": "mailbox"}
    change = ChangeCampaignTerms(context=house.context("staff"), campaign_id=house.campaign_id, changes=changes)
    assert isinstance(house.bench.storage.ledger.execute_one(change), CampaignResult)

    for name in ("li", "wang", "li+gift", "wang+1", "zhao"):
        house.wait(name)

    assert len(house.campaign.waiting) == 3


@pytest.mark.parametrize("is_known", [False, True])
def test_offered_use_is_taken_under_another_spelling(house: WaitingRig, *, is_known: bool) -> None:
    """Of a new address, and of one that the ledger has; the store looks up who of the inbox waits."""
    bench, context = house.bench, house.context("staff")
    changes = {"max_uses": 9, "max_per_person": 1 + is_known, "person_rule": "mailbox"}
    change = ChangeCampaignTerms(context=context, campaign_id=house.campaign_id, changes=changes)
    assert isinstance(bench.storage.ledger.execute_one(change), CampaignResult)
    if is_known:
        done(bench.run(replace(bench.reserve(house.code, "li+a@gmail.com"), context=house.context("person"))))
    house.allow(1 + is_known)
    place = JoinWaitingList(redeem=replace(bench.reserve(house.code, "li@gmail.com"), context=house.context("person")))
    assert isinstance(bench.storage.ledger.execute_one(place), WaitingResult)
    house.wait("wang")
    house.allow(2 + is_known)
    house.sweep()
    code = bench.issue(99, bound=False, campaign_id=house.campaign_id)

    refused = bench.redeem(code, "wang+a@example.com")
    redeemed = bench.redeem(code, "li+a@gmail.com" if is_known else "l.i@gmail.com")

    assert isinstance(refused, Refusal)
    assert done(redeemed).changed
    assert len(house.campaign.waiting) == 1
    report = verify(bench.database_url, timedelta(hours=1), NoProgress(), 10)
    assert (report.rows.listed, sorted(report.broken)) == ([], [])


def test_use_goes_to_the_next_person_if_the_code_cannot_be_redeemed_any_more(house: WaitingRig) -> None:
    """No email leads to a refusal, and the history says why the place ended."""
    house.wait("li", house.bench.issue(1, bound=False, campaign_id=house.campaign_id))
    house.wait("wang")
    house.allow(2)
    revocation = RevokeCode(context=house.context("staff"), code_id=house.campaign.waiting[0].code_id, case_ids=())
    house.bench.run(revocation)
    for _ in range(2):
        people = house.sweep()

    query = "SELECT state FROM ledger_events WHERE topic = 'WaitingListLeft:1'"
    assert people == ["wang"]
    assert [read_fields(state)["cause"] for (state,) in house.bench.rows(query)] == ["code_ended"]
    assert house.outcomes() == ["code_ended", "sent"]


def test_email_waits_while_the_code_is_paused(house: WaitingRig) -> None:
    """Then it is sent, and the hours count from it."""
    house.wait("li")
    house.allow(2)
    code_id = house.campaign.waiting[0].code_id
    house.bench.run(PauseCode(context=house.context("staff"), code_id=code_id))
    paused = [house.sweep()]
    house.now += timedelta(days=1)
    paused.append(house.sweep())
    house.bench.run(ResumeCode(context=house.context("staff"), code_id=code_id))
    house.now += timedelta(minutes=1)

    assert (paused, house.sweep()) == ([[], []], ["li"])
    assert house.campaign.waiting[0].offered_until == house.now + timedelta(hours=HOURS)


@pytest.mark.parametrize("change", [{"paused": True}, {"starts_at": 9}, {"max_uses": 1}])
def test_email_waits_while_the_campaign_gives_no_use(house: WaitingRig, change: dict[str, int]) -> None:
    """It would lead to a refusal. Then it is sent, and the hours count from it."""
    house.wait("li")
    house.allow(2)
    house.bench.storage.ledger.execute_one(OfferUses(context=house.context(), campaign_id=house.campaign_id))
    house.stop(change)
    waiting = [house.sweep()]
    house.now += timedelta(hours=1)
    waiting.append(house.sweep())
    house.go_on(change)
    house.now += timedelta(minutes=1)

    assert (waiting, house.sweep()) == ([[], []], ["li"])
    assert house.campaign.waiting[0].offered_until == house.now + timedelta(hours=HOURS)


def test_no_email_is_sent_after_the_end_of_the_campaign(house: WaitingRig) -> None:
    """Nor does one that is sent before promise more."""
    house.wait("li")
    house.wait("wang")
    house.change({"ends_at": house.now + timedelta(hours=6), "max_uses": 3})
    house.channel = FakeChannel(LATER)
    house.sweep()
    (first, _) = house.channel.sent
    house.now += timedelta(hours=6)
    house.channel = FakeChannel()

    assert first.ends_at == house.now
    assert house.sweep() == []


def test_email_names_the_end_of_the_code_if_it_is_earlier(house: WaitingRig) -> None:
    """And not the hours of the offer."""
    ends_at = house.now + timedelta(hours=2)
    house.wait("li", house.bench.issue(1, bound=False, campaign_id=house.campaign_id, expires_at=ends_at))
    house.allow(2)
    house.sweep()

    assert house.channel.sent[0].ends_at == ends_at


def test_next_person_gets_the_use_if_another_has_bound_the_code(house: WaitingRig) -> None:
    """The code belongs to the first person who redeemed it; while their use is only reserved, the email waits."""
    code = house.bench.issue(9, campaign_id=house.campaign_id)
    house.wait("li", code)
    house.wait("wang")
    house.allow(3)
    house.bench.storage.ledger.execute_one(OfferUses(context=house.context(), campaign_id=house.campaign_id))
    house.allow(4)
    reservation_id = done(house.bench.redeem(code, "chen@example.com")).require_reservation().reservation_id
    before = house.sweep()
    house.bench.attempt(reservation_id)
    house.now += timedelta(minutes=1)
    for _ in range(2):
        after = house.sweep()

    assert (before, after) == (["wang"], ["wang"])
    assert sorted(filter(None, house.outcomes())) == ["code_ended", "sent"]


def test_outage_of_days_costs_no_place(house: WaitingRig) -> None:
    """An attempt without a connection does not count; only the end of the offer bounds them."""
    house.wait("li")
    house.allow(2)
    down = Rejected(server="mx", reason="connection_failed", final=False, about_connection=True)
    house.channel = FakeChannel(down, down, down)
    for _ in range(3):
        house.sweep()
        house.now += timedelta(days=1)
    before = house.outcomes()

    assert (before, house.sweep()[3:], house.outcomes()) == (["failed"], ["li"], ["sent"])


def test_person_who_opted_out_before_joining_gets_the_email(house: WaitingRig) -> None:
    """They asked for it when they joined."""
    house.wait("li")
    recipient_id, joined_at = house.campaign.waiting[0].recipient_id, house.campaign.waiting[0].joined_at
    OptOutRepository(house.bench.storage).insert(recipient_id, "red", joined_at - timedelta(days=1))
    house.allow(2)

    assert house.sweep() == ["li"]


def test_person_who_opted_out_gets_no_email_and_loses_the_place(house: WaitingRig) -> None:
    """The use goes to the next person, although they had opted out before they joined as well."""
    house.wait("li")
    house.wait("wang")
    house.allow(2)
    recipient_id = house.campaign.waiting[0].recipient_id
    for at in (house.now - timedelta(days=1), house.now + timedelta(seconds=1)):
        OptOutRepository(house.bench.storage).insert(recipient_id, "red", at)

    for _ in range(2):
        people = house.sweep()

    assert people == ["wang"]
