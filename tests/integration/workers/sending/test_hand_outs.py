"""Hand-outs over a real ledger: one code each, whatever breaks; at their rate; and only to those who want them."""

import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.commands.campaign.waiting_list import JoinWaitingList
from domain.commands.delivery.record_bounce import RecordMailReport
from domain.commands.reservation.refund import RefundReservation
from domain.judgment import HAND_OUT
from domain.ports import Accepted, Language, Outcome, OutcomeUnknown, Rejected, RetryLater
from domain.results import WaitingResult
from projections.hand_outs.hand_out_queue import LEASE_S, HandOutQueue
from projections.hand_outs.hand_out_reader import HandOutProgress, HandOutReader, Obstacle
from projections.privacy.erasure import PersonEraser
from projections.privacy.opt_outs import OptOutRepository
from projections.read_models.campaign_list import CampaignReader
from tests.integration.workers.sending.hand_out_rig import (
    PEOPLE,
    HandOutRig,
    end,
    pause,
    pause_campaign,
    people,
)
from tests.support.fake_channel import FakeChannel
from tests.support.ledger.ledger_bench import assert_no_drift, done
from workers.channels.mail_message import message_bytes, render_parts
from workers.sending.late_acceptance import record_late_acceptance

REFUSED = Rejected(server="mx", reason="address_refused", final=True)
BUSY = Rejected(server="mx", reason="temporary", final=False)
UNREACHABLE = Rejected(server="mx", reason="unreachable", final=False, about_connection=True)
REPEATED = {"sending": 2, "before RecordHandOutMail": 4}
"""Emails that are sent a second time, by where a worker of four rows at a time ends."""


@pytest.mark.parametrize(
    "crash",
    ["before IssueCode", "after IssueCode", "sending", "before RecordHandOutMail", "after RecordHandOutMail"],
)
def test_recipients_get_one_code_wherever_a_worker_ends(house: HandOutRig, crash: str) -> None:
    """After the lease another worker continues; an email is repeated with its Message-ID and its code, if at all."""
    hand_out_id = house.create()
    house.add(hand_out_id, *people())
    house.crash(crash)
    others = house.send()
    house.passes(seconds=LEASE_S)
    rest = house.send()

    by_person: dict[str, set[tuple[str, str]]] = {}
    for message in house.channel.sent:
        by_person.setdefault(message.recipient.typed, set()).add((message.message_id, message.code))
    assert sorted(by_person) == sorted(people())
    assert {len(mails) for mails in by_person.values()} == {1}
    assert (others, rest) == (PEOPLE - 4, 4)
    assert len(house.channel.sent) - PEOPLE == REPEATED.get(crash, 0)
    assert house.states(hand_out_id) == {"sent": PEOPLE}
    issued = house.bench.rows("SELECT count(*) FROM code_balances WHERE campaign_id = %s", house.campaign_id)
    assert issued == [(PEOPLE,)]
    assert_no_drift(house.bench)


def test_two_workers_share_a_hand_out(house: HandOutRig) -> None:
    hand_out_id = house.create()
    house.add(hand_out_id, *people())
    first, second = house.sender(), house.sender()
    leased = {row.code_id for row in first.queue.take(house.now, 5)}
    others = {row.code_id for row in second.queue.take(house.now, PEOPLE)}

    assert (len(leased), len(others), leased & others) == (5, PEOPLE - 5, set())


def test_rate_per_minute_is_kept(house: HandOutRig) -> None:
    """Six a minute are one every ten seconds; what an idle worker missed is not made up for in one go."""
    hand_out_id = house.create(per_minute=6)
    house.add(hand_out_id, *people())
    counts = []
    for _ in range(7):
        house.send()
        counts.append(len(house.channel.sent))
        house.passes(seconds=10)
    house.passes(minutes=10)
    house.send()

    assert counts[0] <= 2
    assert counts[-1] <= 8
    assert all(later - earlier <= 1 for earlier, later in pairwise(counts))
    assert len(house.channel.sent) - counts[-1] <= 2
    assert house.states(hand_out_id)["sent"] == len(house.channel.sent)


@pytest.mark.parametrize(
    ("outcomes", "state", "count"),
    [
        ([BUSY] * HAND_OUT.attempts_max, "refused", HAND_OUT.attempts_max),
        ([OutcomeUnknown(server="mx", cause="timeout")] * HAND_OUT.attempts_max, "unknown", HAND_OUT.attempts_max),
        ([OutcomeUnknown(server="mx", cause="timeout"), REFUSED], "unknown", 2),
        (
            [OutcomeUnknown(server="mx", cause="timeout"), *[BUSY] * (HAND_OUT.attempts_max - 1)],
            "unknown",
            HAND_OUT.attempts_max,
        ),
    ],
)
def test_outcome_decides_whether_an_email_has_another_attempt(
    house: HandOutRig, outcomes: list[Outcome], state: str, count: int
) -> None:
    hand_out_id = house.create()
    house.channel = FakeChannel(*outcomes)
    house.add(hand_out_id, "li@example.com")
    for _ in range(10):
        house.send()
        house.passes(minutes=10)

    assert house.states(hand_out_id) == {state: 1}
    assert len(house.channel.sent) == count
    assert len({message.message_id for message in house.channel.sent}) == 1


def test_email_without_a_connection_has_failed_after_a_week(house: HandOutRig) -> None:
    """None of the attempts counts, and the reason of the last one is recorded."""
    hand_out_id = house.create()
    house.add(hand_out_id, "li@example.com")
    house.channel.always("li@example.com", UNREACHABLE)
    for days in (3, 3.99, 0.02):
        house.send()
        assert house.states(hand_out_id) == {"queued": 1}
        house.passes(days=days)
    house.send()

    assert (house.states(hand_out_id), len(house.channel.sent)) == ({"refused": 1}, 4)
    reasons = house.bench.rows(
        "SELECT event_fields(state) ->> 'reason' FROM ledger_events WHERE topic = 'HandOutFailed:1'"
    )
    assert reasons == [("unreachable",)]


def test_email_whose_workers_all_ended_is_unknown_after_the_last_attempt(house: HandOutRig) -> None:
    """Whatever ends them would end the next one too, and any of the attempts may have sent it."""
    hand_out_id = house.create()
    house.add(hand_out_id, "li@example.com")
    for _ in range(HAND_OUT.attempts_max):
        house.crash("before RecordHandOutMail")
        house.passes(seconds=LEASE_S)

    house.send()

    assert (house.states(hand_out_id), len(house.channel.sent)) == ({"unknown": 1}, HAND_OUT.attempts_max)
    assert_no_drift(house.bench)


def test_email_is_not_refused_when_a_worker_ended_after_it_was_sent(house: HandOutRig) -> None:
    """The refusal of the repeat says nothing about the first copy; that of a later email does."""
    hand_out_id = house.create()
    house.add(hand_out_id, "li@example.com")
    house.crash("before RecordHandOutMail")
    sent = list(house.channel.sent)
    house.channel = FakeChannel(REFUSED, REFUSED)
    house.passes(seconds=LEASE_S)
    house.send()

    assert house.states(hand_out_id) == {"unknown": 1}
    house.request_resend(sent[0].reservation_id)
    house.send()
    assert house.states(hand_out_id) == {"refused": 1}


def test_channel_that_names_no_wait_is_asked_after_the_usual_one(house: HandOutRig) -> None:
    """Else one run would use up all attempts within a second."""
    hand_out_id = house.create()
    house.channel = FakeChannel(*[RetryLater(server="team", reason="full", wait=timedelta(0))] * 2)
    house.add(hand_out_id, "li@example.com")
    counts = []
    for seconds in (0, 59, 1, 119, 1):
        house.passes(seconds=seconds)
        counts.append(house.send())

    assert counts == [1, 0, 1, 0, 1]
    assert house.states(hand_out_id) == {"sent": 1}


def find_obstacle(house: HandOutRig, hand_out_id: UUID) -> Obstacle | None:
    """Why a hand-out sends nothing, as lists and pages show it."""
    details = HandOutReader(house.bench.storage).find_hand_out(hand_out_id)
    campaign = CampaignReader(house.bench.storage).find_campaign_state(house.campaign_id)
    assert details is not None
    assert campaign is not None
    progress = HandOutProgress(details, campaign, {}, resends=0, codes=0, waiting_codes=0, texts={})
    return progress.find_obstacle(house.now)


def test_hand_out_waits_for_a_limit_that_was_set_below_the_uses(house: HandOutRig) -> None:
    """No code could be redeemed until refunds have made room, so lists and pages say that it waits."""
    hand_out_id = house.create()
    for name in ("wang", "zhao"):
        done(house.bench.redeem(house.issue_in_campaign()[1], f"{name}@example.com"))
    house.add(hand_out_id, "li@example.com")
    assert find_obstacle(house, hand_out_id) is None
    house.change(counting="all", max_uses=1)

    assert house.send() == 0
    assert find_obstacle(house, hand_out_id) == "campaign_full"


def test_hand_out_sends_no_code_for_a_use_that_is_kept_for_those_who_wait(house: HandOutRig) -> None:
    """A redeem request would be refused. It continues when more uses are left than people wait; so do reminders."""
    bench, hand_out_id = house.bench, house.create(expires_at=house.now + timedelta(days=6))
    house.add(hand_out_id, "zhao@example.com")
    house.send()
    house.change(max_uses=1, waiting_hours=24, remind_days=5)
    used = done(bench.redeem(house.issue_in_campaign()[1], "wang@example.com")).require_reservation()
    place = JoinWaitingList(redeem=bench.reserve(house.issue_in_campaign()[1], "qian@example.com"))
    assert isinstance(bench.storage.ledger.execute_one(place), WaitingResult)
    bench.run(RefundReservation(context=bench.context("staff"), reservation_id=used.reservation_id, cause="staff"))
    house.add(hand_out_id, "li@example.com")
    house.passes(days=2)

    assert (house.send(), find_obstacle(house, hand_out_id)) == (0, "campaign_full")
    house.change(max_uses=2)
    assert find_obstacle(house, hand_out_id) is None
    assert house.send() == 2
    assert [message.template for message in house.channel.sent[1:]] == ["hand_out", "hand_out_reminder"]


@pytest.mark.parametrize("stop", [pause, end, pause_campaign])
def test_stopped_hand_out_sends_only_emails_that_staff_request(
    house: HandOutRig, stop: Callable[[HandOutRig, UUID], None]
) -> None:
    """A resend has the code and the link of the first email, and another Message-ID."""
    hand_out_id = house.create()
    house.add(hand_out_id, "li@example.com")
    house.send()
    house.add(hand_out_id, "wang@example.com")
    stop(house, hand_out_id)
    stopped = house.send()
    (first,) = house.channel.sent
    house.request_resend(first.reservation_id)

    assert (stopped, house.send(), house.send()) == (0, 1, 0)
    second = house.channel.sent[-1]
    assert (second.code, second.link, second.recipient) == (first.code, first.link, first.recipient)
    assert second.message_id != first.message_id


def test_list_says_whose_address_is_not_written_to(house: HandOutRig) -> None:
    """An invitation of theirs bounced before: they get no code, and wait for none."""
    bench, hand_out_id = house.bench, house.create()
    reservation_id = done(bench.redeem(bench.issue(), "li@example.com")).require_reservation().reservation_id
    bench.attempt(reservation_id)
    bounce = RecordMailReport(
        context=bench.context("worker"),
        evidence="token",
        reservation_id=reservation_id,
        delivery=1,
        reason="mailbox_unknown",
        case_id=uuid4(),
    )
    done(bench.run(bounce))
    house.add(hand_out_id, "li@example.com", "wang@example.com")
    house.send()
    reader = HandOutReader(bench.storage)
    details = reader.find_hand_out(hand_out_id)
    assert details is not None
    listed = reader.list_people(details, 0, 9, house.now, is_campaign_over=False)
    not_written_to = reader.list_people(details, 0, 9, house.now, is_campaign_over=False, state="suppressed")

    assert [message.recipient.envelope for message in house.channel.sent] == ["wang@example.com"]
    assert house.states(hand_out_id) == {"sent": 1, "suppressed": 1}
    assert [(person.state, person.may_get_email) for person in listed] == [("suppressed", False), ("sent", True)]
    assert not_written_to == listed[:1]
    assert reader.find_person(details, listed[0].code_id, house.now, is_campaign_over=False) == listed[0]


def test_opt_out_stops_emails_of_the_group(house: HandOutRig) -> None:
    """Before the first email there is no code; and after support undid it, a request of staff sends it."""
    hand_out_id = house.create(group="team")
    house.add(hand_out_id, "li@example.com", "wang@example.com")
    opt_outs = OptOutRepository(house.bench.storage)
    opt_outs.insert(house.recipient("li@example.com"), "team", house.now)
    house.send()
    states = house.states(hand_out_id)
    codes = house.bench.rows("SELECT count(*) FROM handed_out_codes")
    (message,) = house.channel.sent
    opt_outs.delete(house.recipient("li@example.com"), "team")
    ((code_id,),) = house.bench.rows(
        "SELECT code_id FROM hand_out_recipients WHERE recipient_id = %s", house.recipient("li@example.com")
    )
    HandOutQueue(house.bench.storage).ask(hand_out_id, code_id, house.now)
    house.send()

    assert (states, codes) == ({"sent": 1, "opted_out": 1}, [(1,)])
    header, _, _ = message_bytes(message, "ledger@example.com").partition(b"\r\n\r\n")
    assert f"List-Unsubscribe: <{message.opt_out_link}>".encode() in header
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in header
    assert b"List-Id: <emails-team.ledger.example>\r\n" in header
    assert house.states(hand_out_id) == {"sent": 2}


def test_erased_recipient_leaves_the_list(house: HandOutRig) -> None:
    """Before the email none is sent; the variables are gone with the row."""
    hand_out_id = house.create()
    house.add(hand_out_id, "li@example.com", "wang@example.com", name="Li")
    PersonEraser(house.bench.storage).erase(house.recipient("li@example.com"))
    house.send()

    assert [message.recipient.typed for message in house.channel.sent] == ["wang@example.com"]
    assert house.bench.rows("SELECT count(*) FROM hand_out_recipients") == [(1,)]
    assert house.states(hand_out_id) == {"sent": 1}


@pytest.mark.parametrize(("language", "words"), [("en", "Here is your redeem code"), ("zh", "这是您的")])
def test_email_has_the_code_and_a_link_that_fills_the_form(house: HandOutRig, language: Language, words: str) -> None:
    hand_out_id = house.create(group="team")
    house.add(hand_out_id, "li@example.com", language=language)
    house.send()

    (message,) = house.channel.sent
    parts = render_parts(message)
    assert message.link == f"http://127.0.0.1:8000/invite?code={message.code}"
    assert re.fullmatch(r"(\w{4}-){4}\w{4}", message.code)
    assert [text for text in (words, message.code, message.link, "team") if text not in parts.text] == []
    assert message.code in parts.html


@pytest.mark.parametrize(
    ("language", "whole", "start", "end"),
    [
        ("en", "from {0} to {1} UTC.", "from {0} UTC.", "until {1} UTC."),
        ("zh", "兑换时间：{0} 至 {1}（UTC）", "兑换码自 {0}（UTC）起可以兑换", "兑换截止时间：{1}（UTC）"),
    ],
)
def test_email_says_when_its_code_can_be_redeemed(
    house: HandOutRig, language: Language, whole: str, start: str, end: str
) -> None:
    """By the terms of the code and of its campaign, also with the hand-out's text, on the day on which it is sent."""
    starts_at, ends_at = house.now + timedelta(days=10), house.now + timedelta(days=22)
    shown = [f"{time:%Y-%m-%d %H:%M}" for time in (starts_at, ends_at)]
    windows: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        ({"starts_at": starts_at}, {"expires_at": ends_at, "starts_at": house.now}, whole),
        ({"starts_at": None, "ends_at": ends_at}, {"expires_at": ends_at + timedelta(days=9)}, end),
        ({"starts_at": None, "ends_at": None}, {"starts_at": starts_at}, start),
        ({}, {"starts_at": house.now}, ""),
    ]
    for nth, (of_campaign, of_code, _) in enumerate(windows):
        house.change(**of_campaign)
        hand_out_id = house.create(**of_code)
        if nth == 1:
            house.change_text(hand_out_id, language, "Hello", "Your {code}")
        house.add(hand_out_id, f"person{nth}@example.com", language=language)
        house.send()

    for message, (_, _, words) in zip(house.channel.sent, windows, strict=True):
        parts = render_parts(message)
        assert [words.format(*shown) in text for text in (parts.text, parts.html)] == [True, True], parts.text
        assert any(day in parts.text for day in shown) == bool(words)


def test_own_text_names_the_variables_of_each_recipient(house: HandOutRig) -> None:
    """What a recipient has no value for is left out, and a value cannot be markup."""
    hand_out_id = house.create(group="team")
    text = "Dear {name} of {group},\n\nyour code is {code}{unknown}."
    house.change_text(hand_out_id, "en", "For {name}", text)
    house.add(hand_out_id, "li@example.com", name="<Li & Wei>")
    house.add(hand_out_id, "wang@example.com")
    house.send()

    parts = {message.recipient.typed: (message, render_parts(message)) for message in house.channel.sent}
    message, li = parts["li@example.com"]
    assert li.subject == "For <Li & Wei>"
    assert f"Dear <Li & Wei> of team,\n\nyour code is {message.code}." in li.text
    assert "Dear &lt;Li &amp; Wei&gt; of team" in li.html
    assert "Dear  of team" in parts["wang@example.com"][1].text


def test_reminder_is_sent_once_to_those_who_did_not_redeem(house: HandOutRig) -> None:
    """Days before the code expires, as the campaign says."""
    expires_at = house.now + timedelta(days=30)
    hand_out_id = house.create(expires_at=expires_at)
    house.change(remind_days=5)
    house.add(hand_out_id, "li@example.com", "wang@example.com")
    house.send()
    first = {message.recipient.typed: message for message in house.channel.sent}
    house.bench.redeem(first["wang@example.com"].code.replace("-", ""), "wang@example.com")
    house.passes(days=24, hours=23)
    early = house.send()
    house.passes(hours=1)
    for _ in range(3):
        house.send()

    assert early == 0
    (reminder,) = house.channel.sent[2:]
    assert (reminder.template, reminder.recipient.typed) == ("hand_out_reminder", "li@example.com")
    assert (reminder.code, reminder.ends_at) == (first["li@example.com"].code, expires_at)
    assert "expires on" in render_parts(reminder).text
    assert house.states(hand_out_id) == {"reminded": 1, "redeemed": 1}


@pytest.mark.parametrize("codes", [1, 2])
def test_code_that_was_sent_when_its_reminder_was_due_has_none(house: HandOutRig, codes: int) -> None:
    """The two emails would arrive within minutes. The one that was sent a minute earlier is reminded."""
    start = house.now
    hand_out_id = house.create(expires_at=start + timedelta(days=7, minutes=1))
    house.change(remind_days=7)
    house.add(hand_out_id, "li@example.com", codes=codes)
    house.send()
    house.passes(minutes=1)
    house.add(hand_out_id, "wang@example.com", codes=codes)
    house.send()
    house.passes(minutes=1)
    house.send()

    sent = Counter((message.template, message.recipient.typed) for message in house.channel.sent)
    assert sent == {
        ("hand_out", "li@example.com"): 1,
        ("hand_out", "wang@example.com"): 1,
        ("hand_out_reminder", "li@example.com"): 1,
    }


def test_end_of_a_code_follows_its_hand_out(house: HandOutRig) -> None:
    """Each recipient has the same days, in the email, for the reminder and at redeeming; a deadline ends it before."""
    deadline = house.now + timedelta(days=12)
    hand_out_id = house.create(valid_for_days=7, expires_at=deadline)
    house.change(remind_days=2)
    start = house.now
    for nth in range(3):
        house.add(hand_out_id, f"person{nth}@example.com")
        house.send()
        house.passes(days=3)
    sent = {message.recipient.typed: message for message in house.channel.sent if message.template == "hand_out"}
    ends = [sent[f"person{nth}@example.com"].ends_at for nth in range(3)]

    assert ends == [start + timedelta(days=7), start + timedelta(days=10), deadline]
    assert [message.recipient.typed for message in house.channel.sent if message.template == "hand_out_reminder"] == [
        "person0@example.com"
    ]
    assert f"{ends[1]:%Y-%m-%d %H:%M}" in render_parts(sent["person1@example.com"]).text
    assert house.bench.rows("SELECT expires_at FROM code_balances ORDER BY 1") == [(end,) for end in ends]


def test_end_of_a_code_follows_its_campaign_if_the_hand_out_names_none(house: HandOutRig) -> None:
    house.change(valid_for_days=7)
    for nth, days in enumerate((None, 3)):
        house.add(house.create(valid_for_days=days), f"person{nth}@example.com")
    start = house.now
    house.send()
    ends = {message.recipient.typed: message.ends_at for message in house.channel.sent}

    assert ends == {"person0@example.com": start + timedelta(days=7), "person1@example.com": start + timedelta(days=3)}


def test_late_acceptance_of_a_handed_out_code_keeps_its_email_from_being_sent_again(house: HandOutRig) -> None:
    """The next attempt waits as long as the server may still reply."""
    hand_out_id = house.create()
    house.channel = FakeChannel(OutcomeUnknown(server="mx", cause="timeout", retry_after_s=600))
    house.add(hand_out_id, "li@example.com")
    house.send()
    house.passes(seconds=599)
    house.send()
    early = house.states(hand_out_id)
    record_late_acceptance(house.sender().steps, house.channel.sent[0], Accepted(server="mx", reply_code=250), 30.0)
    house.passes(seconds=600)
    house.send()

    assert early == {"queued": 1}
    assert house.states(hand_out_id) == {"sent": 1}
    assert len(house.channel.sent) == 1
