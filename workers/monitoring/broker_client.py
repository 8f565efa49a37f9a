"""Opens the client of the broker that a URL names."""

from projections.config.broker_url import BrokerUrl
from workers.monitoring.broker_state import TIMEOUT_S, BrokerClient


def open_broker_client(url: str, timeout_s: float = TIMEOUT_S) -> BrokerClient:
    """Create a client that connects at its first call and waits at most `timeout_s` for each answer.

    Raises:
        ValueError: The URL does not name a broker.
    """
    broker = BrokerUrl.parse(url)
    if broker.kind == "rabbitmq":
        from workers.monitoring.rabbitmq_client import RabbitClient  # noqa: PLC0415 - its library loads only if it is used

        return RabbitClient(broker, timeout_s)
    from workers.monitoring.redis_client import RedisClient  # noqa: PLC0415 - as above

    return RedisClient(broker, timeout_s)
