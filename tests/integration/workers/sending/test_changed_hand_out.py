"""A hand-out whose rate or text is changed while workers send it: each code and link stays that of its recipient."""

from collections import defaultdict
from datetime import timedelta

import pytest

from domain.ports import OutboundMessage
from projections.hand_outs.hand_out_queue import LEASE_S
from tests.integration.workers.sending.hand_out_rig import (
    AROUND_RECORD,
    PEOPLE,
    CrashError,
    HandOutRig,
    end,
    people,
)
from tests.support.ledger.ledger_bench import assert_no_drift

REMINDED_AFTER = timedelta(days=26)


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
    house.crash_at = crash
    with pytest.raises(CrashError):
        house.send()
    count_before = len(house.channel.sent)
    house.change_text(hand_out_id, "en", "New", "It is {code}")
    house.crash_at = ""
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
