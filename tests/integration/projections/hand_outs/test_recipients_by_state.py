"""The recipients in a state are exactly those whose own facts lead to it, for every combination of facts."""

from datetime import timedelta
from itertools import product
from typing import Any, Final, get_args
from uuid import UUID, uuid4

from domain.commands.hand_out.manage_hand_out import CreateHandOut, EndHandOut
from domain.model.hand_out import MailState
from domain.results import HandOutResult
from domain.values.identifiers import EmailAddress
from projections.hand_outs.hand_out_lists import HandOutLists, ListRow
from projections.hand_outs.hand_out_reader import PERSON_STATES, HandOutReader, Person, PersonState
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.ledger_bench import LedgerBench

FLAGS: Final = (False, True)
ROWS: Final = list(
    product((None, *get_args(MailState)), (None, 1, 2), ("used", "unused", "expired", "revoked"), FLAGS, FLAGS)
)
"""State and reminder of the newest email, the second one; the code; whether the person opted out or is suppressed."""
INSERT_SUPPRESSED: Final = (
    b"INSERT INTO suppressed_addresses VALUES (%s, 'mailbox_unknown', '', false, now(), now() + interval '1 day')"
)
PAGE: Final = 7


def fill_list(bench: LedgerBench, hand_out_id: UUID, campaign_id: UUID) -> None:
    """Add a recipient for every combination of facts."""
    now, lists = bench.storage.recorder.clock.now(), HandOutLists(bench.storage, uuid4, uuid4)
    upload = lists.begin(hand_out_id, campaign_id, now)
    lists.add(upload, [ListRow(EmailAddress.parse(f"p{n}@example.com"), "en", {}) for n in range(len(ROWS))], now)
    lists.end(upload, now)
    listed = bench.rows("SELECT code_id, recipient_id FROM hand_out_recipients ORDER BY number")
    with bench.storage.datastore.get_connection() as conn:

        def execute(statement: bytes, *values: Any) -> None:
            conn.execute(statement, values)

        for (code_id, recipient_id), (mail_state, reminder, code, has_opted_out, is_suppressed) in zip(
            listed, ROWS, strict=True
        ):
            if mail_state is not None:
                execute(
                    b"INSERT INTO handed_out_codes VALUES (%s, %s, %s, 2, %s, %s, 2, now(), now())",
                    *(code_id, hand_out_id, recipient_id, mail_state, reminder),
                )
            execute(
                b"INSERT INTO code_balances SELECT (jsonb_populate_record(b, jsonb_build_object('code_id', %s::uuid,"
                b" 'used', %s::int, 'reserved', 0, 'expires_at', %s::timestamptz, 'revoked_by', %s::bigint))).*"
                b" FROM code_balances b LIMIT 1",
                *(code_id, int(code == "used"), now - timedelta(hours=1) if code == "expired" else None),
                3 if code == "revoked" else None,
            )
            if has_opted_out:
                execute(b"INSERT INTO opt_outs VALUES (%s, '', now())", recipient_id)
            if is_suppressed:
                execute(INSERT_SUPPRESSED, recipient_id)


def check_states(bench: LedgerBench, hand_out_id: UUID, *, is_campaign_over: bool) -> int:
    """Walk through the pages of each state, none of which is empty; how many states have recipients."""
    reader, now = HandOutReader(bench.storage), bench.storage.recorder.clock.now()
    details = reader.find_hand_out(hand_out_id)
    assert details is not None

    def walk(state: PersonState | None) -> list[Person]:
        people: list[Person] = []
        while True:
            after = people[-1].number if people else 0
            page = reader.list_people(details, after, PAGE, now, is_campaign_over=is_campaign_over, state=state)
            people += page
            if len(page) < PAGE:
                return people

    everyone = walk(None)
    ((counts, *_),) = reader.count_people([details], now, is_campaign_over=is_campaign_over)

    assert len(everyone) == len(ROWS)
    for state in PERSON_STATES:
        expected = [person for person in everyone if person.state == state]
        assert walk(state) == expected, state
        assert counts[state] == len(expected), state
    return sum(count > 0 for count in counts.values())


def test_recipients_of_a_state_are_those_that_the_whole_list_shows_in_it(bench: LedgerBench) -> None:
    """While the hand-out runs, after the end of its campaign, and after its own."""
    bench.issue()
    campaign_id, context, hand_out_id = bench.create_campaign(), bench.context("staff"), uuid4()
    ids: Any = {"context": context, "campaign_id": campaign_id, "hand_out_id": hand_out_id}
    create = CreateHandOut(**ids, name="N", terms=make_terms())
    assert isinstance(bench.storage.ledger.execute_one(create), HandOutResult)
    fill_list(bench, hand_out_id, campaign_id)

    running = check_states(bench, hand_out_id, is_campaign_over=False)
    of_ended_campaign = check_states(bench, hand_out_id, is_campaign_over=True)
    assert isinstance(bench.storage.ledger.execute_one(EndHandOut(**ids)), HandOutResult)
    ended = check_states(bench, hand_out_id, is_campaign_over=False)

    assert (running, of_ended_campaign, ended) == (10, 5, 11), "only an end leads to not_sent"
