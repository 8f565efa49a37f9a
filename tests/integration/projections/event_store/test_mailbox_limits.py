"""Campaigns that count by mailbox, on real PostgreSQL: the spellings of an inbox are one person for the limit."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import psycopg
import pytest

from domain.commands.campaign.manage_campaign import ChangeCampaignTerms, CreateCampaign
from domain.errors import CampaignConflict, Refusal
from domain.events.campaign import Counting
from domain.model.campaign import PERSON_LIMIT_RULE
from domain.results import AnyResult, Result
from domain.values.identifiers import EmailAddress
from domain.values.persons.mailboxes import PersonRule, find_mailbox
from projections.privacy.erasure import PersonEraser
from projections.privacy.key_rotation import KeyRotation
from projections.read_models.campaign_list import CampaignReader
from projections.storage.bootstrap import LedgerStore
from projections.verification.vault_check import VAULT_ROWS, check_vault
from projections.verification.verify import verify
from tests.integration.projections.event_store.test_campaigns import FINAL, broken, occupied_uses, words
from tests.integration.projections.event_store.test_cases import success
from tests.integration.projections.privacy.test_key_rotation import ringed
from tests.support.ledger.code_terms import make_campaign_terms
from tests.support.ledger.ledger_bench import LedgerBench, correction, done
from tests.support.ledger.rebuilds import NoProgress
from tests.support.ledger.settings import settings_for
from tests.support.waiting import WAIT_S_MAX

SPELLINGS = ("li@gmail.com", "L.I@gmail.com", "li+gift@googlemail.com", "Ｌｉ＋ａ@gmail.com")


def mailbox_campaign(bench: LedgerBench, codes: int, **terms: Any) -> tuple[UUID, list[str]]:
    campaign_id = bench.create_campaign(**{"max_per_person": 1, "person_rule": "mailbox", **terms})
    return campaign_id, [bench.issue(campaign_id=campaign_id) for _ in range(codes)]


def change(bench: LedgerBench, campaign_id: UUID, counting: Counting | None = None, **changes: Any) -> AnyResult:
    command = ChangeCampaignTerms(
        context=bench.context("staff"), campaign_id=campaign_id, changes=changes, counting=counting
    )
    return bench.storage.ledger.execute_one(command)


def why(result: AnyResult) -> tuple[object, ...]:
    assert isinstance(result, Refusal), result
    return result.code, result.facts.get("why"), result.facts.get("in_use")


def count_mailboxes(bench: LedgerBench) -> tuple[int, int]:
    """Uses, and the mailboxes that have them, by the addresses themselves."""
    ids = [row[0] for row in bench.rows("SELECT reservation_id FROM reservations WHERE status <> 'refunded'")]
    addresses = bench.reader.find_email_addresses(ids)
    return len(ids), len({find_mailbox(EmailAddress.parse(address).normal) for address in addresses.values()})


def test_spellings_of_one_inbox_share_its_uses_within_and_across_batches(bench: LedgerBench) -> None:
    """Each is a recipient of its own, and mailed as typed. A refusal names the mailbox, masked."""
    _, codes = mailbox_campaign(bench, 6)
    batch = [bench.reserve(code, address) for code, address in zip(codes[:2], SPELLINGS[:2], strict=True)]
    together = bench.storage.ledger.execute(batch)
    later = [bench.redeem(code, address) for code, address in zip(codes[2:4], SPELLINGS[2:], strict=True)]
    again, other = bench.redeem(codes[0], SPELLINGS[0]), bench.redeem(codes[4], "wang@gmail.com")

    assert words([*together, *later]) == {"ok": 1, "PERSON_LIMIT": 3}
    assert {result.facts.get("mailbox") for result in later if isinstance(result, Refusal)} == {"l***@gmail.com"}
    assert words([again, other]) == {"ok": 2}
    mine = done(together[0]).require_reservation().reservation_id
    assert words([bench.run(correction(bench, mine, "wang+1@gmail.com"))]) == {"PERSON_LIMIT": 1}
    corrected = done(bench.run(correction(bench, mine, SPELLINGS[2]))).require_reservation()
    (address,) = bench.reader.find_email_addresses([corrected.reservation_id]).values()
    assert address == SPELLINGS[2]
    assert words([bench.redeem(codes[5], SPELLINGS[1])]) == {"PERSON_LIMIT": 1}
    assert occupied_uses(bench) == (2, 2)
    assert broken(bench) == []


def test_late_success_is_not_counted_again_if_another_spelling_has_the_use_by_then(bench: LedgerBench) -> None:
    """A returned use is free for every spelling; the batch that learns of the success compares stored mailboxes."""
    _, codes = mailbox_campaign(bench, 3)
    failed = done(bench.redeem(codes[0], SPELLINGS[0])).require_reservation().reservation_id
    bench.attempt(failed, FINAL)
    result, refused = bench.redeem(codes[1], SPELLINGS[1]), bench.redeem(codes[2], SPELLINGS[2])
    late = done(bench.run(success(bench, failed, 2))).require_reservation()

    assert words([result, refused]) == {"ok": 1, "PERSON_LIMIT": 1}
    assert late.status == "refunded"
    assert occupied_uses(bench) == (1, 1)
    assert broken(bench) == []


def test_address_counts_with_its_mailbox_while_keys_are_rotated(bench: LedgerBench) -> None:
    """A row under the former pepper is found by it; afterwards by the new one alone."""
    _, codes = mailbox_campaign(bench, 2)
    done(bench.redeem(codes[0], SPELLINGS[0]))
    with LedgerStore.open(ringed(bench.database_url)) as storage:
        rotating = LedgerBench(storage, bench.database_url)
        during = rotating.redeem(codes[1], SPELLINGS[1])
        rewritten = sum(KeyRotation(storage).run())
        after = rotating.redeem(codes[1], SPELLINGS[1])
        draft = storage.vault.draft_recipient(EmailAddress.parse(SPELLINGS[2]), UUID(int=1))
    ((stored,),) = bench.rows("SELECT mailbox_digest FROM recipients")

    assert rewritten > 0
    assert words([during, after]) == {"PERSON_LIMIT": 2}
    assert bytes(stored) == draft.mailbox_digests[0] != draft.mailbox_digests[1]


def test_change_of_the_rule_counts_the_uses_again(bench: LedgerBench) -> None:
    """Under the lock of the campaign: refused with the most uses of one inbox, and done once the limit leaves room."""
    campaign_id, codes = mailbox_campaign(bench, 4, person_rule=None)
    results = [bench.redeem(code, address) for code, address in zip(codes[:3], SPELLINGS[:3], strict=True)]

    assert words(results) == {"ok": 3}
    refused = change(bench, campaign_id, person_rule="mailbox")
    assert why(refused) == ("CAMPAIGN_CONFLICT", "max_per_person", {"max_per_person": 3})
    assert not isinstance(change(bench, campaign_id, person_rule="mailbox", max_per_person=3), Refusal)
    assert words([bench.redeem(codes[3], SPELLINGS[3])]) == {"PERSON_LIMIT": 1}
    assert why(change(bench, campaign_id, max_per_person=2))[2] == {"max_per_person": 3}
    assert not isinstance(change(bench, campaign_id, person_rule=None, max_per_person=1), Refusal)
    assert broken(bench) == []


def test_addresses_of_an_older_version_need_a_digest_before_a_campaign_counts_by_mailbox(bench: LedgerBench) -> None:
    """The refusal says what to do: rotating keys computes them, and then their uses are counted."""
    campaign_id, codes = mailbox_campaign(bench, 2, person_rule=None)
    done(bench.redeem(codes[0], SPELLINGS[0]))
    with psycopg.connect(bench.database_url, autocommit=True) as conn:
        conn.execute("UPDATE recipients SET mailbox_digest = NULL")
    terms = make_campaign_terms(person_rule="mailbox")
    create = CreateCampaign(context=bench.context("staff"), campaign_id=UUID(int=5), terms=terms)

    assert why(change(bench, campaign_id, person_rule="mailbox"))[:2] == ("CAMPAIGN_CONFLICT", "no_mailboxes")
    assert isinstance(bench.storage.ledger.execute_one(create), CampaignConflict)
    rotation = KeyRotation(bench.storage)
    assert (rotation.count_remaining(), sum(rotation.run()), rotation.count_remaining()) == (1, 1, 0)
    assert not isinstance(change(bench, campaign_id, person_rule="mailbox"), Refusal)
    assert words([bench.redeem(codes[1], SPELLINGS[1])]) == {"PERSON_LIMIT": 1}


def test_erasure_forgets_the_mailbox(bench: LedgerBench) -> None:
    """No digest is left, in the vault or the log, and the uses of the erased person join with those of no one."""
    _, codes = mailbox_campaign(bench, 3)
    erased = done(bench.redeem(codes[0], SPELLINGS[0])).require_reservation()
    bench.attempt(erased.reservation_id)
    ((digest,),) = bench.rows("SELECT mailbox_digest FROM recipients")
    with psycopg.connect(bench.database_url) as conn:
        in_log = conn.execute(
            "SELECT count(*) FROM ledger_events WHERE position(%s IN state) > 0", (digest,)
        ).fetchone()

    assert PersonEraser(bench.storage).erase(erased.recipient_id)
    assert bench.rows("SELECT count(*) FROM recipients") == [(0,)]
    assert in_log == (0,)
    assert words([bench.redeem(codes[1], SPELLINGS[1])]) == {"ok": 1}
    assert words([bench.redeem(codes[2], SPELLINGS[0])]) == {"PERSON_LIMIT": 1}
    assert broken(bench) == []


def test_verification_finds_too_many_uses_of_a_mailbox_and_a_digest_of_another_one(bench: LedgerBench) -> None:
    """Both by what is stored now: the limit by the digests, and the digests by the addresses."""
    _, codes = mailbox_campaign(bench, 2)
    for code, address in zip(codes, ("li@gmail.com", "wang@gmail.com"), strict=True):
        done(bench.redeem(code, address))
    with psycopg.connect(bench.database_url, autocommit=True) as conn:
        conn.execute("UPDATE recipients SET mailbox_digest = (SELECT min(mailbox_digest) FROM recipients)")

    with psycopg.connect(bench.database_url) as conn:
        of_vault = [finding.rule for finding in check_vault(conn, bench.storage.vault)]

    assert broken(bench) == [PERSON_LIMIT_RULE]
    assert of_vault == [VAULT_ROWS]


@pytest.mark.parametrize("rule", [None, "mailbox"])
@pytest.mark.parametrize("counting", ["all", "from_now"])
def test_verification_accepts_uses_from_before_a_limit_of_a_person(
    bench: LedgerBench, counting: Counting, rule: PersonRule | None
) -> None:
    """A person keeps the two earlier uses, whichever the limit counts. A use beyond it that is newer is a violation."""
    campaign_id, codes = mailbox_campaign(bench, 5, max_per_person=None, person_rule=rule)
    for code in codes[:2]:
        done(bench.redeem(code, "li@gmail.com"))
    assert not isinstance(change(bench, campaign_id, counting, max_per_person=1), Refusal)
    later = [bench.redeem(codes[2], "wang@gmail.com"), bench.redeem(codes[3], "li@gmail.com")]
    assert words(later) == ({"ok": 1, "PERSON_LIMIT": 1} if counting == "all" else {"ok": 2})
    assert broken(bench) == []
    done(bench.redeem(codes[4], "zhou@gmail.com"))
    with psycopg.connect(bench.database_url, autocommit=True) as conn:
        conn.execute("UPDATE recipients SET mailbox_digest = (SELECT min(mailbox_digest) FROM recipients)")

    assert broken(bench) == ([] if rule is None else [PERSON_LIMIT_RULE])


@pytest.mark.parametrize("counting", [None, "all", "from_now"])
def test_later_change_of_terms_hides_no_use_beyond_the_limit_of_a_mailbox(
    bench: LedgerBench, counting: Counting | None
) -> None:
    """The limit at the time of the use decides, also if the change accepts limits below the uses."""
    campaign_id, codes = mailbox_campaign(bench, 2)
    for code, address in zip(codes, ("li@gmail.com", "wang@gmail.com"), strict=True):
        done(bench.redeem(code, address))
    with psycopg.connect(bench.database_url, autocommit=True) as conn:
        conn.execute("UPDATE recipients SET mailbox_digest = (SELECT min(mailbox_digest) FROM recipients)")
    changes: list[dict[str, Any]] = [
        *({}, {"name": "Autumn"}, {"max_per_day": 9}),
        *({"max_per_person": 5}, {"max_per_person": None}, {"person_rule": None}),
    ]

    for some in changes:
        assert not isinstance(change(bench, campaign_id, counting, **some), Refusal)
        ((_, stream, version, *_, detail),) = verify(bench.database_url, timedelta(hours=1), NoProgress(), 10).findings
        assert (stream, version) == (campaign_id, 3)
        assert detail == "one mailbox has 2 uses, the limit of a person is 1"


def test_refund_hides_no_use_beyond_the_limit_of_a_mailbox(bench: LedgerBench) -> None:
    """Two uses were there at a time, whatever is left of them."""
    _, codes = mailbox_campaign(bench, 2)
    uses = [
        done(bench.redeem(code, address)).require_reservation().reservation_id
        for code, address in zip(codes, ("li@gmail.com", "wang@gmail.com"), strict=True)
    ]
    with psycopg.connect(bench.database_url, autocommit=True) as conn:
        conn.execute("UPDATE recipients SET mailbox_digest = (SELECT min(mailbox_digest) FROM recipients)")
    for reservation_id in uses:
        bench.attempt(reservation_id, FINAL)

    assert occupied_uses(bench) == (0, 0)
    assert broken(bench) == [PERSON_LIMIT_RULE]


def test_spellings_that_have_the_use_by_turns_are_not_accused(bench: LedgerBench) -> None:
    """A returned use, a corrected address, and a use from before a new count or another rule."""
    campaign_id, codes = mailbox_campaign(bench, 5)
    first = done(bench.redeem(codes[0], SPELLINGS[0])).require_reservation().reservation_id
    bench.attempt(first, FINAL)
    second = done(bench.redeem(codes[1], SPELLINGS[1])).require_reservation().reservation_id
    done(bench.run(correction(bench, second, SPELLINGS[2])))
    assert not isinstance(change(bench, campaign_id, "from_now", name="Autumn"), Refusal)
    done(bench.redeem(codes[2], SPELLINGS[0]))
    assert not isinstance(change(bench, campaign_id, person_rule=None), Refusal)
    done(bench.redeem(codes[3], SPELLINGS[1]))
    assert not isinstance(change(bench, campaign_id, "all", person_rule="mailbox"), Refusal)

    assert words([bench.redeem(codes[4], SPELLINGS[3])]) == {"PERSON_LIMIT": 1}
    assert broken(bench) == []


@pytest.mark.parametrize("counting", ["all", "from_now"])
def test_limit_of_a_mailbox_that_is_lowered_below_its_uses_accuses_no_one(
    bench: LedgerBench, counting: Counting
) -> None:
    """The campaign counted all uses before, and later terms change nothing about it."""
    campaign_id, codes = mailbox_campaign(bench, 3, max_per_person=2)
    results = [bench.redeem(code, address) for code, address in zip(codes, SPELLINGS, strict=False)]
    assert words(results) == {"ok": 2, "PERSON_LIMIT": 1}
    for changes in ({"max_per_person": 1}, {"name": "Autumn"}):
        assert not isinstance(change(bench, campaign_id, counting, **changes), Refusal)
        assert broken(bench) == []


def test_verification_does_not_join_people_of_whom_no_mailbox_is_stored(bench: LedgerBench) -> None:
    """An address without a digest counts as one person, as in a redeem request."""
    _, codes = mailbox_campaign(bench, 2)
    for code, address in zip(codes, ("li@gmail.com", "wang@gmail.com"), strict=True):
        done(bench.redeem(code, address))
    with psycopg.connect(bench.database_url, autocommit=True) as conn:
        conn.execute("UPDATE recipients SET mailbox_digest = NULL")

    assert broken(bench) == []


def rush(bench: LedgerBench, requests: int, uses: int, *, threads: int) -> list[Result]:
    """Send requests at once, of which 40% are tagged spellings of the same inboxes; the results."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - to repeat a failure
    rng = random.Random(seed)
    _, codes = mailbox_campaign(bench, 0, max_uses=uses)
    (campaign_id,) = bench.rows("SELECT campaign_id FROM campaigns")[0]
    codes = [bench.issue(requests, bound=False, campaign_id=campaign_id) for _ in range(20)]
    own = [f"person{number}@gmail.com" for number in range(requests * 6 // 10)]
    tagged = [
        f"person{rng.randrange(len(own))}+{rng.randrange(10**6)}@{rng.choice(['gmail.com', 'googlemail.com'])}"
        for _ in range(requests - len(own))
    ]
    people = [*own, *tagged]
    rng.shuffle(people)
    start = threading.Barrier(threads)
    with ExitStack() as stack:
        settings = settings_for(bench.database_url)
        benches = [LedgerBench(stack.enter_context(LedgerStore.open(settings)), bench.database_url) for _ in range(2)]

        def work(number: int) -> list[Result]:
            start.wait(WAIT_S_MAX)
            mine = people[number::threads]
            pick = random.Random(seed + number)
            ledger = benches[number % 2].storage.ledger
            batches = [mine[first : first + 8] for first in range(0, len(mine), 8)]
            return [
                result
                for batch in batches
                for result in ledger.execute([benches[number % 2].reserve(pick.choice(codes), each) for each in batch])
            ]

        with ThreadPoolExecutor(threads) as pool:
            return [result for some in pool.map(work, range(threads)) for result in some]


@pytest.mark.parametrize(
    ("requests", "uses"),
    [pytest.param(150, 25, id="slice"), pytest.param(3_000, 500, id="rush", marks=pytest.mark.night(of="races"))],
)
def test_rush_of_tagged_addresses_gets_exactly_the_uses_of_as_many_persons(
    bench: LedgerBench, requests: int, uses: int
) -> None:
    results = rush(bench, requests, uses, threads=6)

    assert len(results) == requests
    assert {*words(results)} <= {"ok", "PERSON_LIMIT", "CAMPAIGN_HELD"}
    assert count_mailboxes(bench) == (uses, uses)
    assert occupied_uses(bench) == (uses, uses)
    assert broken(bench) == []


@pytest.mark.parametrize("rule", ["mailbox", None])
def test_uses_of_a_person_are_counted_up_to_one_more_than_the_limit(
    bench: LedgerBench, rule: PersonRule | None
) -> None:
    """Of all spellings or of one address, however many there are; those from before the limits count are left out."""
    campaign_id, codes = mailbox_campaign(bench, 5, max_per_person=4, person_rule=rule)
    addresses = SPELLINGS if rule else SPELLINGS[:1] * 4
    recipients = [
        done(bench.redeem(code, address)).require_reservation().recipient_id
        for code, address in zip(codes[:4], addresses, strict=True)
    ]
    done(bench.redeem(codes[4], "wang@gmail.com"))
    reader = CampaignReader(bench.storage)

    def count() -> int:
        campaign = reader.find_campaign_state(campaign_id)
        assert campaign is not None
        return reader.count_uses_of_person(campaign, recipients[0])

    counted = [count()]
    for limit, counting in ((2, "all"), (3, "from_now"), (None, None)):
        change(bench, campaign_id, cast("Counting", counting), max_per_person=limit)
        counted.append(count())

    assert counted == [4, 3, 0, 0]
