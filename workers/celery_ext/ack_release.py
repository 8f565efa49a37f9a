"""Forgets messages whose acknowledgement the broker did not accept.

kombu 5.7 keeps such a message among those that the worker still holds. A Redis that is frozen for longer than the
socket's timeout keeps the connection, so the place is never freed. After as many of them as the prefetch limit allows,
the worker accepts no message any more, without an error (seen under `make chaos`).
"""

from typing import Any

from kombu.transport import virtual
from kombu.transport.redis import Channel, QoS


class AckReleasingQoS(QoS):
    """Forgets an acknowledged message in any case.

    If the broker kept it, it is delivered again after the visibility timeout and finds nothing to do.
    """

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message; an error of the broker is raised and logged by the caller."""
        try:
            super().ack(delivery_tag)
        except self.channel.connection_errors:
            self._release(delivery_tag)
            raise

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """Return or drop a message; an error of the broker is raised and logged by the caller."""
        try:
            super().reject(delivery_tag, requeue)
        except self.channel.connection_errors:
            self._release(delivery_tag)
            raise

    def _release(self, delivery_tag: str) -> None:
        virtual.QoS.ack(self, delivery_tag)


def install_ack_release(channel: Any = Channel) -> None:  # noqa: ANN401 - kombu's classes have no types
    """Use it for every channel to Redis, also over TLS and Sentinel, which share this class."""
    channel.QoS = AckReleasingQoS
