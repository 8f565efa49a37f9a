"""A worker sends a code that existed before its hand-out, wherever it ends: the same code, once handed out."""

from uuid import uuid4

import pytest

from domain.command_bus import CommandResult
from domain.commands.code.issue import HandOutPlace
from domain.commands.hand_out.hand_out_code import HandOutCode
from domain.errors import HandOutCodeConflict
from domain.values.identifiers import EmailAddress, format_code
from projections.hand_outs.hand_out_lists import HandOutLists, ListRow
from projections.hand_outs.hand_out_queue import LEASE_S
from tests.integration.workers.invitations.hand_out_rig import CrashError, HandOutRig
from tests.support.ledger.ledger_bench import assert_no_drift


@pytest.mark.parametrize("crash", ["", "before IssueCode", "after IssueCode", "sent", "after RecordHandOutMail"])
def test_existing_code_is_sent_to_its_recipient_alone(house: HandOutRig, crash: str) -> None:
    """A list that names the recipient later adds nothing, and another recipient does not get the code."""
    hand_out_id, storage = house.create(), house.bench.storage
    text = house.bench.issue(campaign_id=house.campaign_id)
    code_id = house.bench.reader.find_code(text)
    assert code_id is not None
    lists = HandOutLists(storage, uuid4, uuid4)

    def give(address: str) -> object:
        row = ListRow(EmailAddress.parse(address), "en", {})
        place = HandOutPlace(hand_out_id, lists.store_recipient(row))
        return house.bench.run(
            HandOutCode(
                context=house.bench.context("staff"),
                code_id=code_id,
                campaign_id=house.campaign_id,
                place=place,
                upload_id=uuid4(),
                language="en",
            )
        )

    result, other = give("li@example.com"), give("wang@example.com")
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
    assert lists.find_listed(house.campaign_id, [EmailAddress.parse("li@example.com")]) == {"li@example.com"}
    assert house.states(hand_out_id) == {"sent": 1}
    assert_no_drift(house.bench)
