import logging
from types import SimpleNamespace

import pytest

from api.http.dependency_status import START_S, DependencyStatus


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        monkeypatch.setattr("api.http.dependency_status.time", SimpleNamespace(monotonic=lambda: self.seconds))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def status(clock: Clock) -> DependencyStatus:
    """Of a process that started long enough ago for worker and beat to run."""
    dependency_status = DependencyStatus("Redis")
    clock.seconds = START_S
    return dependency_status


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    return [(line.levelname, line.getMessage(), vars(line)["component"]) for line in caplog.records]


def test_unavailable_mail_server_is_logged_once_with_a_remedy(
    status: DependencyStatus, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for missing in ([], ["mail_server"], ["mail_server"], [], []):
            status.log_changes(missing)

    assert logged(caplog) == [
        ("ERROR", "component unavailable", "mail_server"),
        ("WARNING", "component available again", "mail_server"),
    ]
    assert "LEDGER_SMTP_URL" in vars(caplog.records[0])["why"]


def test_unavailable_broker_is_the_only_component_that_is_logged(
    status: DependencyStatus, caplog: pytest.LogCaptureFixture
) -> None:
    """Heartbeats are in the broker, so their absence then says nothing about workers."""
    with caplog.at_level(logging.INFO):
        status.log_changes(["broker", "worker", "beat"])

    assert logged(caplog) == [("ERROR", "component unavailable", "broker")]


def test_worker_and_beat_may_still_be_starting_when_the_process_has_just_started(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    starting = DependencyStatus("Redis")
    with caplog.at_level(logging.INFO):
        starting.log_changes(["worker", "beat", "mail_server"])
        early = logged(caplog)
        clock.seconds = START_S
        starting.log_changes(["worker", "mail_server"])

    assert early == [("ERROR", "component unavailable", "mail_server")]
    assert logged(caplog)[1:] == [("ERROR", "component unavailable", "worker")]
