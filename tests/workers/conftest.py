"""Worker steps over a real ledger, with a channel whose outcomes a test scripts."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from domain.ports import TextDraft
from projections.storage.bootstrap import Storage
from tests.projections.conftest import settings_for
from tests.projections.ledgers import LedgerBench
from workers.invitations.delivery_steps import DeliverySteps
from workers.invitations.message_factory import MessageFactory


@pytest.fixture
def bench(database_url: str) -> Iterator[LedgerBench]:
    """An open ledger with helpers around it."""
    with Storage.open(settings_for(database_url)) as storage:
        yield LedgerBench(storage, database_url)


@pytest.fixture
def steps(bench: LedgerBench) -> DeliverySteps:
    """The steps as a worker process holds them."""
    reader = bench.reader

    def draft_text(text: str, reservation_id: UUID) -> TextDraft:
        return bench.storage.vault.text(text, uuid4(), reservation_id)

    return DeliverySteps(
        execute=bench.storage.ledger.execute,
        addresses=reader.addressees,
        message_factory=MessageFactory(b"secret", "http://127.0.0.1:8000", "ledger.example"),
        draft_text=draft_text,
        now=bench.storage.recorder.clock.now,
        new_id=uuid4,
        worker="w1",
    )
