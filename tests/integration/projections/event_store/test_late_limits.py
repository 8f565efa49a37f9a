"""Limits that a campaign gets later, on real PostgreSQL, while codes are redeemed: no use is lost, and none is free."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from domain.commands.campaign.manage_campaign import ChangeCampaignTerms
from domain.commands.reservation.cancel import CancelReservation
from domain.errors import Refusal
from domain.events.campaign import Counting
from domain.results import CampaignResult, Result
from projections.storage.bootstrap import LedgerStore
from projections.verification.verify import verify
from tests.support.ledger.ledger_bench import LedgerBench, assert_no_drift, done
from tests.support.ledger.rebuilds import NoProgress, rebuilt
from tests.support.ledger.settings import settings_for
from tests.support.waiting import WAIT_S_MAX, wait_for

CODES, LIMIT, BEFORE, THREADS = 90, 30, 8, 12


@pytest.fixture
def benches(bench: LedgerBench) -> Iterator[Sequence[LedgerBench]]:
    """Three processes of the ledger, each with its own caches."""
    settings = settings_for(bench.database_url)
    with ExitStack() as stack:
        stores = [stack.enter_context(LedgerStore.open(settings)) for _ in range(2)]
        yield [bench, *(LedgerBench(store, bench.database_url) for store in stores)]


def limit(
    bench: LedgerBench, campaign_id: UUID, counting: Counting | None = None, **changes: Any
) -> CampaignResult | Refusal:
    context = bench.context("staff")
    command = ChangeCampaignTerms(context=context, campaign_id=campaign_id, changes=changes, counting=counting)
    return bench.storage.ledger.execute_one(command)


def find_broken(bench: LedgerBench) -> list[str]:
    return sorted(verify(bench.database_url, timedelta(hours=1), NoProgress(), 10).broken)


def read_counts(bench: LedgerBench) -> tuple[int, int, int]:
    """Uses that the campaign counts, uses of its codes, and those that were reserved after the limit was committed."""
    (row,) = bench.rows(
        "SELECT c.occupied, (SELECT count(*) FROM reservations WHERE status <> 'refunded'), ("
        "  SELECT count(*) FROM ledger_events e WHERE e.topic LIKE 'UseReserved:%%' AND e.notification_id > ("
        "    SELECT max(notification_id) FROM ledger_events WHERE topic LIKE 'CampaignTermsChanged:%%'))"
        " FROM campaigns c"
    )
    return row[0], row[1], row[2]


@pytest.mark.parametrize("counting", ["all", "from_now"])
def test_limit_holds_from_its_commit_on_while_codes_are_redeemed(
    bench: LedgerBench, benches: Sequence[LedgerBench], counting: Counting
) -> None:
    campaign = bench.create_campaign()
    codes = [bench.issue(campaign_id=campaign) for _ in range(CODES)]
    for each in benches:  # their caches say that the campaign counts no uses
        done(each.redeem(codes.pop(), f"first{id(each)}@example.com"))
    redeems, start = threading.Semaphore(0), threading.Barrier(THREADS + 1)

    def redeem(number: int) -> list[Result]:
        start.wait(WAIT_S_MAX)
        results = []
        for each in range(number, len(codes), THREADS):
            results.append(benches[number % 3].redeem(codes[each], f"p{each}@example.com"))
            redeems.release()
        return results

    with ThreadPoolExecutor(THREADS) as threads:
        redeemed = [threads.submit(redeem, number) for number in range(THREADS)]
        start.wait(WAIT_S_MAX)
        for _ in range(BEFORE):
            assert redeems.acquire(timeout=WAIT_S_MAX)
        result = limit(benches[0], campaign, counting, max_uses=LIMIT)
        results = [result for one in redeemed for result in one.result(WAIT_S_MAX)]
    assert isinstance(result, CampaignResult), result
    occupied, uses, later = read_counts(bench)

    accepted = [each for each in results if not isinstance(each, Refusal)]
    assert uses == len(accepted) + len(benches)
    assert {each.code for each in results if isinstance(each, Refusal)} == {"CAMPAIGN_HELD"}
    counted_before = result.campaign.occupied
    assert occupied == max(LIMIT, counted_before)
    assert later == occupied - counted_before
    assert counted_before == (uses - later if counting == "all" else 0)
    assert_no_drift(bench)
    assert find_broken(bench) == []


def test_refunds_that_race_with_a_limit_return_their_uses(bench: LedgerBench, benches: Sequence[LedgerBench]) -> None:
    """A use that was refunded before the limit is not counted, and one after it is counted and returned."""
    campaign = bench.create_campaign()
    ids = [
        done(bench.redeem(bench.issue(campaign_id=campaign), f"p{number}@example.com")).require_reservation()
        for number in range(40)
    ]
    start = threading.Barrier(5)

    def refund(number: int) -> None:
        start.wait(WAIT_S_MAX)
        for each in ids[number::4]:
            context = benches[number % 3].context("staff")
            done(benches[number % 3].run(CancelReservation(context=context, reservation_id=each.reservation_id)))

    with ThreadPoolExecutor(4) as threads:
        refunded = [threads.submit(refund, number) for number in range(4)]
        start.wait(WAIT_S_MAX)
        assert isinstance(limit(bench, campaign, max_uses=40), CampaignResult)
        for one in refunded:
            one.result(WAIT_S_MAX)

    assert read_counts(bench)[:2] == (0, 0)
    assert_no_drift(bench)
    assert find_broken(bench) == []


def test_each_limit_counts_earlier_uses_and_is_kept(bench: LedgerBench) -> None:
    """Over all codes, of a person and on the day; those over a limit stay, and the rebuilt tables are the same."""
    campaign = bench.create_campaign()
    codes = [bench.issue(campaign_id=campaign) for _ in range(7)]
    for number, code in enumerate(codes[:4]):
        done(bench.redeem(code, "li@example.com" if number < 2 else f"p{number}@example.com"))

    assert isinstance(limit(bench, campaign, max_per_person=1), Refusal)
    result = limit(bench, campaign, "all", max_uses=5, max_per_person=1, max_per_day=5)
    assert isinstance(result, CampaignResult)
    answers = [
        bench.redeem(codes[4 + number], f"{name}@example.com") for number, name in enumerate(["li", "wang", "q"])
    ]

    assert result.campaign.occupied == result.campaign.occupied_on_day == 4
    assert [each.code if isinstance(each, Refusal) else "ok" for each in answers] == [
        "PERSON_LIMIT",
        "ok",
        "CAMPAIGN_HELD",
    ]
    before = bench.rows("SELECT * FROM campaigns")
    rebuilt(bench, apply=True)
    assert bench.rows("SELECT * FROM campaigns") == before
    assert find_broken(bench) == []


def test_process_that_cached_a_campaign_without_limits_takes_its_lock_from_the_next_request_on(
    bench: LedgerBench, benches: Sequence[LedgerBench]
) -> None:
    """Its cached state says that no lock is needed. The log says otherwise, and the request is decided again."""
    campaign = bench.create_campaign()
    codes = [bench.issue(campaign_id=campaign) for _ in range(3)]
    done(benches[1].redeem(codes[0], "li@example.com"))
    assert isinstance(limit(bench, campaign, "from_now", max_uses=1), CampaignResult)
    key = int.from_bytes(campaign.bytes[:8], "big", signed=True)

    with ThreadPoolExecutor(1) as threads, psycopg.connect(bench.database_url) as conn:
        conn.execute("SELECT pg_advisory_xact_lock(%s)", (key,))
        waiting = threads.submit(benches[1].redeem, codes[1], "wang@example.com")
        waits = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        wait_for(lambda: waiting.done() or bench.rows(waits))
        assert not waiting.done()
        conn.rollback()
        first = waiting.result(WAIT_S_MAX)

    assert not isinstance(first, Refusal)
    assert isinstance(benches[1].redeem(codes[2], "zhao@example.com"), Refusal)
    assert read_counts(bench) == (1, 2, 1)
    assert find_broken(bench) == []
