"""Campaigns on real PostgreSQL: limits over many codes hold in every batch, and every returned use is free again."""

import random
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from msgspec import structs
from msgspec.structs import replace

from domain.command_bus import Command
from domain.commands.campaign.manage_campaign import (
    CampaignCommand,
    ChangeCampaignTerms,
    EndCampaign,
    PauseCampaign,
    ResumeCampaign,
)
from domain.commands.code.revoke import RevokeCode
from domain.commands.reservation.cancel import CancelReservation
from domain.commands.reservation.refund import RefundReservation
from domain.errors import Refusal
from domain.events.campaign import (
    CampaignTermsChanged,
)
from domain.ports import Rejected
from domain.results import CampaignResult, Result
from projections.definitions.tables.campaigns import TABLE
from projections.event_store import snapshots
from projections.event_store.codec import encode
from projections.sql.event_store import EventStoreSql
from projections.storage.bootstrap import LedgerStore
from projections.verification.verify import verify
from tests.integration.projections.event_store.test_cases import reserved, success
from tests.support.ledger.code_terms import make_campaign_terms
from tests.support.ledger.ledger_bench import LedgerBench, assert_no_drift, correction, done
from tests.support.ledger.rebuilds import NoProgress
from tests.support.ledger.settings import settings_for
from tests.support.waiting import WAIT_S_MAX

FINAL = Rejected(server="mx:25", reason="address_refused", final=True, about_address=True, reply_code=550)


def words(results: Sequence[Result]) -> Counter[str]:
    return Counter(result.code if isinstance(result, Refusal) else "ok" for result in results)


def occupied_uses(bench: LedgerBench) -> tuple[int, int]:
    """Uses by the campaign's row, and by the rows of its codes."""
    (row,) = bench.rows("SELECT occupied FROM campaigns")
    (codes,) = bench.rows(
        "SELECT coalesce(sum(used + reserved), 0)::bigint FROM code_balances WHERE campaign_id IS NOT NULL"
    )
    return row[0], codes[0]


def manage(bench: LedgerBench, command: CampaignCommand) -> str:
    """Run a command about a campaign; `ok` or the refusal's code and reason."""
    result = bench.storage.ledger.execute_one(command)
    if isinstance(result, Refusal):
        return f"{result.code}/{result.facts.get('why')}"
    assert isinstance(result, CampaignResult)
    return "ok"


def broken(bench: LedgerBench) -> list[str]:
    report = verify(bench.database_url, timedelta(hours=1), NoProgress(), 10)
    assert report.rows.listed == []
    return sorted(report.broken)


def test_limit_over_all_codes_holds_in_one_batch_and_reserved_is_not_called_used_up(bench: LedgerBench) -> None:
    campaign = bench.create_campaign(max_uses=3)
    codes = [bench.issue(campaign_id=campaign) for _ in range(6)]

    results = bench.storage.ledger.execute(
        [bench.reserve(code, f"p{n}@example.com") for n, code in enumerate(codes[:5])]
    )
    for result in results[:3]:
        bench.attempt(done(result).require_reservation().reservation_id)
    after_sending = bench.redeem(codes[5], "p5@example.com")

    assert [result.code for result in results if isinstance(result, Refusal)] == ["CAMPAIGN_HELD", "CAMPAIGN_HELD"]
    assert isinstance(results[3], Refusal)
    assert results[3].retry_after_s
    assert words([after_sending]) == {"CAMPAIGN_EXHAUSTED": 1}
    assert occupied_uses(bench) == (3, 3)
    assert_no_drift(bench)
    assert broken(bench) == []


def test_reserved_is_not_called_used_up_when_a_late_success_fills_the_campaign(bench: LedgerBench) -> None:
    """The late success takes the last use in the batch of the request, while another code has a reserved one."""
    campaign = bench.create_campaign(max_uses=2)
    first, second, third = (bench.issue(campaign_id=campaign) for _ in range(3))
    failed = reserved(bench, first)
    bench.attempt(failed, FINAL)
    done(bench.redeem(second, "wang@example.com"))

    late, request = bench.storage.ledger.execute([success(bench, failed, 2), bench.reserve(third, "zhou@example.com")])

    assert done(late).require_reservation().status == "sent"
    assert words([request]) == {"CAMPAIGN_HELD": 1}
    assert occupied_uses(bench) == (2, 2)


def test_every_returned_use_is_free_again_in_the_same_commit(bench: LedgerBench) -> None:
    campaign = bench.create_campaign(max_uses=1)
    refunded, cancelled, failed, revoked, last = (bench.issue(campaign_id=campaign) for _ in range(5))

    sent = done(bench.redeem(refunded, "li@example.com")).require_reservation()
    bench.attempt(sent.reservation_id)
    done(
        bench.run(
            RefundReservation(context=bench.context("staff", "r1"), reservation_id=sent.reservation_id, cause="staff")
        )
    )
    after_refund = occupied_uses(bench)
    reserved = done(bench.redeem(cancelled, "li@example.com")).require_reservation()
    done(bench.run(CancelReservation(context=bench.context("staff", "r2"), reservation_id=reserved.reservation_id)))
    after_cancel = occupied_uses(bench)
    failing = done(bench.redeem(failed, "li@example.com")).require_reservation()
    bench.attempt(failing.reservation_id, FINAL)
    after_failure = occupied_uses(bench)
    done(bench.redeem(revoked, "li@example.com"))
    (code_id,) = bench.rows("SELECT code_id FROM code_balances WHERE reserved = 1")[0]
    done(bench.run(RevokeCode(context=bench.context("staff"), code_id=code_id, case_ids=[uuid4()])))
    after_revocation = occupied_uses(bench)

    assert [after_refund, after_cancel, after_failure, after_revocation] == [(0, 0)] * 4
    assert words([bench.redeem(last, "li@example.com")]) == {"ok": 1}
    assert occupied_uses(bench) == (1, 1)
    assert broken(bench) == []


def test_limit_per_person_counts_reserved_uses_of_every_code(bench: LedgerBench) -> None:
    """One person, two codes: the second is refused while the first is only reserved, within and across batches."""
    campaign = bench.create_campaign(max_per_person=1)
    first, second, third = (bench.issue(campaign_id=campaign) for _ in range(3))

    results = bench.storage.ledger.execute([bench.reserve(code, "li@example.com") for code in (first, second)])
    later = bench.redeem(third, "LI@example.com")
    other = bench.redeem(second, "wang@example.com")

    assert words([*results, later, other]) == {"ok": 2, "PERSON_LIMIT": 2}
    mine = done(results[0]).require_reservation().reservation_id
    assert words([bench.run(correction(bench, mine, "wang@example.com"))]) == {"PERSON_LIMIT": 1}
    assert words([bench.run(correction(bench, mine, "zhou@example.com"))]) == {"ok": 1}
    assert occupied_uses(bench) == (2, 2)
    assert broken(bench) == []


def test_start_end_and_pause_apply_to_every_code(bench: LedgerBench) -> None:
    """Each refusal is the campaign's, the first in the order of the rules, and the start says when to come back."""
    now = bench.context().now
    campaign = bench.create_campaign(starts_at=now + timedelta(hours=1))
    code = bench.issue(campaign_id=campaign)
    early = bench.redeem(code, "li@example.com")
    assert isinstance(early, Refusal)
    assert 3500 < (early.retry_after_s or 0) <= 3600

    context = bench.context("staff")
    an_hour_ago = replace(context, now=context.now - timedelta(hours=1))
    answers = [words([early])]
    for command in (
        PauseCampaign(context=context, campaign_id=campaign),
        ChangeCampaignTerms(context=context, campaign_id=campaign, changes={"starts_at": None}),
        ResumeCampaign(context=context, campaign_id=campaign),
        ChangeCampaignTerms(context=an_hour_ago, campaign_id=campaign, changes={"ends_at": context.now}),
        ChangeCampaignTerms(context=context, campaign_id=campaign, changes={"ends_at": None}),
        EndCampaign(context=context, campaign_id=campaign),
    ):
        assert manage(bench, command) == "ok"
        answers.append(words([bench.redeem(code, "li@example.com")]))
        if answers[-1]["ok"]:
            code = bench.issue(campaign_id=campaign)

    assert [next(iter(answer)) for answer in answers] == [
        "CAMPAIGN_NOT_STARTED",
        "CAMPAIGN_NOT_STARTED",
        "CAMPAIGN_PAUSED",
        "ok",
        "CAMPAIGN_ENDED",
        "ok",
        "CAMPAIGN_ENDED",
    ]
    assert occupied_uses(bench) == (0, 2)  # a campaign without shared limits counts nothing
    assert broken(bench) == []


def test_terms_that_contradict_used_uses_are_refused(bench: LedgerBench) -> None:
    """A limit below the uses, in all or of a person, unless it is chosen; a change after the end."""
    campaign, plain = bench.create_campaign(max_uses=5, max_per_person=2), bench.create_campaign()
    for code in [bench.issue(campaign_id=campaign) for _ in range(2)]:
        done(bench.redeem(code, "li@example.com"))
    context = bench.context("staff")

    def change(campaign_id: UUID, **changes: object) -> str:
        return manage(bench, ChangeCampaignTerms(context=context, campaign_id=campaign_id, changes=changes))

    assert change(campaign, max_uses=1, max_per_person=None) == "CAMPAIGN_CONFLICT/max_uses"
    assert change(campaign, max_per_person=1) == "CAMPAIGN_CONFLICT/max_per_person"
    assert change(campaign, max_uses=2) == "ok"
    assert change(campaign, max_uses=None, max_per_person=3) == "ok"
    assert change(campaign, max_per_person=7, max_uses=6) == "CAMPAIGN_TERMS_INVALID/person_above_total"
    assert change(campaign, starts_at=context.now, ends_at=context.now) == "CAMPAIGN_TERMS_INVALID/end_before_start"
    assert change(uuid4(), max_uses=9) == "CAMPAIGN_NOT_FOUND/None"
    assert manage(bench, EndCampaign(context=context, campaign_id=plain)) == "ok"
    assert change(plain, name="Winter") == "CAMPAIGN_CONFLICT/ended"
    assert broken(bench) == []


def test_exactly_the_limit_is_used_when_several_processes_redeem_many_codes(bench: LedgerBench) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - to repeat a failure
    rng = random.Random(seed)
    campaign = bench.create_campaign(max_uses=25, max_per_person=1)
    codes = [bench.issue(campaign_id=campaign) for _ in range(120)]
    people = [f"p{rng.randrange(60)}@example.com" for _ in codes]
    start = threading.Barrier(30)

    with ExitStack() as stack:
        settings = settings_for(bench.database_url)
        benches = [LedgerBench(stack.enter_context(LedgerStore.open(settings)), bench.database_url) for _ in range(3)]

        def work(number: int) -> list[Result]:
            start.wait(WAIT_S_MAX)
            mine = range(number, 120, 30)
            return [benches[number % 3].redeem(codes[each], people[each]) for each in mine]

        with ThreadPoolExecutor(30) as threads:
            results = [result for some in threads.map(work, range(30)) for result in some]

    assert words(results)["ok"] == 25
    assert occupied_uses(bench) == (25, 25)
    assert bench.rows("SELECT max(n) FROM (SELECT count(*) n FROM reservations GROUP BY recipient_id) x") == [(1,)]
    assert {*words(results)} <= {"ok", "PERSON_LIMIT", "CAMPAIGN_HELD"}
    assert broken(bench) == []


def at(bench: LedgerBench, command: Command, time: datetime) -> Result:
    return bench.run(replace(command, context=replace(command.context, now=time)))


def test_limit_per_day_frees_places_of_the_same_day_only(bench: LedgerBench) -> None:
    """Two uses a day: refused until midnight in UTC; a return frees a place on its own day, and none on a later one."""
    night = (bench.context().now + timedelta(days=1)).replace(hour=23, minute=50, second=0, microsecond=0)
    morning = night + timedelta(minutes=20)
    campaign = bench.create_campaign(max_per_day=2)
    codes = [bench.issue(campaign_id=campaign) for _ in range(9)]

    def redeem(number: int, time: datetime) -> Result:
        return at(bench, bench.reserve(codes[number], f"p{number}@example.com"), time)

    def cancel(result: Result, time: datetime) -> None:
        reservation_id = done(result).require_reservation().reservation_id
        done(at(bench, CancelReservation(context=bench.context("staff"), reservation_id=reservation_id), time))

    first, second, third = (redeem(number, night) for number in range(3))
    cancel(second, night)
    again, refused = redeem(3, night), redeem(4, night)
    next_day = [redeem(5, morning)]
    cancel(first, morning)  # of the day before
    next_day += [redeem(6, morning), redeem(7, morning), redeem(8, night)]

    context = bench.context("staff")
    later = replace(context, now=morning)
    changes = [
        manage(bench, ChangeCampaignTerms(context=later, campaign_id=campaign, changes={"max_per_day": limit}))
        for limit in (1, 3)
    ]

    assert words([first, second, third, again, refused]) == {"ok": 3, "CAMPAIGN_DAY_LIMIT": 2}
    assert isinstance(refused, Refusal)
    assert refused.retry_after_s == 600
    assert refused.facts["starts_at"] == night + timedelta(minutes=10)
    assert [next(iter(words([result]))) for result in next_day] == ["ok", "ok", *["CAMPAIGN_DAY_LIMIT"] * 2]
    assert changes == ["CAMPAIGN_CONFLICT/max_per_day", "ok"]
    assert bench.rows("SELECT occupied, occupied_on_day FROM campaigns") == [(3, 2)]
    assert_no_drift(bench)
    assert broken(bench) == []


@pytest.mark.usual_world("a stream without a snapshot, whose log is changed")
def test_verify_finds_a_day_above_its_limit(bench: LedgerBench) -> None:
    """A further use of a day in the stream of a campaign whose terms allow one."""
    campaign = bench.create_campaign(max_per_day=2)
    done(bench.redeem(bench.issue(campaign_id=campaign), "li@example.com"))
    assert broken(bench) == []
    with psycopg.connect(bench.database_url, autocommit=True) as conn:
        topic, state = encode(
            CampaignTermsChanged(
                at=bench.context().now,
                actor="staff",
                **structs.asdict(make_campaign_terms(max_per_day=1)),
            )
        )
        conn.execute(
            "INSERT INTO ledger_events (originator_id, originator_version, topic, state) VALUES (%s, 3, %s, %s)",
            (campaign, topic, state),
        )
        conn.execute(
            "INSERT INTO ledger_events (originator_id, originator_version, topic, state)"
            " SELECT originator_id, 4, topic, state FROM ledger_events WHERE topic = 'CampaignUseTaken:1'"
        )
    report = verify(bench.database_url, timedelta(hours=1), NoProgress(), 10)

    assert sorted(report.broken) == [
        "event log: time of a campaign never goes back",
        "invariant 12: a campaign has the uses of its codes",
        "invariant 12: a use is taken and returned by turns",
        "invariant 12: no use of a day is taken beyond the campaign's limit",
    ]


def test_verify_finds_a_use_that_the_campaign_lost(bench: LedgerBench) -> None:
    """A use that the campaign's stream lacks, and one returned twice, are named with their rules."""
    campaign = bench.create_campaign(max_uses=2)
    reservation = done(bench.redeem(bench.issue(campaign_id=campaign), "li@example.com")).require_reservation()
    assert broken(bench) == []
    with psycopg.connect(bench.database_url, autocommit=True) as conn:
        for version in (3, 4):
            conn.execute(
                "INSERT INTO ledger_events (originator_id, originator_version, topic, state)"
                " SELECT originator_id, %s, 'CampaignUseReturned:1', state FROM ledger_events"
                " WHERE topic = 'CampaignUseTaken:1'",
                (version,),
            )
    report = verify(bench.database_url, timedelta(hours=1), NoProgress(), 10)

    assert reservation.reservation_id in {finding.reservation_id for finding in report.findings}
    assert sorted(report.broken) == [
        "invariant 12: a campaign has the uses of its codes",
        "invariant 12: a use is taken and returned by turns",
        "invariant 12: no use of a campaign is taken beyond its limit",
    ]
    assert {row.table for row in report.rows.listed} == {"campaigns"}


def test_verify_finds_a_wrong_snapshot_of_a_campaign(bench: LedgerBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A campaign that is loaded from a wrong snapshot would lend uses beyond its limit."""
    monkeypatch.setattr(snapshots, "EVENTS_PER_SNAPSHOT", 5)
    campaign = bench.create_campaign(max_uses=50)
    code = bench.issue(None, bound=False, campaign_id=campaign)
    bench.storage.ledger.execute([bench.reserve(code, f"p{n}@example.com") for n in range(12)])
    right = broken(bench)
    with psycopg.connect(bench.database_url, autocommit=True) as conn:
        changed = conn.execute(
            "UPDATE code_snapshots SET state = convert_to(replace(convert_from(state, 'utf8'),"
            " '\"occupied\":12', '\"occupied\":2'), 'utf8') WHERE code_id = %s",
            (campaign,),
        ).rowcount

    assert changed == 1
    assert right == []
    assert broken(bench) == ["invariant 7: snapshots are what the log says"]


def test_request_to_a_full_campaign_reads_few_of_its_reserved_uses(bench: LedgerBench) -> None:
    """It holds the lock of the campaign while it reads, so its cost must not grow with the reserved uses."""
    campaign = bench.create_campaign(max_uses=150)
    code = bench.issue(None, bound=False, campaign_id=campaign)
    bench.storage.ledger.execute([bench.reserve(code, f"p{n}@example.com") for n in range(150)])

    query = EventStoreSql.earliest_deadlines_of_campaigns
    plan = bench.rows(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", bench.context().now, [campaign])[0][0]
    refused = bench.redeem(code, "late@example.com")

    assert 0 < plan[0]["Plan"]["Plans"][0]["Actual Rows"] <= 100
    assert words([refused]) == {"CAMPAIGN_HELD": 1}
    assert isinstance(refused, Refusal)
    assert refused.retry_after_s


def test_columns_are_declared_in_the_order_of_the_database(bench: LedgerBench) -> None:
    """Whole rows are read by the places of their columns: a new term has the place that its migration gave it."""
    query = "SELECT attname FROM pg_attribute WHERE attrelid = 'campaigns'::regclass AND attnum > 0 ORDER BY attnum"

    assert [name for (name,) in bench.rows(query)] == list(TABLE.columns)
