import pytest

from api.cli.embedded.tcp_ports import find_free_port
from projections.config.broker_url import BrokerUrl
from workers.monitoring.broker_state import BrokerUnavailableError
from workers.monitoring.redis_client import RedisClient


def test_sentinels_that_do_not_answer_are_reported_in_one_line() -> None:
    """Not with the inner state of a client for each of them."""
    broker = BrokerUrl.parse(f"sentinel://127.0.0.1:{find_free_port()}/0?master_name=ledger")

    with pytest.raises(BrokerUnavailableError) as raised:
        RedisClient(broker).look()

    assert str(raised.value) == "No master found for 'ledger'"
