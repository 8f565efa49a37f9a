"""Reminders of unaccepted invitations over a real ledger: one each, when they are due, and to those who want them."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.commands.campaign.manage_campaign import EndCampaign
from domain.commands.reservation.refund import RefundReservation
from domain.ports import Language
from domain.results import CampaignResult
from projections.privacy.erasure import PersonEraser
from projections.privacy.opt_outs import OptOutRepository
from tests.integration.workers.sending.access_rig import REMIND_DAYS, SECOND, UNTIL_DUE, VALIDITY_DAYS, ReminderRig
from tests.support.fake_channel import FakeChannel
from tests.support.ledger.ledger_bench import LedgerBench, assert_no_drift, correction, done
from workers.channels.mail_message import message_bytes, render_parts
from workers.sending.delivery_steps import DeliverySteps


@pytest.fixture
def house(bench: LedgerBench, steps: DeliverySteps) -> ReminderRig:
    """A ledger whose campaign reminds five days before the end."""
    now = bench.storage.recorder.clock.now()
    return ReminderRig(bench, steps, FakeChannel(), now, campaign_id=bench.create_campaign(remind_days=REMIND_DAYS))


def test_unaccepted_invitation_is_reminded_of_once(house: ReminderRig) -> None:
    """Not a second before, not after acceptance, not without a campaign; with the link of the invitation."""
    open_one, accepted = house.invite(), house.invite("wang@example.com")
    house.grant_access(house.issue(VALIDITY_DAYS), "zhou@example.com")
    start = house.now
    house.accept(accepted)
    house.now = start + UNTIL_DUE - SECOND
    before = house.sweep()
    house.now = start + UNTIL_DUE
    for _ in range(3):
        reminded = house.sweep()
    house.now = start + timedelta(days=VALIDITY_DAYS - 1)
    at_last = house.sweep()

    assert (before, reminded, at_last) == ([], [open_one], [open_one])
    (message,) = [each for each in house.channel.sent if each.template == "invite_reminder"]
    reservation = house.bench.reader.find_reservation(open_one)
    assert reservation is not None
    invitation = house.steps.message_factory.invitation(reservation, message.recipient)
    assert (message.link, message.ends_at) == (invitation.link, start + timedelta(days=VALIDITY_DAYS))
    assert_no_drift(house.bench)


@pytest.mark.parametrize(("language", "text"), [("en", "You have not accepted"), ("zh", "您还没有接受")])
def test_reminder_can_be_stopped_with_one_click(house: ReminderRig, language: Language, text: str) -> None:
    """In the language of the invitation, with the end in UTC and both headers."""
    house.invite(language=language)
    house.now += UNTIL_DUE
    house.sweep()

    (message,) = [each for each in house.channel.sent if each.template == "invite_reminder"]
    header, _, _ = message_bytes(message, "ledger@example.com").partition(b"\r\n\r\n")
    parts = render_parts(message)
    assert f"List-Unsubscribe: <{message.opt_out_link}>".encode() in header
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in header
    assert b"List-Id: <emails-red.ledger.example>\r\n" in header
    assert text in parts.text
    assert message.link in parts.text
    assert message.opt_out_link in parts.text


def _accept(house: ReminderRig, reservation_id: UUID) -> None:
    house.accept(reservation_id)


def _refund(house: ReminderRig, reservation_id: UUID) -> None:
    done(
        house.bench.run(
            RefundReservation(
                context=house.context("staff"), reservation_id=reservation_id, cause="staff", revoke_access=True
            )
        )
    )


def _correct(house: ReminderRig, reservation_id: UUID) -> None:
    command = correction(house.bench, reservation_id, "right@example.com")
    done(house.bench.run(replace(command, context=house.context("staff"))))


def _bounce(house: ReminderRig, reservation_id: UUID) -> None:
    house.bench.bounce(reservation_id)


def _erase(house: ReminderRig, reservation_id: UUID) -> None:
    PersonEraser(house.bench.storage).erase(_recipient(house, reservation_id))


def _opt_out(house: ReminderRig, reservation_id: UUID) -> None:
    OptOutRepository(house.bench.storage).insert(_recipient(house, reservation_id), "red", house.now)


def _stop_reminders(house: ReminderRig, _: UUID) -> None:
    house.change_terms(remind_days=None)


def _recipient(house: ReminderRig, reservation_id: UUID) -> UUID:
    statement = "SELECT recipient_id FROM reservations WHERE reservation_id = %s"
    recipient_id: UUID = house.bench.rows(statement, reservation_id)[0][0]
    return recipient_id


@pytest.mark.parametrize(
    ("obstruct", "outcome"),
    [
        (_accept, "not_needed"),
        (_refund, "not_needed"),
        (_correct, "not_needed"),
        (_bounce, "not_needed"),
        (_erase, "recipient_forgotten"),
        (_opt_out, "opted_out"),
        (_stop_reminders, "not_needed"),
    ],
)
@pytest.mark.parametrize("when", ["before_due", "while_it_waits"])
def test_no_reminder_is_sent_to_those_who_need_or_want_none(
    house: ReminderRig, obstruct: Callable[[ReminderRig, UUID], None], outcome: str, when: str
) -> None:
    """Also if it is in the outbox already; another recipient gets one, unless the campaign stopped them."""
    reservation_id, other = house.invite(), house.invite("other@example.com")
    if when == "before_due":
        obstruct(house, reservation_id)
    house.now += UNTIL_DUE
    house.clean_up()
    if when == "while_it_waits":
        obstruct(house, reservation_id)

    assert house.sweep() == ([] if obstruct is _stop_reminders else [other])
    assert house.outcome(other) == ("not_needed" if obstruct is _stop_reminders else "sent")
    if when == "while_it_waits":
        assert house.outcome(reservation_id) == outcome


def test_reminder_waits_for_the_end_of_quiet_hours(house: ReminderRig) -> None:
    """It is one email after them, and the state of that time counts; the warnings of expiry do not wait."""
    first, second = house.invite(), house.invite("wang@example.com")
    due_at = house.now + UNTIL_DUE
    begin, end = due_at - timedelta(minutes=5), due_at + timedelta(minutes=5)
    house.change_terms(quiet_hours=f"{begin:%H:%M}-{end:%H:%M} UTC")
    house.now = due_at
    quiet = [house.sweep() for _ in range(2)]
    waiting = house.outcome(first)
    house.accept(second)
    house.now = end.replace(second=0, microsecond=0)
    after = [house.sweep() for _ in range(2)]

    assert (quiet, waiting, after) == ([[], []], "put_off", [[first], [first]])


def test_reminder_stands_for_the_warnings_until_its_day(house: ReminderRig) -> None:
    """A campaign that reminds on the day of a warning sends one email on that day, and later warnings as usual."""
    house.change_terms(remind_days=7)
    house.invite()
    start = house.now
    for days in (23, 27, 29):
        house.now = start + timedelta(days=days)
        house.sweep()

    assert [message.template for message in house.channel.sent] == ["invite_reminder", "ends_soon", "ends_soon"]


def test_late_reminder_stands_for_the_missed_warnings(house: ReminderRig) -> None:
    """If no worker ran for days, one email is sent instead of two."""
    house.invite()
    house.now += timedelta(days=VALIDITY_DAYS - 2)
    house.sweep()

    assert [message.template for message in house.channel.sent] == ["invite_reminder"]


def test_ended_campaign_still_reminds(house: ReminderRig) -> None:
    """What is reserved is still sent, and its reminder too."""
    reservation_id = house.invite()
    command = EndCampaign(context=house.context("operator"), campaign_id=house.campaign_id)
    assert isinstance(house.bench.storage.ledger.execute_one(command), CampaignResult)
    house.now += UNTIL_DUE

    assert house.sweep() == [reservation_id]
