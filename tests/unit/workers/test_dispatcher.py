import threading
from collections.abc import Sequence
from uuid import UUID

import pytest

from tests.support.waiting import WAIT_S_MAX
from workers.dispatcher import IDS_PER_MESSAGE, MIN_INTERVAL_S, RETRY_DELAY_S, RETRY_DELAY_S_MAX, BackgroundDispatcher

IDS = [UUID(int=number) for number in range(200)]


class FakeBroker:
    def __init__(self) -> None:
        self.is_unavailable = False
        self.messages: list[list[UUID]] = []
        self.errors: list[Exception] = []
        self.pauses: list[float] = []
        self.enough = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def publish(self, ids: Sequence[UUID]) -> None:
        self.gate.wait(WAIT_S_MAX)
        if self.is_unavailable:
            raise OSError("away")
        self.messages.append(list(ids))
        if sum(map(len, self.messages)) >= len(IDS):
            self.enough.set()

    def wait(self, closing: threading.Event, seconds: float) -> bool:
        """Instead of sleeping: note the pause; back after four of them."""
        self.pauses.append(seconds)
        self.is_unavailable = len(self.pauses) < 4
        return closing.is_set()


def test_many_ids_go_in_few_messages() -> None:
    broker = FakeBroker()
    broker.gate.clear()
    dispatcher = BackgroundDispatcher(broker.publish, broker.errors.append)
    for reservation_id in IDS:
        dispatcher.dispatch(reservation_id)
    broker.gate.set()
    assert broker.enough.wait(WAIT_S_MAX)
    dispatcher.close()

    assert [reservation_id for message in broker.messages for reservation_id in message] == IDS
    assert len(broker.messages) <= len(IDS) // IDS_PER_MESSAGE + 1


def test_unavailable_broker_is_asked_ever_more_rarely() -> None:
    broker = FakeBroker()
    broker.is_unavailable = True
    dispatcher = BackgroundDispatcher(broker.publish, broker.errors.append, wait=broker.wait)
    for reservation_id in IDS:
        dispatcher.dispatch(reservation_id)
    assert broker.enough.wait(WAIT_S_MAX)
    dispatcher.close()

    assert [reservation_id for message in broker.messages for reservation_id in message] == IDS
    assert len(broker.errors) == 4
    assert [pause for pause in broker.pauses if pause >= RETRY_DELAY_S] == [0.5, 1.0, 2.0, RETRY_DELAY_S_MAX]


@pytest.mark.usual_world("ids that share one message")
def test_first_redeem_waits_for_nothing_and_the_next_ones_share_a_message() -> None:
    """On an idle system an id is a message at once; what comes within the gap after it goes together."""
    broker = FakeBroker()
    within_the_gap = threading.Event()

    def gap(closing: threading.Event, seconds: float) -> bool:
        broker.pauses.append(seconds)
        if len(broker.pauses) == 1:
            within_the_gap.set()
            assert all_dispatched.wait(WAIT_S_MAX)
        return closing.is_set()

    all_dispatched = threading.Event()
    dispatcher = BackgroundDispatcher(broker.publish, broker.errors.append, wait=gap)
    dispatcher.dispatch(IDS[0])
    assert within_the_gap.wait(WAIT_S_MAX)
    for reservation_id in IDS[1:4]:
        dispatcher.dispatch(reservation_id)
    all_dispatched.set()
    dispatcher.close()

    assert broker.messages == [[IDS[0]], IDS[1:4]]
    assert broker.pauses == [MIN_INTERVAL_S, MIN_INTERVAL_S]
