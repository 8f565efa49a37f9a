"""Pages of a campaign's history by API: each reads a bounded part of the log, and together they are the history."""

from typing import Any, Final
from uuid import UUID

import pytest

from api.use_cases.services import Caller
from domain.commands.campaign.manage_campaign import PauseCampaign, ResumeCampaign
from domain.events.event import Event
from projections.event_store import codec
from projections.read_models import campaign_list, history_blocks
from tests.support.clients.app_client import AppClient

BLOCK: Final = 20
EVENTS: Final = 6 * BLOCK + 7
LIMIT: Final = 9


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    topics: list[str] = []

    def record(topic: str, state: bytes) -> Event:
        topics.append(topic)
        return codec.decode(topic, state)

    monkeypatch.setattr(history_blocks, "EVENTS_PER_BLOCK", BLOCK)
    for module in (history_blocks, campaign_list):
        monkeypatch.setattr(module, "decode", record)
    return topics


@pytest.fixture
def campaign_id(app: AppClient) -> UUID:
    body = {"name": "Autumn", "max_uses": 5}
    created_id = UUID(app.client.post("/api/v1/campaigns", json=body, headers=app.key("admin")).json()["id"])
    context = app.services.context(Caller(actor="operator"))
    for number in range(EVENTS - 1):
        command = PauseCampaign if number % 2 == 0 else ResumeCampaign
        app.services.storage.ledger.execute_one(command(context=context, campaign_id=created_id))
    return created_id


def read(app: AppClient, campaign_id: UUID, **query: Any) -> list[dict[str, Any]]:
    path = f"/api/v1/campaigns/{campaign_id}/history"
    events: list[dict[str, Any]] = app.client.get(path, params=query, headers=app.key("viewer")).json()["events"]
    return events


def test_pages_of_a_history_read_a_block_and_the_page(app: AppClient, campaign_id: UUID, decoded: list[str]) -> None:
    whole = read(app, campaign_id)
    read(app, campaign_id, after=EVENTS - 1)  # the blocks are folded once
    pages, counts = list[dict[str, Any]](), []
    while True:
        decoded.clear()
        page = read(app, campaign_id, after=pages[-1]["version"] if pages else 0, limit=LIMIT)
        counts.append(len(decoded))
        if not page:
            break
        pages += page

    assert pages == whole
    assert [event["version"] for event in whole] == list(range(1, EVENTS + 1))
    assert 0 < max(counts) <= BLOCK + LIMIT
    assert len(counts) == EVENTS // LIMIT + 2


def test_history_as_of_a_time_ends_on_any_page(app: AppClient, campaign_id: UUID) -> None:
    whole = read(app, campaign_id)
    early = read(app, campaign_id, as_of="2020-01-01T00:00:00Z")
    at_creation = read(app, campaign_id, as_of=whole[0]["at"])
    beyond = read(app, campaign_id, after=10**12)

    assert len(whole) == EVENTS
    assert (early, at_creation, beyond) == ([], whole[:1], [])
