"""A worker sends a code that existed before its hand-out, wherever it ends: the same code, once handed out."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from domain.commands.code.issue import HandOutPlace, IssueCode
from domain.commands.code.revoke import RevokeCode
from domain.commands.hand_out.hand_out_code import HandOutCode
from domain.errors import HandOutCodeConflict
from domain.results import CommandResult
from domain.values.identifiers import EmailAddress, format_code, generate_code
from projections.hand_outs.hand_out_lists import HandOutLists, ListRow
from projections.hand_outs.hand_out_queue import LEASE_S
from tests.integration.workers.sending.hand_out_rig import AROUND_RECORD, CrashError, HandOutRig
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.ledger_bench import assert_no_drift


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
    house.crash_at = crash
    if crash:
        with pytest.raises(CrashError):
            house.send()
    house.crash_at = ""
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
