"""Codes that join a campaign later: the limits hold for every process, and earlier uses stay outside of them."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from uuid import UUID

from domain.commands.campaign.join_campaign import JoinCampaign
from domain.commands.reservation.refund import RefundReservation
from domain.results import Result
from projections.read_models.campaign_list import CampaignReader
from projections.read_models.reader import Reader
from projections.storage.bootstrap import LedgerStore
from tests.integration.projections.event_store.test_campaigns import broken, words
from tests.support.ledger.ledger_bench import LedgerBench, assert_no_drift, done
from tests.support.ledger.settings import settings_for
from tests.support.waiting import WAIT_S_MAX


def join(bench: LedgerBench, code: str, campaign_id: UUID) -> JoinCampaign:
    code_id = Reader(bench.storage).find_code(code)
    assert code_id is not None
    return JoinCampaign(context=bench.context("staff"), code_id=code_id, campaign_id=campaign_id)


def test_process_that_knew_the_code_without_a_campaign_keeps_the_limits(bench: LedgerBench) -> None:
    """Its caches say that the code has none; it locks the campaign all the same before it decides."""
    campaign = bench.create_campaign(max_uses=2, max_per_person=1)
    code = bench.issue(9, bound=False)
    with LedgerStore.open(settings_for(bench.database_url)) as storage:
        other = LedgerBench(storage, bench.database_url)
        earlier = done(other.redeem(code, "li@example.com")).require_reservation().reservation_id
        other.attempt(earlier)
        reserved = other.redeem(code, "early@example.com")
        while_reserved = bench.run(join(bench, code, campaign))
        other.attempt(done(reserved).require_reservation().reservation_id)
        done(bench.run(join(bench, code, campaign)))
        own = [other.redeem(bench.issue(campaign_id=campaign), "li@example.com")]
        results = [other.redeem(code, f"{name}@example.com") for name in ("wang", "zhou")]
        refund = RefundReservation(
            context=bench.context("staff"), reservation_id=earlier, cause="staff", revoke_access=False
        )
        done(other.run(refund))
        after = other.redeem(code, "zhou@example.com")

    balance = CampaignReader(bench.storage).find_campaign(campaign)
    assert words([while_reserved]) == {"CODE_NOT_JOINABLE": 1}
    assert words(own) == {"ok": 1}
    assert [next(iter(words([result]))) for result in [*results, after]] == ["ok", "CAMPAIGN_HELD", "CAMPAIGN_HELD"]
    assert balance is not None
    assert (balance.codes, balance.used, balance.reserved, balance.campaign.occupied) == (2, 0, 2, 2)
    assert bench.rows("SELECT used, reserved FROM code_balances ORDER BY issued_at LIMIT 1") == [(1, 1)]
    assert_no_drift(bench)
    assert broken(bench) == []


def test_request_in_the_commit_of_the_joining_is_limited_by_the_campaign(bench: LedgerBench) -> None:
    """One person has a use of another code already, and the campaign gives one to each."""
    campaign = bench.create_campaign(max_per_person=1)
    member, code = bench.issue(campaign_id=campaign), bench.issue(5, bound=False)
    done(bench.redeem(member, "li@example.com"))

    joined, same, another = bench.storage.ledger.execute(
        [
            join(bench, code, campaign),
            bench.reserve(code, "li@example.com"),
            bench.reserve(code, "wang@example.com"),
        ]
    )

    assert [next(iter(words([result]))) for result in (joined, same, another)] == ["ok", "PERSON_LIMIT", "ok"]
    assert broken(bench) == []


def test_limit_holds_while_codes_join_and_are_redeemed_concurrently(bench: LedgerBench) -> None:
    """Two ledgers and 12 threads: each code is redeemed before, during or after it joins; the limit is never passed."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - to repeat a failure
    rng = random.Random(seed)
    campaign = bench.create_campaign(max_uses=10)
    codes = [bench.issue(None, bound=False) for _ in range(12)]
    start = threading.Barrier(12)

    with ExitStack() as stack:
        settings = settings_for(bench.database_url)
        benches = [LedgerBench(stack.enter_context(LedgerStore.open(settings)), bench.database_url) for _ in range(2)]

        def work(number: int) -> list[Result]:
            own, code = benches[number % 2], codes[number]
            joins: list[Callable[[], Result]] = [lambda: own.run(join(own, code, campaign))] * 3
            actions = joins + [partial(own.redeem, code, f"p{number}x{nth}@example.com") for nth in range(4)]
            order = random.Random(seed + number).sample(actions, len(actions))
            start.wait(WAIT_S_MAX)
            return [action() for action in order]

        with ThreadPoolExecutor(12) as pool:
            results = [result for batch in pool.map(work, rng.sample(range(12), 12)) for result in batch]

    seen = words(results)
    (occupied,) = bench.rows("SELECT occupied FROM campaigns")[0]
    assert seen["ok"]
    assert set(seen) <= {"ok", "CODE_NOT_JOINABLE", "CAMPAIGN_HELD"}
    assert occupied <= 10
    assert_no_drift(bench)
    assert broken(bench) == []
