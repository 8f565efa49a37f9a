import pytest

from tests.support.waiting import WAIT_S_MAX, wait_for
from workers.monitoring import heartbeat
from workers.monitoring.broker_state import BrokerUnavailableError


class InterruptedClient:
    def __init__(self) -> None:
        self.renewals: list[str] = []

    def renew_heartbeat(self, component: str) -> None:
        self.renewals.append(component)
        if len(self.renewals) == 1:
            raise BrokerUnavailableError


def test_failed_renewal_is_repeated_before_the_next_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that was unavailable for a moment lets no heartbeat expire."""
    client = InterruptedClient()
    monkeypatch.setattr(heartbeat, "open_broker_client", lambda _: client)
    monkeypatch.setattr(heartbeat, "RENEW_S", 4 * WAIT_S_MAX)
    monkeypatch.setattr(heartbeat, "RETRY_S", 0.01)
    beat = heartbeat.Heartbeat("redis://localhost", "beat")
    try:
        wait_for(lambda: len(client.renewals) > 1)
    finally:
        beat._ending.set()

    assert client.renewals == ["beat", "beat"]
