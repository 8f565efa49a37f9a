"""Redeems: of one code or of many, with keys, by `again`, of full codes, and of codes in campaigns."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

from msgspec import structs

from domain.commands.reservation.reserve import ReserveUse
from domain.values.identifiers import generate_code
from domain.writes import IdempotencyKey
from projections.event_store.snapshots import EVENTS_PER_SNAPSHOT
from tests.support.batch_shapes.registry import (
    AMPLE,
    attempt_reservations,
    issue_code,
    issue_codes,
    later,
    new_emails,
    shape,
)
from tests.support.ledger.ledger_bench import LedgerBench, done


def issue_hot_codes(bench: LedgerBench, count: int, **terms: Any) -> list[str]:
    """Issue codes as `issue` says and redeem each once; the codes."""
    texts, _ = issue_codes(bench, count, **terms)
    bench.storage.ledger.execute(redeems_of(bench, texts))
    return texts


def issue_hot(bench: LedgerBench, **terms: Any) -> str:
    return issue_hot_codes(bench, 1, **terms)[0]


def redeems_of(bench: LedgerBench, texts: Sequence[str]) -> list[ReserveUse]:
    """A redeem of each of these codes by a new recipient."""
    return [bench.reserve(text, email) for text, email in zip(texts, new_emails(len(texts)), strict=True)]


def repeat(commands: Sequence[ReserveUse]) -> list[ReserveUse]:
    """The same requests again, each with a reservation id that is new, too."""
    return [structs.replace(command, reservation_id=uuid4()) for command in commands]


@shape("redeem by new recipients, one code")
def redeem_hot_code(bench: LedgerBench, count: int) -> list[ReserveUse]:
    """Redeem a code that this process has redeemed, which is what most batches do."""
    return redeems_of(bench, [issue_hot(bench)] * count)


@shape("redeem by new recipients, a code each")
def _of_many_codes(bench: LedgerBench, count: int) -> list[ReserveUse]:
    return redeems_of(bench, issue_hot_codes(bench, count))


@shape("redeem by recipients of another code")
def _by_recipients_of_another(bench: LedgerBench, count: int) -> list[ReserveUse]:
    first = redeems_of(bench, [issue_hot(bench)] * count)
    bench.storage.ledger.execute(first)
    digests = bench.storage.vault.compute_digests("code", issue_hot(bench))
    return repeat([structs.replace(command, code_digests=digests) for command in first])


@shape("redeem by recipients of the code")
def _by_recipients(bench: LedgerBench, count: int) -> list[ReserveUse]:
    first = redeems_of(bench, [issue_hot(bench)] * count)
    bench.storage.ledger.execute(first)
    return repeat(first)


@shape("redeem with a new Idempotency-Key")
def _with_keys(bench: LedgerBench, count: int) -> list[ReserveUse]:
    return [
        structs.replace(command, key=IdempotencyKey(scope_digest=uuid4().bytes * 2, body_digest=b"b" * 32))
        for command in redeems_of(bench, [issue_hot(bench)] * count)
    ]


@shape("redeem with an Idempotency-Key again")
def _with_keys_again(bench: LedgerBench, count: int) -> list[ReserveUse]:
    first = _with_keys(bench, count)
    bench.storage.ledger.execute(first)
    return repeat(first)


@shape("redeem by again")
def _by_again(bench: LedgerBench, count: int) -> list[ReserveUse]:
    first = redeems_of(bench, [issue_hot(bench)] * count)
    bench.storage.ledger.execute(first)
    attempt_reservations(bench, [command.reservation_id for command in first])
    return [structs.replace(command, again=command.reservation_id, reservation_id=uuid4()) for command in first]


@shape("redeem by again, a second time")
def _by_again_twice(bench: LedgerBench, count: int) -> list[ReserveUse]:
    first = _by_again(bench, count)
    bench.storage.ledger.execute(first)
    return repeat(first)


@shape("redeem of the last uses, one of them overdue")
def _of_last_uses(bench: LedgerBench, count: int) -> list[ReserveUse]:
    """The last of the redeems refunds the overdue reservation."""
    text = issue_hot(bench, max_uses=count + 1)
    return later(redeems_of(bench, [text] * (count + 1)), timedelta(days=1))


@shape("redeem of a full code, all of it overdue")
def _of_overdue_uses(bench: LedgerBench, count: int) -> list[ReserveUse]:
    text = issue_code(bench, max_uses=count)
    bench.storage.ledger.execute(redeems_of(bench, [text] * count))
    return later(redeems_of(bench, [text] * count), timedelta(days=1))


@shape("redeem of a full code, refused")
def _of_full_code(bench: LedgerBench, count: int) -> list[ReserveUse]:
    return redeems_of(bench, [issue_hot(bench, max_uses=1)] * count)


@shape("redeem of full codes, refused, a code each")
def _of_full_codes(bench: LedgerBench, count: int) -> list[ReserveUse]:
    return redeems_of(bench, issue_hot_codes(bench, count, max_uses=1))


@shape("redeem of a code of another recipient, refused")
def _of_bound_code(bench: LedgerBench, count: int) -> list[ReserveUse]:
    text = issue_code(bench, max_uses=AMPLE, bound=True)
    attempt_reservations(bench, [done(bench.redeem(text, *new_emails(1))).require_reservation().reservation_id])
    return redeems_of(bench, [text] * count)


@shape("redeem of an unknown code, refused")
def _of_unknown_code(bench: LedgerBench, count: int) -> list[ReserveUse]:
    return redeems_of(bench, [generate_code(bench.random_source)] * count)


@shape("redeem in a campaign without limits, one code")
def _in_campaign(bench: LedgerBench, count: int) -> list[ReserveUse]:
    return redeems_of(bench, [issue_hot(bench, campaign_id=bench.create_campaign())] * count)


@shape("redeem in a campaign without limits, a code each")
def _in_campaign_of_codes(bench: LedgerBench, count: int) -> list[ReserveUse]:
    campaign_id = bench.create_campaign()
    return redeems_of(bench, issue_hot_codes(bench, count, campaign_id=campaign_id))


@shape("redeem in a campaign with max_per_day, a code each")
def _with_day_limit(bench: LedgerBench, count: int) -> list[ReserveUse]:
    campaign_id = bench.create_campaign(max_per_day=AMPLE)
    return redeems_of(bench, issue_hot_codes(bench, count, campaign_id=campaign_id))


@shape("redeem in a campaign with max_per_person, a code each")
def _with_person_limit(bench: LedgerBench, count: int) -> list[ReserveUse]:
    campaign_id = bench.create_campaign(max_per_person=AMPLE)
    return redeems_of(bench, issue_hot_codes(bench, count, campaign_id=campaign_id))


@shape("redeem by recipients of a code in a campaign with max_per_person")
def _by_recipients_with_limit(bench: LedgerBench, count: int) -> list[ReserveUse]:
    """Their uses are counted, since they may have some."""
    campaign_id = bench.create_campaign(max_per_person=AMPLE)
    first = redeems_of(bench, [issue_hot(bench, campaign_id=campaign_id)] * count)
    bench.storage.ledger.execute(first)
    digests = bench.storage.vault.compute_digests("code", issue_hot(bench, campaign_id=campaign_id))
    return repeat([structs.replace(command, code_digests=digests) for command in first])


@shape("redeem in a campaign with max_uses, a code each")
def _with_shared_limit(bench: LedgerBench, count: int) -> list[ReserveUse]:
    campaign_id = bench.create_campaign(max_uses=AMPLE)
    return redeems_of(bench, issue_hot_codes(bench, count, campaign_id=campaign_id))


@shape("redeem that makes snapshots of code and campaign due")
def _past_snapshots(bench: LedgerBench, count: int) -> list[ReserveUse]:
    text = issue_code(bench, campaign_id=bench.create_campaign(max_uses=AMPLE))
    bench.storage.ledger.execute(redeems_of(bench, [text] * (EVENTS_PER_SNAPSHOT - 2)))
    return redeems_of(bench, [text] * count)


@shape("redeem in a full campaign, refused")
def _in_full_campaign(bench: LedgerBench, count: int) -> list[ReserveUse]:
    return redeems_of(bench, [issue_hot(bench, campaign_id=bench.create_campaign(max_uses=1))] * count)
