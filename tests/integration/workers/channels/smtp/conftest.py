"""Both ways in which a dialogue with a mail server is driven, and servers that take several lines together."""

import pytest

from domain.ports import Channel
from tests.support import channel_builders
from tests.support.channel_builders import LoopedChannel
from tests.support.servers.mail_server import MailServer


@pytest.fixture(params=["thread", "loop", "pipelined"])
def each_driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `channel_to` wait in the calling thread, then in a send loop, there also for servers with pipelining."""

    def open_looped(url: str, *, mail_from: str, timeout_s: float) -> Channel:
        assert mail_from == channel_builders.MAIL_FROM
        return LoopedChannel(url, timeout_s)

    if request.param == "pipelined":
        monkeypatch.setattr(MailServer, "pipelining", True)
    if request.param != "thread":
        monkeypatch.setattr(channel_builders, "open_channel", open_looped)
