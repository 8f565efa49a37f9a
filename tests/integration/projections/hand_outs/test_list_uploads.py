"""Two uploads of overlapping lists at the same time, each of which may die: a list that ended lacks no recipient."""

import random
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from uuid import UUID, uuid4

from domain.errors import HandOutCodeConflict, HandOutConflict
from domain.values.identifiers import EmailAddress
from projections.hand_outs.hand_out_lists import HandOutLists, ListRow, Upload
from tests.support.ledger.ledger_bench import LedgerBench

LISTS = ((("li", "wang"), ("zhou",)), (("zhou", "chen"), ("li",)))
"""The batches of each upload."""
EVERY_NAME = ("li", "wang", "zhou", "chen")
STEPS = 4
"""Of an upload: begin, two batches, end."""
ORDERS_OF_EACH = 3
CASES = 60


def upload_list(
    lists: HandOutLists, bench: LedgerBench, place: tuple[UUID, UUID], names: tuple[tuple[str, ...], ...]
) -> Iterator[bool]:
    """Do one step of an upload at a time; yield whether it has ended."""
    now = bench.storage.recorder.clock.now()
    upload = lists.begin(*place, now)
    yield False
    for batch in names:
        lists.add(upload, [row_of(name) for name in batch], now)
        yield False
    lists.end(upload, now)
    yield True


def run_steps(uploads: list[Iterator[bool]], order: list[int]) -> tuple[set[int], set[int]]:
    """Do one step of an upload after another, in an order; return which ended, and which were refused."""
    ended, refused = set[int](), set[int]()
    for nth in order:
        if nth in refused:
            continue
        try:
            has_ended = next(uploads[nth])
        except (HandOutConflict, HandOutCodeConflict):
            refused.add(nth)
        else:
            ended |= {nth} if has_ended else set()
    return ended, refused


def row_of(name: str) -> ListRow:
    return ListRow(EmailAddress.parse(f"{name}@example.com"), "en", {"name": name})


def listed(bench: LedgerBench, lists: HandOutLists, campaign_id: UUID) -> set[str]:
    now = bench.storage.recorder.clock.now()
    normals = lists.find_listed(campaign_id, [row_of(name).address for name in EVERY_NAME], now).listed
    ((count,),) = bench.rows(
        "SELECT count(*) FROM hand_out_recipients JOIN hand_out_uploads USING (upload_id)"
        " WHERE campaign_id = %s AND ended_at IS NOT NULL",
        campaign_id,
    )
    assert count == len(normals)
    return {name.partition("@")[0] for name in normals}


def test_ended_list_holds_what_its_upload_sent_wherever_two_uploads_die(bench: LedgerBench) -> None:
    """Each ends whole or not at all, in any order of their steps, and an upload after them completes the list."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - to repeat a failure
    lists, rng = HandOutLists(bench.storage, uuid4, uuid4), random.Random(seed)
    refusals = 0
    for first, second in product(range(STEPS + 1), repeat=2):
        for _ in range(ORDERS_OF_EACH):
            campaign_id = uuid4()
            uploads = [upload_list(lists, bench, (uuid4(), campaign_id), names) for names in LISTS]
            order = [0] * first + [1] * second
            rng.shuffle(order)
            ended, refused = run_steps(uploads, order)
            sent = {name for nth in ended for batch in LISTS[nth] for name in batch}
            assert listed(bench, lists, campaign_id) == sent, order
            assert len(refused) < len(LISTS), order
            refusals += len(refused)
            last = list(upload_list(lists, bench, (uuid4(), campaign_id), (EVERY_NAME,)))
            assert last[-1] is True
            assert listed(bench, lists, campaign_id) == set(EVERY_NAME), order
    assert refusals


def test_uploads_of_different_recipients_both_end(bench: LedgerBench) -> None:
    """Parts of one list may be uploaded at the same time."""
    lists, now = HandOutLists(bench.storage, uuid4, uuid4), bench.storage.recorder.clock.now()
    place = (uuid4(), uuid4())
    first, second = lists.begin(*place, now), lists.begin(*place, now)
    for upload, name in ((first, "li"), (second, "wang"), (first, "zhou"), (second, "chen")):
        lists.add(upload, [row_of(name)], now)
    lists.end(first, now)
    lists.end(second, now)

    assert listed(bench, lists, place[1]) == {"li", "wang", "zhou", "chen"}


def test_upload_that_was_taken_over_stays_refused(bench: LedgerBench) -> None:
    """Also after the other one ended, and what it stored before leads to nothing."""
    lists, now = HandOutLists(bench.storage, uuid4, uuid4), bench.storage.recorder.clock.now()
    place = (uuid4(), uuid4())
    first = lists.begin(*place, now)
    lists.add(first, [row_of("li"), row_of("wang")], now)
    second = lists.begin(*place, now)
    lists.add(second, [row_of("li")], now)
    lists.end(second, now)
    refused = [_is_refused(lists, first, row) for row in (row_of("zhou"), None)]

    assert refused == [True, True]
    assert listed(bench, lists, place[1]) == {"li"}


def upload_codes(
    lists: HandOutLists, bench: LedgerBench, upload: Upload, batches: list[list[tuple[str, UUID]]]
) -> Iterator[bool]:
    """Do one step of an upload that names codes at a time; yield whether it has ended."""
    now = bench.storage.recorder.clock.now()
    for batch in batches:
        lists.add(upload, [row_of(name) for name, _ in batch], now, [code_id for _, code_id in batch])
        yield False
    lists.end(upload, now)
    yield True


def test_code_and_a_recipient_are_in_one_ended_list_wherever_uploads_die(bench: LedgerBench) -> None:
    """Whichever names and codes two lists share, and in any order of their steps; an ended list lacks no recipient."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - to repeat a failure
    lists, rng, refusals, both = HandOutLists(bench.storage, uuid4, uuid4), random.Random(seed), 0, 0
    known_codes = [bench.reader.find_code(bench.issue()) for _ in range(6)]
    codes = [code_id for code_id in known_codes if code_id]
    pairs = list(zip(EVERY_NAME, codes[: len(EVERY_NAME)], strict=True))
    certain = [[pairs[:2], pairs[2:]], [pairs[:2], [(pairs[2][0], pairs[0][1]), pairs[3]]]]  # both end; one is refused
    for nth_case in range(CASES):
        campaign_id, now = uuid4(), bench.storage.recorder.clock.now()
        named = (
            certain[nth_case]
            if nth_case < len(certain)
            else [list(zip(rng.sample(EVERY_NAME, 2), rng.sample(codes, 2), strict=True)) for _ in range(2)]
        )
        uploads = [lists.begin(uuid4(), campaign_id, now) for _ in named]
        steps = [
            upload_codes(lists, bench, *each)
            for each in zip(uploads, [[[row] for row in rows] for rows in named], strict=True)
        ]
        is_certain = nth_case < len(certain)
        order = [0] * (3 if is_certain else rng.choice([1, 2, 3, 3])) + [1] * (
            3 if is_certain else rng.choice([2, 3, 3])
        )
        rng.shuffle(order)
        ended, refused = run_steps(steps, order)
        rows = bench.rows(
            "SELECT upload_id, recipient_id, code_id FROM hand_out_recipients JOIN hand_out_uploads USING (upload_id)"
            " WHERE campaign_id = %s AND ended_at IS NOT NULL",
            campaign_id,
        )
        names = {recipient_id: name for name in EVERY_NAME for recipient_id in ids_of(lists, bench, campaign_id, name)}
        for nth in ended:
            own = [row for row in rows if row[0] == uploads[nth].upload_id]
            stored = {(names[recipient_id], code_id) for _, recipient_id, code_id in own}
            assert stored <= {*named[nth]}, order
            assert {name for name, _ in named[nth]} <= {names[row[1]] for row in rows}, order
        refusals, both = refusals + len(refused), both + (len(ended) == 2)
        free = "UPDATE hand_out_recipients SET code_id = gen_random_uuid() WHERE campaign_id = %s RETURNING code_id"
        bench.rows(free, campaign_id)  # for the next case
    assert refusals
    assert both


def ids_of(lists: HandOutLists, bench: LedgerBench, campaign_id: UUID, name: str) -> list[UUID]:
    now = bench.storage.recorder.clock.now()
    return [*lists.find_listed(campaign_id, [row_of(name).address], now).ids.values()]


def _is_refused(lists: HandOutLists, upload: Upload, row: ListRow | None) -> bool:
    with suppress(HandOutConflict):
        if row is None:
            lists.end(upload, lists.storage.recorder.clock.now())
        else:
            lists.add(upload, [row], lists.storage.recorder.clock.now())
        return False
    return True
