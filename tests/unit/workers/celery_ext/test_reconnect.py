from typing import Any

import pytest
from kombu.exceptions import OperationalError

from workers.celery_ext.reconnect import RECONNECT_INTERVAL_S, FastReconnectConnection

CONNECTION: Any = FastReconnectConnection
"""kombu has no types."""


class EndedError(Exception):
    """Enough was seen."""


def test_pause_between_attempts_never_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery's own connection waits for up to 30 seconds once the broker was away for some minutes."""
    monkeypatch.setattr("kombu.utils.functional.sleep", lambda _seconds: None)
    pauses: list[float] = []

    def note(_error: Exception, pause_s: float) -> None:
        pauses.append(pause_s)
        if len(pauses) == 40:
            raise EndedError

    with pytest.raises(EndedError):
        CONNECTION("redis://127.0.0.1:1/0").ensure_connection(note, None)

    assert pauses == [RECONNECT_INTERVAL_S] * 40


def test_reconnecting_gives_up_where_it_is_configured_to() -> None:
    """A publish is not tried again: who publishes bounds that."""
    with pytest.raises(OperationalError):
        CONNECTION("redis://127.0.0.1:1/0").ensure_connection(None, 0)
