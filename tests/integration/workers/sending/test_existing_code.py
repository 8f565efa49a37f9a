"""A worker sends codes that existed before: each to its recipient alone, wherever the worker or an upload ends."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from domain.commands.code.issue import HandOutPlace, IssueCode
from domain.commands.code.revoke import RevokeCode
from domain.commands.hand_out.hand_out_code import HandOutCode
from domain.errors import HandOutCodeConflict, HandOutConflict
from domain.results import CommandResult
from domain.values.identifiers import EmailAddress, format_code, generate_code
from projections.hand_outs.hand_out_lists import HandOutLists, ListRow, Upload
from projections.hand_outs.hand_out_queue import LEASE_S, DueRow, HandOutQueue
from projections.storage.bootstrap import LedgerStore
from tests.integration.workers.sending.hand_out_rig import AROUND_RECORD, HandOutRig, end
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.ledger_bench import assert_no_drift

LI, WANG, WU = (f"{name}@example.com" for name in ("li", "wang", "wu"))


def hand_out(house: HandOutRig, hand_out_id: UUID, code_id: UUID, address: str) -> object:
    row = ListRow(EmailAddress.parse(address), "en", {})
    place = HandOutPlace(hand_out_id, HandOutLists(house.bench.storage, uuid4, uuid4).store_recipient(row))
    return house.bench.run(
        HandOutCode(
            context=house.bench.context("staff"),
            code_id=code_id,
            campaign_id=house.campaign_id,
            mail_group=None,
            place=place,
            upload_id=uuid4(),
            language="en",
        )
    )


@pytest.mark.parametrize("crash", ["", "before IssueCode", "after IssueCode", *AROUND_RECORD])
def test_existing_code_is_sent_to_its_recipient_alone(house: HandOutRig, crash: str) -> None:
    """A list that names the recipient later adds nothing, and another recipient does not get the code."""
    hand_out_id, storage = house.create(), house.bench.storage
    text = house.bench.issue(campaign_id=house.campaign_id)
    code_id = house.bench.reader.find_code(text)
    assert code_id is not None
    lists = HandOutLists(storage, uuid4, uuid4)
    result, other = (hand_out(house, hand_out_id, code_id, name) for name in ("li@example.com", "wang@example.com"))
    house.passes(seconds=60)
    house.crash(crash)
    house.passes(seconds=LEASE_S + 1)
    house.send()
    house.request_resend(code_id)
    house.send()

    sent = house.channel.sent
    assert isinstance(result, CommandResult)
    assert isinstance(other, HandOutCodeConflict)
    assert {(message.recipient.typed, message.code) for message in sent} == {("li@example.com", format_code(text))}
    assert len({message.message_id for message in sent}) == 2
    recipients = lists.find_listed(house.campaign_id, [EmailAddress.parse("li@example.com")], house.now)
    assert recipients.listed == {"li@example.com"}
    assert house.states(hand_out_id) == {"sent": 1}
    assert_no_drift(house.bench)


def test_code_that_expired_or_was_revoked_before_its_email_is_not_sent(house: HandOutRig) -> None:
    """By the terms of the code, which may end before those of the hand-out; another code is sent."""
    hand_out_id, bench, code_ids = house.create(), house.bench, [uuid4() for _ in range(3)]
    for code_id, expires_at in zip(code_ids, [house.now + timedelta(hours=1), None, None], strict=True):
        text = bench.storage.vault.draft_code(generate_code(bench.random_source), code_id)
        terms = make_terms(max_uses=1, expires_at=expires_at)
        context, campaign_id = bench.context("operator"), house.campaign_id
        bench.run(
            IssueCode(context=context, code_id=code_id, text=text, terms=terms, bound=True, campaign_id=campaign_id)
        )
        hand_out(house, hand_out_id, code_id, f"{code_id}@example.com")
    bench.run(RevokeCode(context=bench.context("staff"), code_id=code_ids[1], case_ids=()))
    house.passes(hours=2)
    house.send()

    assert [message.reservation_id for message in house.channel.sent] == code_ids[2:]
    skipped = bench.rows("SELECT code_id FROM handed_out_codes WHERE mail_state = 'skipped'")
    assert {code_id for (code_id,) in skipped} == set(code_ids[:2])


def begin(house: HandOutRig, hand_out_id: UUID, codes: dict[str, UUID]) -> tuple[HandOutLists, Upload]:
    lists = HandOutLists(house.bench.storage, uuid4, uuid4)
    upload = lists.begin(hand_out_id, house.campaign_id, house.now)
    lists.add(upload, [ListRow(EmailAddress.parse(email), "en", {}) for email in codes], house.now, [*codes.values()])
    return lists, upload


def sent_codes(house: HandOutRig) -> set[tuple[str, str]]:
    return {(message.recipient.typed, str(message.code)) for message in house.channel.sent}


@pytest.mark.parametrize("crash", ["", "before HandOutCode", "after HandOutCode", *AROUND_RECORD])
def test_named_codes_are_sent_to_their_recipients_alone(house: HandOutRig, crash: str) -> None:
    hand_out_id = house.create(existing_codes=True)
    codes = dict(zip((LI, WANG), [house.issue_in_campaign() for _ in range(2)], strict=True))
    named = {email: code_id for email, (code_id, _) in codes.items()}
    added = house.add_with_codes(hand_out_id, named)
    house.crash(crash)
    house.passes(seconds=LEASE_S + 1)
    house.send()

    assert (added, house.add_with_codes(hand_out_id, named)) == ([True] * 2, [False] * 2)
    assert sent_codes(house) == {(email, format_code(text)) for email, (_, text) in codes.items()}
    assert len({message.message_id for message in house.channel.sent}) == 2
    assert house.states(hand_out_id) == {"sent": 2}
    assert house.bench.rows("SELECT count(*) FROM code_texts") == [(2,)]
    assert_no_drift(house.bench)


def test_code_that_was_revoked_or_used_after_the_upload_is_not_sent(house: HandOutRig) -> None:
    """Its state decides when its email is due; the recipient of a code without a change gets it."""
    hand_out_id, codes = house.create(existing_codes=True), [house.issue_in_campaign() for _ in range(3)]
    house.add_with_codes(
        hand_out_id, {email: code_id for email, (code_id, _) in zip((LI, WANG, WU), codes, strict=True)}
    )
    house.bench.run(RevokeCode(context=house.bench.context("staff"), code_id=codes[0][0], case_ids=()))
    house.bench.run(house.bench.reserve(codes[1][1], "other@example.com"))
    house.send()

    assert sent_codes(house) == {(WU, format_code(codes[2][1]))}
    assert house.states(hand_out_id) == {"sent": 1, "redeemed": 1, "expired": 1}


def test_upload_that_did_not_end_holds_no_code(house: HandOutRig) -> None:
    """Another list may name the same code for another recipient; the first upload never ends then."""
    hand_out_id, (code_id, text) = house.create(existing_codes=True), house.issue_in_campaign()
    lists, upload = begin(house, hand_out_id, {LI: code_id})
    assert isinstance(hand_out(house, hand_out_id, code_id, WU), HandOutCodeConflict)

    house.add_with_codes(hand_out_id, {WANG: code_id})
    with pytest.raises(HandOutConflict):
        lists.end(upload, house.now)
    house.send()

    assert sent_codes(house) == {(WANG, format_code(text))}


def test_code_that_was_given_while_a_list_was_uploaded_ends_the_upload(house: HandOutRig) -> None:
    """Nothing of the list is sent, so it can be uploaded again with another code."""
    hand_out_id, codes = house.create(existing_codes=True), [house.issue_in_campaign() for _ in range(2)]
    lists, upload = begin(house, hand_out_id, {LI: codes[0][0]})
    hand_out(house, hand_out_id, codes[1][0], WU)
    house.passes(seconds=60)

    with pytest.raises(HandOutCodeConflict):
        lists.add(upload, [ListRow(EmailAddress.parse(WANG), "en", {})], house.now, [codes[1][0]])
    house.send()

    assert sent_codes(house) == {(WU, format_code(codes[1][1]))}


class StalledQueue(HandOutQueue):
    """The queue of a worker that stood still after it leased rows."""

    def __init__(self, storage: LedgerStore, rows: Sequence[DueRow]) -> None:
        super().__init__(storage)
        self._rows = rows

    def take(self, now: datetime, most: int) -> list[DueRow]:
        del now, most
        rows, self._rows = self._rows, ()
        return list(rows)


@pytest.mark.parametrize("is_leased", [False, True])
def test_row_whose_new_code_may_be_in_work_is_not_replaced(house: HandOutRig, *, is_leased: bool) -> None:
    """A worker that leased the row before the hand-out ended may still issue that code; another row is replaced."""
    new, existing = house.create(), house.create(existing_codes=True)
    (code_id, text), worker = house.issue_in_campaign(), house.sender()
    house.add(new, LI)
    rows = HandOutQueue(house.bench.storage).take(house.now, 1) if is_leased else []
    end(house, new)

    added = house.add_with_codes(existing, {LI: code_id})
    replace(worker, queue=StalledQueue(house.bench.storage, rows)).run()
    house.send()

    assert added == [not is_leased]
    assert len(house.channel.sent) == 1
    assert (format_code(text) == house.channel.sent[0].code) == (not is_leased)


def test_worker_that_lost_its_row_sends_no_code(house: HandOutRig) -> None:
    """The code went to another recipient, by a later list, while the worker was stalled."""
    first, second = (house.create(existing_codes=True) for _ in range(2))
    (code_id, text), worker = house.issue_in_campaign(), house.sender()
    house.add_with_codes(first, {LI: code_id})
    rows = HandOutQueue(house.bench.storage).take(house.now, 1)
    end(house, first)
    house.add_with_codes(second, {WANG: code_id})

    replace(worker, queue=StalledQueue(house.bench.storage, rows)).run()
    house.send()

    assert sent_codes(house) == {(WANG, format_code(text))}
    assert house.states(second) == {"sent": 1}
