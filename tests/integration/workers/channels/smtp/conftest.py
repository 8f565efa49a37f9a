"""Both ways in which a dialogue with a mail server is driven."""

import pytest

from domain.ports import Channel
from tests.support import channel_builders
from tests.support.channel_builders import LoopedChannel


@pytest.fixture(params=["thread", "loop"])
def each_driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `channel_to` wait in the calling thread, and then in a send loop."""

    def open_looped(url: str, *, mail_from: str, timeout_s: float) -> Channel:
        assert mail_from == channel_builders.MAIL_FROM
        return LoopedChannel(url, timeout_s)

    if request.param == "loop":
        monkeypatch.setattr(channel_builders, "open_channel", open_looped)
