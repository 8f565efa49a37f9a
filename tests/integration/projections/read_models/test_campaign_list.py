"""The uses that a campaign had in a past state, read backward: those that a fold of its whole history finds."""

import random
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import partial
from uuid import UUID

import psycopg
import pytest

from domain.commands.reservation.reserve import ReserveUse
from domain.events.campaign import CampaignUseReturned, CampaignUseTaken
from domain.model.campaign import Campaign
from domain.ports import Rejected
from domain.values.timestamps import utc_day
from projections.read_models import campaign_list
from projections.read_models.campaign_list import CampaignReader
from projections.read_models.history_blocks import CAMPAIGNS
from projections.read_models.pagination import OLDEST
from projections.read_models.statements import HistoryReader
from projections.read_models.stream_entry import Entry
from tests.support.ledger.ledger_bench import LedgerBench, done

REFUSED = Rejected(server="mx:25", reason="address_refused", final=True, about_address=True, reply_code=550)
PAGE = 3


def find_uses(
    entries: list[Entry[Campaign]], is_wanted: Callable[[CampaignUseTaken], bool] = lambda _: True
) -> list[int]:
    """Versions of the events of uses that were taken and not returned, the newest first, by a fold from the first."""
    uses: dict[UUID, int] = {}
    for entry in entries:
        if isinstance(entry.event, CampaignUseTaken) and is_wanted(entry.event):
            uses[entry.event.reservation_id] = entry.version
        elif isinstance(entry.event, CampaignUseReturned):
            uses.pop(entry.event.reservation_id, None)
    return sorted(uses.values(), reverse=True)


def is_use_of(person: UUID, event: CampaignUseTaken) -> bool:
    return event.recipient_id == person


def build_history(bench: LedgerBench, source: random.Random) -> tuple[UUID, list[UUID]]:
    """A campaign whose uses are reserved, sent and refunded by chance on two days; its id, and its recipients."""
    campaign_id = bench.create_campaign(max_uses=100, max_per_person=50, max_per_day=90)
    code, people = bench.issue(None, bound=False, campaign_id=campaign_id), set[UUID]()
    for step in range(24):
        command = bench.reserve(code, f"{source.choice(('li', 'mei', 'wang'))}{step % 2}@example.com")
        context = bench.context()
        later = context.now + timedelta(days=step // 12)
        command = ReserveUse(
            **{name: getattr(command, name) for name in command.__struct_fields__ if name != "context"},
            context=type(context)(now=later, actor="person"),
        )
        result = done(bench.run(command))
        people.add(result.require_reservation().recipient_id)
        if result.changed and source.random() < 0.6:
            bench.attempt(result.require_reservation().reservation_id, REFUSED)
    return campaign_id, sorted(people)


def test_uses_read_backward_are_those_of_a_fold_at_every_version(
    bench: LedgerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all recipients, of one, and of a day; in pages."""
    monkeypatch.setattr(campaign_list, "USES_PAGE", PAGE)
    seed = random.randrange(2**32)
    campaign_id, people = build_history(bench, random.Random(seed))
    reader = CampaignReader(bench.storage)
    entries = list(HistoryReader(bench.storage, CAMPAIGNS).read_page(campaign_id, 0))
    assert {type(entry.event) for entry in entries} >= {CampaignUseTaken, CampaignUseReturned}, f"seed {seed}"

    def read(campaign: Campaign, *, limit: int = 99, person: Sequence[UUID] = (), day: date | None = None) -> list[int]:
        uses = reader.list_newest_uses(campaign, limit, recipient_ids=person, day=day)
        return [version for version, _ in uses]

    for number in range(1, len(entries) + 1):
        until, campaign = entries[:number], entries[number - 1].state
        today = utc_day(campaign.last_at)

        assert read(campaign) == find_uses(until), f"seed {seed}, version {number}"
        assert len(read(campaign)) == campaign.occupied, f"seed {seed}, version {number}"
        assert read(campaign, limit=2) == find_uses(until)[:2], f"seed {seed}, version {number}"
        assert len(read(campaign, day=today)) == campaign.occupied_on_day, f"seed {seed}, version {number}"
        for person in people:
            theirs = find_uses(until, partial(is_use_of, person))
            assert read(campaign, person=[person]) == theirs, f"seed {seed}, version {number}"


def test_campaigns_are_read_with_a_column_of_a_later_version(bench: LedgerBench) -> None:
    """Processes run while a later version has migrated: migrations append columns."""
    campaign_id = bench.create_campaign(max_uses=3)
    bench.issue(None, bound=False, campaign_id=campaign_id)
    code_id = bench.rows("SELECT code_id FROM code_balances")[0][0]
    reader = CampaignReader(bench.storage)
    before = reader.find_campaign(campaign_id), reader.find_terms_of_code(code_id)

    with psycopg.connect(bench.database_url) as conn:
        conn.execute("ALTER TABLE campaigns ADD COLUMN later text")

    assert (reader.find_campaign(campaign_id), reader.find_terms_of_code(code_id)) == before
    assert reader.list_campaigns(OLDEST, 2) == [before[0]]
    assert reader.find_campaign_state(campaign_id) == (before[0].campaign if before[0] else None)
