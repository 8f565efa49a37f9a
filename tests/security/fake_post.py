"""Senders that send nothing, so that a request which sends a message leaves its entry."""

import dataclasses
from typing import Any, NamedTuple

from domain.ports import Accepted, OutboundMessage, Outcome


class SendResult(NamedTuple):
    outcome: str = "http_200"
    status: int | None = 200
    ms: int = 1
    is_delivered: bool = True


@dataclasses.dataclass
class FakePost:
    """Sends nothing; previews as the real one."""

    inner: Any

    def preview(self, message: OutboundMessage) -> Any:  # noqa: ANN401 - as the real one gives it
        return self.inner.preview(message)

    def send(self, _: OutboundMessage) -> Outcome:
        return Accepted(server="mx:25")

    def test_hook(self, *_: object) -> SendResult:
        return SendResult()
