import json
import logging
from collections.abc import Iterator

import pytest

from projections.telemetry.log_setup import FactLog, configure_logs

FIELDS = {"action": "send", "outcome": "sent", "ms": 1.5, "request_id": None, "reply_code": 250}


@pytest.fixture(autouse=True)
def _configured() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    configure_logs()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_fact_log_writes_the_line_of_its_logger(capsys: pytest.CaptureFixture[str]) -> None:
    FactLog("workers.x").info("message", FIELDS)
    logging.getLogger("workers.x").info("message", extra=FIELDS)
    by_facts, by_logger = (json.loads(line) for line in capsys.readouterr().err.splitlines())

    assert by_facts.pop("timestamp")[:19] <= by_logger.pop("timestamp")[:19]
    assert by_facts == by_logger


def test_fact_log_writes_nothing_below_the_level_of_its_logger(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An operator who wants warnings only gets no line for each message."""
    logging.getLogger("workers.x").setLevel(logging.WARNING)

    FactLog("workers.x").info("message", FIELDS)

    assert capsys.readouterr().err == ""
    logging.getLogger("workers.x").setLevel(logging.NOTSET)


def test_fact_log_leaves_the_line_to_its_logger_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person reads no JSON."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    configure_logs()

    FactLog("workers.x").info("message", FIELDS)

    line = capsys.readouterr().err
    assert "message" in line
    assert not line.startswith("{")
