"""Every statement that a batch sends, and every wait for the server's answer, is approved: `approved_statements.txt`.

A wait costs a round trip, and a hot code is locked during each but the last. So a new one shows here, whether or not a
benchmark on a busy machine does.
"""

import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import ndiff
from itertools import takewhile
from pathlib import Path
from typing import Final, get_args
from uuid import uuid4

import pytest

from domain.command_bus import Command
from domain.commands.campaign.manage_campaign import CampaignCommand
from domain.commands.campaign.waiting_list import WaitingListCommand
from domain.commands.hand_out.manage_hand_out import HandOutCommand
from domain.errors import Refusal
from domain.results import AnyResult, CampaignResult, HandOutResult, WaitingResult
from projections.storage.bootstrap import LedgerStore
from projections.storage.pipelined_execute import GATHERING_SIZES, PipelinedExecute
from tests.support.approving import IS_APPROVING
from tests.support.batch_shapes.campaigns import ALONE, AloneCommand
from tests.support.batch_shapes.redeems import redeem_hot_code
from tests.support.batch_shapes.registry import load_shapes
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.ledger.settings import settings_for
from tests.support.ledger.statement_trace import WAIT, trace_statements
from tests.support.servers.databases import clone, database_of, drop
from tests.support.waiting import WAIT_S_MAX

pytestmark = pytest.mark.usual_world("how many rows are read at a time")

APPROVED: Final = Path(__file__).with_name("approved_statements.txt")
SHAPES: Final = load_shapes()
BATCH: Final = 16
BETWEEN: Final = " | "
GROWING: Final = {
    "redeem of full codes, refused, a code each": "the daily bound of refusals is of one code",
    "hand out a code that exists": "the list of each code is compared for it alone",
}
"""Shapes in which a larger batch sends more statements, and why. All others cost the same, whatever their size."""
KINDS_OF_STREAMS: Final = """
WITH streams AS (
    SELECT code_id AS id, 'codes' AS kind FROM code_balances UNION ALL SELECT campaign_id, 'campaigns' FROM campaigns
)
SELECT DISTINCT kind FROM streams
WHERE ('x' || left(replace(id::text, '-', ''), 16))::bit(64)::bigint = ANY (%(keys)s::bigint[])
"""
LOCKS: Final = ("lock_streams", "lock_lists", "lock_append_order")
"""Statements that make others wait."""
COSTS: Final = """
Statements (+ new, - gone) and waits differ from approved_statements.txt. Each wait is a round trip in which the code is
locked: +20% for a single redeem of an idle ledger. If that is intended, run `make approve`, and say why in the commit.
"""


@pytest.fixture(scope="module")
def bench(postgres_url: str) -> Iterator[LedgerBench]:
    """One ledger for all shapes: each prepares its own codes in it."""
    name = f"statements_{uuid4().hex}"
    clone(postgres_url, name)
    url = database_of(postgres_url, name)
    with LedgerStore.open(settings_for(url)) as storage:
        yield LedgerBench(storage, url)
    drop(postgres_url, name)


@pytest.fixture(scope="module")
def approved() -> Iterator[dict[str, list[str]]]:
    """The approved lines by shape. A run that approves fills it and writes the file."""
    if not IS_APPROVING:
        blocks = (block.splitlines() for block in APPROVED.read_text("utf-8").split("\n\n"))
        yield {title: lines for title, *lines in blocks}
        return
    by_title: dict[str, list[str]] = {}
    yield by_title
    written = ["\n".join([title, *lines]) for title, lines in sorted(by_title.items())]
    APPROVED.write_text("\n\n".join(written) + "\n", "utf-8")


@pytest.mark.parametrize("caches", ["warm", "cold"])
@pytest.mark.parametrize("name", SHAPES)
def test_batch_sends_the_approved_statements_and_waits_as_often(
    name: str, caches: str, bench: LedgerBench, approved: dict[str, list[str]]
) -> None:
    """One command costs what a batch of them costs."""
    one, many = (trace_batch(bench, SHAPES[name](bench, count), caches) for count in (1, BATCH))

    check(approved, f"{name}, {caches} caches", one)
    if name in GROWING:
        check(approved, f"{name}, {caches} caches, {BATCH} at a time", many)
        assert len(BETWEEN.join(many)) > len(BETWEEN.join(one)), f"{name} no longer grows: remove it from GROWING"
    else:
        assert many == one, f"{name}, {caches} caches: a batch of {BATCH} costs more\n{compare(one, many)}"


@pytest.mark.parametrize("kind", ALONE, ids=lambda kind: kind.__name__)
def test_command_about_a_campaign_sends_the_approved_statements(
    kind: type[AloneCommand], bench: LedgerBench, approved: dict[str, list[str]]
) -> None:
    """It is decided in a transaction without others."""
    command, ledger = ALONE[kind](bench), bench.storage.ledger
    with trace(bench) as lines:
        result = ledger.execute_one(command)

    assert isinstance(result, CampaignResult | WaitingResult | HandOutResult)
    check(approved, f"{kind.__name__}, warm caches", [_outcome(result), *lines])


def test_event_loop_sends_the_same_and_waits_for_the_lock_if_redeems_may_join(bench: LedgerBench) -> None:
    """It pays off from a few redeems on."""
    plain = trace_batch(bench, redeem_hot_code(bench, 1), "warm")[1:]
    sent = []
    for count in (1, GATHERING_SIZES.start):
        batch: list[Command] = [*redeem_hot_code(bench, count)]
        with trace(bench) as lines:
            for socket in PipelinedExecute(bench.storage)(batch, lambda _: ()):
                select.select([socket], [], [], WAIT_S_MAX)
        sent.append(lines)

    before, lock, after = plain[0].partition("lock_streams(codes)")
    assert sent == [plain, [before + lock, after.removeprefix(BETWEEN), *plain[1:]]]


@pytest.mark.parametrize("name", SHAPES)
def test_preview_shows_the_effect_of_a_command_and_takes_no_lock(name: str, bench: LedgerBench) -> None:
    """While staff look at a page, no redeem waits for its code; and what a preview saw is in no cache."""
    command, ledger = SHAPES[name](bench, 1)[0], bench.storage.ledger
    bench.storage.recorder.caches.forget()
    with trace(bench) as lines:
        preview = ledger.preview(command)
    cached = len(bench.storage.recorder.caches.newest.codes)
    result = ledger.execute_one(command)

    assert _outcome(preview.result) == _outcome(result)
    assert [name for line in lines for name in line.split(BETWEEN) if name.startswith(LOCKS)] == []
    assert cached == 0


def test_every_command_has_a_shape(bench: LedgerBench, approved: dict[str, list[str]]) -> None:
    """A new command gets one, and no former shape stays approved."""
    used = {type(command) for prepare in SHAPES.values() for command in prepare(bench, 1)}
    titles = {f"{name}, {caches} caches" for name in SHAPES for caches in ("warm", "cold")}
    titles |= {f"{name}, {caches} caches, {BATCH} at a time" for name in GROWING for caches in ("warm", "cold")}
    titles |= {f"{kind.__name__}, warm caches" for kind in ALONE}

    assert used == {*get_args(Command)}
    assert {*ALONE} == {*get_args(CampaignCommand), *get_args(WaitingListCommand), *get_args(HandOutCommand)}
    assert IS_APPROVING or approved.keys() == titles


def trace_batch(bench: LedgerBench, batch: Sequence[Command], caches: str) -> list[str]:
    """Execute a batch; its results, and a line for each round trip."""
    if caches == "cold":
        bench.storage.recorder.caches.forget()
    with trace(bench) as lines:
        results = bench.storage.ledger.execute(batch)
    return [", ".join(sorted({_outcome(result) for result in results})), *lines]


@contextmanager
def trace(bench: LedgerBench) -> Iterator[list[str]]:
    """Trace a transaction: a line for each round trip, with what is sent for it; locks with what they are of."""
    bench.storage.recorder.set_clock()  # a transaction sets one that is stale
    lines: list[str] = []
    with trace_statements() as sent:
        yield lines
    names = [f"{name}({_locked(bench, keys)})" if name == "lock_streams" else name for name, keys in sent]
    while names:
        trip = [*takewhile(WAIT.__ne__, names)]
        lines.append(BETWEEN.join(trip))
        del names[: len(trip) + 1]


def _locked(bench: LedgerBench, keys: Sequence[int]) -> str:
    """Return the kinds of streams with these keys."""
    with bench.storage.datastore.get_connection() as conn:
        rows = conn.execute(KINDS_OF_STREAMS, {"keys": list(keys)}).fetchall()
    return ", ".join(sorted(str(row["kind"]) for row in rows))


def _outcome(result: AnyResult) -> str:
    if isinstance(result, Refusal):
        return result.code
    return "changed" if result.changed else "unchanged"


def check(approved: dict[str, list[str]], title: str, lines: list[str]) -> None:
    """Compare with the approved lines of a shape, or approve them."""
    if IS_APPROVING:
        approved[title] = lines
        return
    before = approved.get(title, [])
    assert lines == before, f"{title}\n{compare(before, lines)}\n{COSTS}"


def compare(before: Sequence[str], after: Sequence[str]) -> str:
    """Return each statement and each wait in a line, marked if it is new (+) or gone (-)."""
    return "\n".join(ndiff(_split(before), _split(after)))


def _split(lines: Sequence[str]) -> list[str]:
    return [name for line in lines for name in (*line.split(BETWEEN), WAIT)]
