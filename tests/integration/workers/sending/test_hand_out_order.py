"""Which emails of hand-outs are sent when: rates, reminders, quiet hours, resends and changes while a worker sends."""

import random
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest

from domain.command_bus import Command
from domain.commands.campaign.manage_campaign import (
    EndCampaign,
)
from domain.commands.hand_out.hand_out_mail import RecordHandOutMail
from domain.ports import OutboundMessage, Outcome, Rejected
from domain.results import CommandResult
from domain.values.batched import batched
from projections.database.migrations import migrate
from projections.hand_outs.hand_out_queue import LEASE_S, HandOutQueue
from projections.telemetry.metrics import HAND_OUT_MAILS
from tests.integration.workers.sending.hand_out_rig import (
    AROUND_RECORD,
    PEOPLE,
    SLOTS,
    HandOutRig,
    end,
    pause,
    pause_campaign,
    people,
)
from tests.support.fake_channel import FakeChannel
from tests.support.ledger.ledger_bench import LedgerBench, assert_no_drift
from tests.support.metric_samples import samples
from tests.support.waiting import WAIT_S_MAX
from workers.sending.delivery_steps import DeliverySteps

LOST_MAILS = "0046_lost_hand_out_mails"
WINDOW, REMINDED_AFTER = timedelta(seconds=60), timedelta(days=26)


def count_postponed() -> float:
    """Reminders of this process that waited for the end of quiet hours."""
    return samples(HAND_OUT_MAILS.collect())['ledger_hand_out_emails_total{outcome="quiet"}']


def _end_before(house: HandOutRig, _: UUID) -> None:
    house.change(ends_at=house.now + timedelta(days=20))


def _start_after(house: HandOutRig, _: UUID) -> None:
    house.change(starts_at=house.now + timedelta(days=29))


def _fill(house: HandOutRig, hand_out_id: UUID) -> None:
    house.change(max_uses=1)
    house.add(hand_out_id, "wang@example.com")
    house.send()
    house.bench.redeem(house.channel.sent[-1].code.replace("-", ""), "wang@example.com")


def send_while_time_passes(house: HandOutRig) -> None:
    """Run a worker once, whose clock continues by a millisecond each time that it is read."""

    def read_clock() -> datetime:
        house.passes(milliseconds=1)
        return house.now

    sender = house.sender()
    replace(sender, steps=replace(sender.steps, now=read_clock)).run()


def recipients(house: HandOutRig) -> list[str]:
    return [message.recipient.typed.partition("@")[0] for message in house.channel.sent]


@pytest.mark.parametrize("stop", [pause, end, pause_campaign, _end_before, _start_after, _fill])
def test_no_reminder_of_a_code_that_cannot_be_redeemed_now(
    bench: LedgerBench, steps: DeliverySteps, stop: Callable[[HandOutRig, UUID], None]
) -> None:
    """It would say what is not true. A hand-out that is stopped sends none either."""
    now = bench.storage.recorder.clock.now()
    house = HandOutRig(bench, steps, FakeChannel(), now, bench.create_campaign(max_uses=9, remind_days=5))
    hand_out_id = house.create(expires_at=now + timedelta(days=30))
    house.add(hand_out_id, "li@example.com")
    house.send()
    stop(house, hand_out_id)
    house.passes(days=26)
    house.send()

    assert {message.template for message in house.channel.sent} == {"hand_out"}


def test_reminders_keep_the_rate(house: HandOutRig) -> None:
    """Six a minute, also where all are due at once; a worker that has other work requests none."""
    hand_out_id = house.create(per_minute=6, expires_at=house.now + timedelta(days=30))
    house.change(remind_days=5)
    house.add(hand_out_id, *people(4))
    for _ in range(5):
        house.send()
        house.passes(seconds=10)
    house.passes(days=26)
    house.sender().run(lambda: True)
    requested = house.bench.rows("SELECT count(*) FROM handed_out_codes WHERE reminder IS NOT NULL")
    counts = []
    for _ in range(5):
        house.send()
        counts.append(sum(message.template == "hand_out_reminder" for message in house.channel.sent))
        house.passes(seconds=10)

    assert requested == [(0,)]
    assert counts[0] <= 2
    assert counts[-1] == 4
    assert all(later - earlier <= 1 for earlier, later in pairwise(counts))


def test_hand_out_waits_while_its_campaign_has_no_use_left(bench: LedgerBench, steps: DeliverySteps) -> None:
    """And continues with the next use, because a code that cannot be redeemed has no value."""
    now = bench.storage.recorder.clock.now()
    house = HandOutRig(bench, steps, FakeChannel(), now, bench.create_campaign(max_uses=1))
    hand_out_id = house.create()
    _fill(house, hand_out_id)
    house.add(hand_out_id, "li@example.com")
    waiting = house.send(), house.states(hand_out_id)
    house.change(max_uses=2)
    house.send()

    assert waiting == (0, {"redeemed": 1, "queued": 1})
    assert house.states(hand_out_id) == {"redeemed": 1, "sent": 1}


def test_quiet_hours_hold_for_the_next_attempt_of_a_reminder(house: HandOutRig) -> None:
    """And the campaign in its quiet hours does not keep reminders of another one back."""
    house.change(remind_days=5, quiet_hours="22:00-08:00 UTC")
    quiet = house.create(expires_at=house.now + timedelta(days=30))
    house.add(quiet, "li@example.com", "wang@example.com")
    evening = (house.now + timedelta(days=27)).replace(hour=21, minute=59, second=50)
    house.campaign_id = house.bench.create_campaign(remind_days=5)
    house.add(house.create(expires_at=evening + timedelta(days=5, minutes=7)), "zhao@example.com")
    house.send()
    house.now = evening
    house.channel = FakeChannel(*[Rejected(server="mx", reason="temporary", final=False)] * 2)
    house.send()
    postponed_before = count_postponed()
    for minutes in (5, 5, 5):
        house.passes(minutes=minutes)
        house.send()
    in_quiet_hours = [message.recipient.typed for message in house.channel.sent[2:]]
    house.passes(hours=10)
    house.send()

    assert in_quiet_hours == ["zhao@example.com"]
    assert count_postponed() - postponed_before == 2
    assert sorted(message.recipient.typed for message in house.channel.sent[3:]) == [
        "li@example.com",
        "wang@example.com",
    ]


def test_quiet_campaign_takes_no_place_of_due_reminders(house: HandOutRig) -> None:
    house.change(remind_days=5, quiet_hours="22:00-08:00 UTC")
    house.add(house.create(expires_at=house.now + timedelta(days=30)), *people(5))
    house.campaign_id = house.bench.create_campaign(remind_days=5)
    house.add(house.create(expires_at=house.now + timedelta(days=30)), "li@example.com")
    house.send()
    codes = {message.recipient.typed: message.reservation_id for message in house.channel.sent}
    at_night = (house.now + timedelta(days=27)).replace(hour=23)

    assert len(codes) == 6
    assert HandOutQueue(house.bench.storage).find_reminders(at_night, 1) == [(codes["li@example.com"],) * 2]


def test_recipients_are_reminded_before_the_campaign_ends_if_their_code_ends_later_or_never(house: HandOutRig) -> None:
    """The reminder names the earlier of both ends."""
    end = house.now + timedelta(days=30)
    house.change(remind_days=5, ends_at=end)
    house.add(house.create(), "li@example.com")
    house.add(house.create(expires_at=end + timedelta(days=30)), "wang@example.com")
    house.send()
    house.passes(days=26)
    house.send()

    reminders = [message for message in house.channel.sent if message.template == "hand_out_reminder"]
    assert sorted(message.recipient.typed for message in reminders) == ["li@example.com", "wang@example.com"]
    assert {message.ends_at for message in reminders} == {end}


def test_search_for_reminders_rests_only_if_it_found_the_last_one(house: HandOutRig) -> None:
    """It reads every code that was sent."""
    house.change(remind_days=5)
    house.add(house.create(expires_at=house.now + timedelta(days=30)), *people(2))
    house.send()
    house.passes(days=26)
    queue = house.sender().queue

    counts = [len(queue.find_reminders(house.now + timedelta(seconds=after), 2)) for after in (0, 1)]
    counts += [len(queue.find_reminders(house.now + timedelta(seconds=after), 3)) for after in (2, 61, 63)]

    assert counts == [2, 2, 2, 0, 2]


def test_hand_out_without_a_rate_lets_others_send(house: HandOutRig) -> None:
    """Batches alternate, however long its list is."""
    first, second = house.create(), house.create(per_minute=60)
    house.add(first, *people())
    house.passes(seconds=1)
    house.add(second, "li@example.com")
    queue = house.sender().queue
    hand_out_ids = []
    for _ in range(3):
        house.passes(seconds=1)
        hand_out_ids += [row.hand_out_id for row in queue.take(house.now, 1)]

    assert sorted([first, second, first]) == sorted(hand_out_ids)


def test_hand_outs_take_turns(house: HandOutRig) -> None:
    """One batch each, whichever began first, until all are sent."""
    for name in ("a", "b", "c"):
        house.add(house.create(), *(f"{name}{nth}@example.com" for nth in range(8)))

    send_while_time_passes(house)

    batches = list(batched((name[0] for name in recipients(house)), SLOTS))
    assert sorted(batches[:3]) == sorted(batches[3:]) == [["a"] * 4, ["b"] * 4, ["c"] * 4]


@pytest.mark.parametrize("per_minute", [None, 60])
def test_short_list_waits_for_one_batch_of_a_long_one(house: HandOutRig, per_minute: int | None) -> None:
    house.add(house.create(), *(f"long{nth}@example.com" for nth in range(20)))
    house.passes(seconds=10)
    house.add(house.create(per_minute), *(f"short{nth}@example.com" for nth in range(2)))
    house.passes(seconds=10)

    send_while_time_passes(house)

    first_batches = recipients(house)[: 2 * SLOTS]
    assert {"short0", "short1"} <= set(first_batches)
    assert len(house.channel.sent) == 22


def test_hand_out_of_a_system_in_backoff_delays_no_other(house: HandOutRig) -> None:
    """Its rows spend no attempt, and the system is not asked before a minute has passed."""
    resting, other = house.create(group="design"), house.create()
    for hand_out_id, name in ((resting, "resting"), (other, "other")):
        house.add(hand_out_id, *(f"{name}{nth}@example.com" for nth in range(6)))
    sender = house.sender()
    sender.cooldowns.record("design", Rejected(server="team", reason="unreachable", final=False))

    assert sender.run() == 12
    assert sorted(recipients(house)) == [f"other{nth}" for nth in range(6)]
    assert house.bench.rows("SELECT DISTINCT attempts FROM hand_out_recipients WHERE due_at IS NOT NULL") == [(0,)]
    house.passes(seconds=60)
    house.send()
    assert len(house.channel.sent) == 12


def test_email_that_staff_asked_for_is_sent_before_lists(house: HandOutRig) -> None:
    """The customer whom they serve waits for no list."""
    waiting_longer, hand_out_id = house.create(), house.create()
    house.passes(seconds=1)
    house.add(hand_out_id, "li@example.com")
    house.send()
    house.add(waiting_longer, *people())
    house.request_resend(house.channel.sent[0].reservation_id)

    house.send()

    assert recipients(house)[:2] == ["li", "li"]
    assert len(house.channel.sent) == 2 + PEOPLE


def test_resend_is_sent_though_its_process_ends_after_the_commit(house: HandOutRig) -> None:
    """Once, also while the hand-out is paused."""
    hand_out_id = house.create()
    house.add(hand_out_id, "li@example.com")
    house.send()
    pause(house, hand_out_id)
    house.request_resend(house.channel.sent[0].reservation_id)
    counts = []
    for _ in range(2):
        counts.append(house.send())
        house.passes(seconds=LEASE_S + 1)

    assert counts == [1, 0]
    assert len({message.message_id for message in house.channel.sent}) == 2
    assert house.states(hand_out_id) == {"sent": 1}


def test_migration_makes_emails_due_that_were_lost(house: HandOutRig) -> None:
    hand_out_id = house.create()
    house.add(hand_out_id, "li@example.com", "wang@example.com")
    house.send()
    house.request_resend(house.channel.sent[0].reservation_id)
    pause(house, hand_out_id)
    lost = house.bench.rows("UPDATE hand_out_recipients SET due_at = NULL, is_asked = false RETURNING code_id")
    house.bench.rows("DELETE FROM _yoyo_migration WHERE migration_id = %s RETURNING 1", LOST_MAILS)
    without = house.send()
    applied = migrate(house.bench.database_url)
    house.passes(minutes=10)

    assert (len(lost), without, applied, house.send()) == (2, 0, [LOST_MAILS], 1)
    assert house.channel.sent[-1].recipient == house.channel.sent[0].recipient
    assert house.states(hand_out_id) == {"sent": 2}


def test_reminder_is_sent_though_its_worker_ends_after_the_commit(house: HandOutRig) -> None:
    hand_out_id = house.create(expires_at=house.now + timedelta(days=30))
    house.change(remind_days=5)
    house.add(hand_out_id, *people(3))
    house.send()
    house.passes(days=26)
    house.crash("after RemindOfHandOut")
    house.send()
    house.passes(minutes=10)
    house.send()

    assert sorted(message.template for message in house.channel.sent) == ["hand_out"] * 3 + ["hand_out_reminder"] * 3
    assert house.states(hand_out_id) == {"reminded": 3}


def test_resend_while_a_worker_sends_repeats_no_email(house: HandOutRig) -> None:
    """The email that is being sent is the one that staff asked for."""
    hand_out_id = house.create()
    house.add(hand_out_id, "li@example.com")
    sender = house.sender()

    class AskedWhileItSends(FakeChannel):
        def send(self, message: OutboundMessage) -> Outcome:
            house.request_resend(message.reservation_id)
            assert sender.queue.ask(hand_out_id, message.reservation_id, house.now)
            house.send()
            return house.channel.send(message)

    replace(sender, channel=AskedWhileItSends).run()
    house.passes(minutes=10)
    house.send()

    assert [message.recipient.typed for message in house.channel.sent] == ["li@example.com"]


def test_resend_between_outcome_and_end_of_the_lease_is_sent(house: HandOutRig) -> None:
    """The worker ends the row that it leased, not the one that staff asked for since."""
    hand_out_id = house.create()
    house.add(hand_out_id, "li@example.com")
    sender = house.sender()

    def execute(commands: Sequence[Command]) -> Sequence[CommandResult | Exception]:
        results = sender.steps.execute(commands)
        if isinstance(commands[0], RecordHandOutMail):
            house.request_resend(commands[0].code_id)
        return results

    replace(sender, steps=replace(sender.steps, execute=execute)).run()
    house.passes(seconds=LEASE_S + 1)
    house.send()

    assert len({message.message_id for message in house.channel.sent}) == 2
    assert house.states(hand_out_id) == {"sent": 1}


def test_code_that_is_never_issued_has_one_attempt(house: HandOutRig) -> None:
    """Its campaign ended after staff asked for it, or it would be expired."""
    hand_out_id, expiring = house.create(), house.create(expires_at=house.now + timedelta(days=1))
    house.add(hand_out_id, "li@example.com")
    ((code_id,),) = house.bench.rows("SELECT code_id FROM hand_out_recipients")
    house.add(expiring, "wang@example.com")
    house.passes(days=1)
    expired = house.sender().queue.details(expiring)
    house.manage(EndCampaign(context=house.bench.context("staff"), campaign_id=house.campaign_id))
    HandOutQueue(house.bench.storage).ask(hand_out_id, code_id, house.now)
    first = house.send()
    house.passes(minutes=10)

    assert (first, house.send(), expired.has_expired(house.now)) == (1, 0, True)
    assert house.bench.rows("SELECT count(*) FROM handed_out_codes") == [(0,)]
    assert house.channel.sent == []


def most_in_window(times: list[datetime]) -> int:
    return max(sum(first <= each < first + WINDOW for each in times) for first in times)


@pytest.mark.parametrize("per_minute", [5, 60])
def test_no_minute_has_more_emails_than_the_rate(house: HandOutRig, per_minute: int) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - to repeat a failure
    rng = random.Random(seed)
    house.add(house.create(per_minute=per_minute), *people(200))
    queues = [house.sender().queue for _ in range(3)]
    begin, claimed_at = house.now, list[datetime]()
    while house.now < begin + timedelta(minutes=3) + timedelta(seconds=LEASE_S):
        queue = rng.choice(queues)
        while rows := queue.take(house.now, rng.randint(1, 40)):
            claimed_at += [house.now] * len(rows)
            if rng.random() < 0.8:
                queue.finish([row.end(None) for row in rows])
        house.passes(seconds=rng.choice([30, *[1] * 3, *[5] * 12]))

    assert per_minute / 2 <= most_in_window(claimed_at) <= per_minute


def test_workers_that_claim_at_the_same_time_keep_the_rate_together(house: HandOutRig) -> None:
    house.add(house.create(per_minute=12), *people(60))
    queues, claimed_at = [house.sender().queue for _ in range(4)], list[datetime]()
    with ThreadPoolExecutor(len(queues)) as pool:
        for _ in range(16):
            start = threading.Barrier(len(queues))

            def take(nth: int, start: threading.Barrier = start) -> int:
                start.wait(WAIT_S_MAX)
                return len(queues[nth].take(house.now, 9))

            claimed_at += [house.now] * sum(pool.map(take, range(len(queues))))
            house.passes(seconds=10)

    assert 6 <= most_in_window(claimed_at) <= 12


def by_recipient(messages: list[OutboundMessage]) -> dict[str, list[OutboundMessage]]:
    messages_of = defaultdict(list)
    for message in messages:
        messages_of[message.recipient.typed].append(message)
    return messages_of


@pytest.mark.parametrize("crash", ["before IssueCode", "after IssueCode", "sending", *AROUND_RECORD])
def test_changed_text_is_in_every_later_email_wherever_a_worker_ends(house: HandOutRig, crash: str) -> None:
    """A repeat has the Message-ID, the code and the link of before; a reminder keeps both, with the ledger's text."""
    house.change(remind_days=5)
    hand_out_id = house.create(expires_at=house.now + timedelta(days=30))
    house.change_text(hand_out_id, "en", "Old", "Your code: {code}")
    house.add(hand_out_id, *people())
    house.crash(crash)
    count_before = len(house.channel.sent)
    house.change_text(hand_out_id, "en", "New", "It is {code}")
    house.passes(seconds=LEASE_S + 1)
    house.send()
    (code_id, *_), *_ = house.bench.rows("SELECT code_id FROM handed_out_codes ORDER BY code_id")
    house.request_resend(code_id)
    house.send()
    house.passes(days=REMINDED_AFTER.days)
    while house.send():
        pass  # one run requests a bounded number of reminders

    sent = house.channel.sent
    assert (len({message.code for message in sent}), len(by_recipient(sent))) == (PEOPLE, PEOPLE)
    assert {message.subject for message in sent[:count_before]} <= {"Old"}
    reminders = [message for message in sent if message.template == "hand_out_reminder"]
    later = [message for message in sent[count_before:] if message not in reminders]
    assert {message.subject for message in later} == {"New"}
    for messages in by_recipient(sent).values():
        assert len({(message.code, message.link) for message in messages}) == 1
        assert len({message.message_id for message in messages if message.template == "hand_out"}) <= 2
    assert all(str(message.code) in message.text for message in later)
    assert len({message.message_id for message in sent if message not in reminders}) == PEOPLE + 1
    assert len(reminders) == PEOPLE
    assert_no_drift(house.bench)


def test_running_worker_takes_a_new_text_and_a_new_rate(house: HandOutRig) -> None:
    """With its next batch; a hand-out that was ended keeps sending what staff ask for."""
    hand_out_id = house.create(per_minute=6)
    house.add(hand_out_id, *people(40))
    sender = house.sender()
    sender.run()
    house.change_hand_out(hand_out_id, changes_rate=True, per_minute=None)
    house.change_text(hand_out_id, "en", "New", "It is {code}")
    house.passes(seconds=60)
    first = len(house.channel.sent)
    sender.run()
    end(house, hand_out_id)
    house.change_text(hand_out_id, "en", "Newest", "{code}")
    (code_id, *_), *_ = house.bench.rows("SELECT code_id FROM handed_out_codes")
    house.request_resend(code_id)
    sender.run()

    subjects = [message.subject for message in house.channel.sent]
    assert 1 <= first <= 6
    assert set(subjects[first:40]) == {"New"}
    assert subjects[40:] == ["Newest"]
    assert "New" not in subjects[:first]


def test_lower_rate_holds_from_the_next_batch(house: HandOutRig) -> None:
    """Emails that were claimed before count in it, so that no further one is until their minute has passed."""
    hand_out_id = house.create(per_minute=60)
    house.add(hand_out_id, *people(120))
    queue = house.sender().queue
    claimed = []
    for _ in range(30):
        claimed.append(len(queue.take(house.now, 40)))
        house.passes(seconds=1)
    house.change_hand_out(hand_out_id, changes_rate=True, per_minute=6)
    for _ in range(120):
        claimed.append(len(queue.take(house.now, 40)))
        house.passes(seconds=1)

    assert sum(claimed[:30]) >= 25
    assert sum(claimed[30:60]) == 0
    assert 1 <= sum(claimed[90:150]) <= 6
