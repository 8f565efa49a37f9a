"""The campaign with hand-outs that several tests share."""

import pytest

from tests.integration.workers.sending.hand_out_rig import HandOutRig
from tests.support.fake_channel import FakeChannel
from tests.support.ledger.ledger_bench import LedgerBench
from workers.sending.delivery_steps import DeliverySteps


@pytest.fixture
def house(bench: LedgerBench, steps: DeliverySteps) -> HandOutRig:
    """A campaign without limits."""
    now = bench.storage.recorder.clock.now()
    return HandOutRig(bench, steps, FakeChannel(), now, bench.create_campaign())
