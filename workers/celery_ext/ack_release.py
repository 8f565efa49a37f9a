"""What becomes of a message whose acknowledgement the broker didn't take.

kombu 5.7 keeps such a message among those that the worker still holds. A Redis that is frozen for longer than the
socket's timeout keeps the connection, so nothing ever frees that place: after as many of them as the prefetch limit
allows, the worker takes no message any more, without an error and without end (seen under `make chaos`).
"""

from typing import Any

from kombu.transport import virtual
from kombu.transport.redis import Channel, QoS


class AckReleasingQoS(QoS):
    """Lets go of a message in any case.

    If the broker kept it, it comes back after the visibility timeout and finds nothing to do: doubles are harmless.
    """

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge; the caller learns of the broker's trouble and logs it."""
        try:
            super().ack(delivery_tag)
        except self.channel.connection_errors:
            self._release(delivery_tag)
            raise

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """Give back or drop; the caller learns of the broker's trouble and logs it."""
        try:
            super().reject(delivery_tag, requeue)
        except self.channel.connection_errors:
            self._release(delivery_tag)
            raise

    def _release(self, delivery_tag: str) -> None:
        virtual.QoS.ack(self, delivery_tag)


def install_ack_release(channel: Any = Channel) -> None:  # noqa: ANN401 - kombu's classes have no types
    """Use it for every channel to Redis, over TLS and Sentinel too: they share this class."""
    channel.QoS = AckReleasingQoS
