"""Lines of hand-outs that have several codes: one email with a file of codes, one reminder, one state."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy
from uuid import UUID, uuid4

import pytest

from domain.command_bus import Command
from domain.commands.code.revoke import RevokeCode
from domain.model.hand_out import list_codes_of_line
from domain.ports import OutboundMessage
from domain.results import CommandResult
from domain.values.identifiers import EmailAddress, normalize_code
from projections.hand_outs.hand_out_lists import HandOutLists
from projections.hand_outs.hand_out_queue import LEASE_S
from projections.hand_outs.hand_out_reader import HandOutReader, Person
from tests.integration.workers.sending.hand_out_rig import HandOutRig, end
from tests.support.ledger.ledger_bench import assert_no_drift, done
from workers.channels.mail_message import message_bytes
from workers.sending.hand_outs import ISSUED_MAX

CODES = 5


def read_file(message: OutboundMessage) -> list[list[str]]:
    """The cells of the attached file, without its first line."""
    mail = message_from_bytes(message_bytes(message, "Ledger <noreply@example.com>"), policy=policy.SMTP)
    (part,) = [part for part in mail.walk() if part.get_filename() == "codes.csv"]
    assert (part.get_content_type(), part.get_content_disposition()) == ("text/csv", "attachment")
    head, *lines = part.get_content().split("\r\n")
    assert (head, lines.pop()) == ("code,link,ends_at", "")
    return [line.split(",") for line in lines]


def find_person(house: HandOutRig, hand_out_id: UUID) -> Person:
    reader = HandOutReader(house.bench.storage)
    details = reader.find_hand_out(hand_out_id)
    assert details is not None
    (person,) = reader.list_people(details, 0, 9, house.now, is_campaign_over=False)
    assert reader.find_person(details, person.code_id, house.now, is_campaign_over=False) == person
    assert reader.list_people(details, 0, 9, house.now, is_campaign_over=False, state=person.state) == [person]
    assert house.states(hand_out_id) == {person.state: 1}
    return person


def test_recipient_with_several_codes_gets_one_email_with_all_of_them(house: HandOutRig) -> None:
    hand_out_id = house.create(valid_for_days=7)
    house.add(hand_out_id, "shop@example.com", codes=CODES)
    house.send()
    house.send()

    (message,) = house.channel.sent
    lines = read_file(message)
    ends_at = f"{house.now + timedelta(days=7):%Y-%m-%dT%H:%M:%SZ}"
    assert (message.count, message.total, message.link) == (CODES, CODES, "http://127.0.0.1:8000/invite")
    assert [link for _, link, _ in lines] == [f"http://127.0.0.1:8000/invite?code={code}" for code, _, _ in lines]
    assert {end for *_, end in lines} == {ends_at}
    assert len({house.bench.reader.find_code(code) for code, *_ in lines} - {None}) == CODES
    person = find_person(house, hand_out_id)
    assert (person.state, person.codes, person.redeemed) == ("sent", CODES, 0)
    assert_no_drift(house.bench)


@pytest.mark.parametrize("crash_at", ["before IssueCode", "after IssueCode", "before RecordHandOutMail"])
def test_worker_that_ends_leaves_a_line_with_as_many_codes(house: HandOutRig, crash_at: str) -> None:
    hand_out_id = house.create()
    house.add(hand_out_id, "shop@example.com", codes=CODES)
    house.crash(crash_at)
    house.passes(seconds=LEASE_S)
    house.send()

    assert len({tuple(message.codes) for message in house.channel.sent}) == 1
    assert house.bench.rows("SELECT count(*), count(DISTINCT recipient_id) FROM handed_out_codes") == [(CODES, 1)]
    assert find_person(house, hand_out_id).state == "sent"
    assert_no_drift(house.bench)


def test_half_issued_line_of_an_ended_hand_out_gets_new_codes(house: HandOutRig) -> None:
    """They have the terms of the new hand-out. While the worker of the other one may go on, the line stays its own."""
    ended_id, hand_out_id = house.create(valid_for_days=7), house.create(valid_for_days=30)
    house.add(ended_id, "shop@example.com", codes=CODES)
    house.crash("after IssueCode")
    end(house, ended_id)
    lists, address = HandOutLists(house.bench.storage, uuid4, uuid4), EmailAddress.parse("shop@example.com")
    added, are_listed = [], []
    for _ in range(2):
        are_listed.append(bool(lists.find_listed(house.campaign_id, [address], house.now).listed))
        added += house.upload(hand_out_id, "shop@example.com", codes=CODES)
        house.passes(seconds=LEASE_S)
    house.send()

    assert (are_listed, added) == ([True, False], [False, True])
    (message,) = house.channel.sent
    ends_at = f"{house.now + timedelta(days=30):%Y-%m-%dT%H:%M:%SZ}"
    assert [ends for *_, ends in read_file(message)] == [ends_at] * CODES
    count = "SELECT count(*) FROM handed_out_codes WHERE hand_out_id = %s"
    assert [house.bench.rows(count, each) for each in (ended_id, hand_out_id)] == [
        [(min(CODES - 1, ISSUED_MAX),)],
        [(CODES,)],
    ]
    assert_no_drift(house.bench)


def test_line_without_one_of_its_codes_waits_for_it(house: HandOutRig) -> None:
    """A command fails by a bug: the first code is not issued, so that no email lacks a code, and no line is listed."""
    hand_out_id = house.create()
    house.add(hand_out_id, "shop@example.com", codes=CODES)
    sender = house.sender()
    execute = sender.steps.execute

    def fail_once(commands: Sequence[Command]) -> list[CommandResult | Exception]:
        sender.steps = replace(sender.steps, execute=execute)
        return [*execute(commands[1:]), RuntimeError("a bug")]

    sender.steps = replace(sender.steps, execute=fail_once)
    sender.run()
    ((line_id, count),) = house.bench.rows("SELECT line_id, count(*) FROM handed_out_codes GROUP BY line_id")
    reader = HandOutReader(house.bench.storage)
    lines = [reader.list_codes_of_line(line_id)]
    house.passes(hours=1)
    house.send()
    lines.append(reader.list_codes_of_line(line_id))

    assert (line_id is None, count) == (False, CODES - 2)
    assert [len(codes) for codes in lines] == [0, CODES], "staff do not revoke a part of a line"
    (message,) = house.channel.sent
    assert len(message.codes) == CODES


def test_line_is_redeemed_with_its_last_code(house: HandOutRig) -> None:
    hand_out_id = house.create()
    house.add(hand_out_id, "shop@example.com", codes=2)
    house.send()
    first, second = (code for code, *_ in house.channel.sent[0].codes)
    seen = []
    for code in (first, second):
        done(house.bench.redeem(normalize_code(code), "li@example.com"))
        person = find_person(house, hand_out_id)
        seen.append((person.state, person.redeemed))

    assert seen == [("sent", 1), ("redeemed", 2)]


@pytest.mark.parametrize("redeemed", [(0,), (1, 2), (0, 1, 2)])
def test_reminder_has_the_codes_that_are_left(house: HandOutRig, redeemed: tuple[int, ...]) -> None:
    """There is one for each line, and none once all codes are redeemed."""
    house.change(remind_days=5)
    hand_out_id = house.create(expires_at=house.now + timedelta(days=10))
    house.add(hand_out_id, "shop@example.com", codes=3)
    house.send()
    codes = [code for code, *_ in house.channel.sent[0].codes]
    for nth in redeemed:
        done(house.bench.redeem(normalize_code(codes[nth]), "li@example.com"))
    house.passes(days=6)
    for _ in range(3):
        house.send()

    reminders = house.channel.sent[1:]
    left = [code for nth, code in enumerate(codes) if nth not in redeemed]
    assert [[code for code, *_ in message.codes] for message in reminders] == ([left] if left else [])
    assert [message.total for message in reminders] == ([3] if left else [])


def test_codes_that_were_revoked_are_not_sent_again(house: HandOutRig) -> None:
    """The first code of the line may be one of them; without any code there is no email."""
    hand_out_id = house.create()
    house.add(hand_out_id, "shop@example.com", codes=3)
    house.send()
    codes, line_id = [code for code, *_ in house.channel.sent[0].codes], house.channel.sent[0].reservation_id
    first, *others = list_codes_of_line(line_id, 3)
    counts = []
    for revoked in ([first], others):
        for code_id in revoked:
            done(house.bench.run(RevokeCode(context=house.bench.context("staff"), code_id=code_id, case_ids=())))
        house.request_resend(line_id)
        house.passes(minutes=1)
        counts.append(house.send())

    assert [[code for code, *_ in message.codes] for message in house.channel.sent] == [codes, codes[1:]]
    assert counts == [1, 1]
    assert find_person(house, hand_out_id).state == "expired"


def test_rows_are_leased_up_to_a_number_of_codes(house: HandOutRig) -> None:
    hand_out_id = house.create()
    house.add(hand_out_id, "a@example.com", "b@example.com", "c@example.com", codes=600)

    queue = house.sender().queue
    assert [len(queue.take(house.now, 4)) for _ in range(3)] == [2, 1, 0]
