import io
import json
import logging
import sys
import time
from collections.abc import Iterator

import pytest

from projections.telemetry.log_setup import FactLog, configure_logs, redact


class Written:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.text = ""

    def lines(self) -> list[dict[str, object]]:
        self.text += self._capsys.readouterr().err
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture(autouse=True)
def _configured() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    configure_logs()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Written:
    return Written(capsys)


def test_line_is_json_with_the_fields_of_the_call(written: Written) -> None:
    logging.getLogger("workers.x").info("message", extra={"action": "send", "ms": 1.5, "data": {"args": "secret"}})

    (line,) = written.lines()
    expected = {"event": "message", "level": "info", "logger": "workers.x", "action": "send", "ms": 1.5}
    assert expected.items() <= line.items()
    assert "timestamp" in line
    assert "data" not in line


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("550 li.wei+x@mail.example.com: user unknown", "550 <address>: user unknown"),
        ("connection to redis://:pa55@redis:6379/0 lost", "connection to redis://***@redis:6379/0 lost"),
        ("postgresql://ledger:pw@db/ledger", "postgresql://***@db/ledger"),
        ("code T6Z7-Z16G-K5WA-XPK1-1EX3 is held", "code <code> is held"),
        ("code T6Z7Z16GK5WAXPK11EX3 is held", "code <code> is held"),
        ("GET /a/Zm9vYmFyYmF6cXV4cXV1eA HTTP/1.1", "GET /a/<token> HTTP/1.1"),
        ("POST /opt-out/Zm9vYmFyYmF6cXV4cXV1eA HTTP/1.1", "POST /opt-out/<token> HTTP/1.1"),
        ("GET /support/set-password/Zm9v_mFyYmF6cXV4-XV1eA HTTP/1.1", "GET /support/set-password/<token> HTTP/1.1"),
        ("celery@web-1.example.com ready.", "celery@web-1.example.com ready."),
        ("Scheduler: Sending due task cleanup-expired-users", "Scheduler: Sending due task cleanup-expired-users"),
        ("d190b3c6-7154-41f7-bdd2-59080a21e6f4", "d190b3c6-7154-41f7-bdd2-59080a21e6f4"),
    ],
)
def test_log_line_hides_values_that_look_private(written: Written, said: str, expected: str) -> None:
    logging.getLogger("x").warning(said)

    assert [expected] == [line["event"] for line in written.lines()]


@pytest.mark.parametrize("name", ["request_id", "task_id", "reservation_id", "reason"])
def test_private_text_is_taken_out_of_every_field(written: Written, name: str) -> None:
    """Ids too: anyone who publishes a task may choose what its id says."""
    logging.getLogger("x").info("task", extra={name: "T6Z7-Z16G-K5WA-XPK1-1EX3 li.wei@example.com"})

    assert [line[name] for line in written.lines()] == ["<code> <address>"]


def seconds_for(text: str) -> float:
    """The least CPU time of this thread that taking private texts out of a line took; others do not add to it."""

    def once() -> float:
        began = time.thread_time()
        redact(None, "", {"event": text})
        return time.thread_time() - began

    return min(once() for _ in range(7))


@pytest.mark.parametrize(
    "piece",
    [
        *("'", "a", ".", "-", "%", "a'", "a@", "'@", "a@a", "a@a.", "a.a'"),
        *("://", "://a", "/a/", "/a/a", "/opt-out/a", "A", "A-"),
    ],
)
def test_private_filter_takes_time_in_proportion_to_the_line(piece: str) -> None:
    """Sixteen times the text takes about 16 times as long. With a quadratic pattern it would be 256 times."""
    short, long = (piece * (size // len(piece)) for size in (2_500, 40_000))

    assert seconds_for(long) < 64 * seconds_for(short)


def test_line_on_a_terminal_shows_control_characters_as_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a library or a server says can't act on the terminal of an operator."""
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    configure_logs()
    logging.getLogger("x").warning("550 \x1b]0;title\x07 \u202eabc", extra={"reason": "a\rb"})

    said = terminal.getvalue()
    assert r"550 \x1b]0;title\x07 \u202eabc" in said
    assert r"a\rb" in said


def test_traceback_is_part_of_the_line_and_reveals_nothing_private(written: Written) -> None:
    try:
        int("no such person: li.wei@example.com")
    except ValueError:
        logging.getLogger("x").exception("failed")

    (line,) = written.lines()
    assert "no such person: <address>'" in str(line["exception"])
    assert "li.wei" not in written.text


def test_setting_up_twice_logs_once(written: Written) -> None:
    configure_logs()
    logging.getLogger("x").info("once")

    assert len(written.lines()) == 1


FIELDS = {"action": "send", "outcome": "sent", "ms": 1.5, "request_id": None, "reply_code": 250}


def test_fact_log_writes_the_line_of_its_logger(written: Written) -> None:
    FactLog("workers.x").info("message", FIELDS)
    logging.getLogger("workers.x").info("message", extra=FIELDS)
    by_facts, by_logger = written.lines()

    assert str(by_facts.pop("timestamp"))[:19] <= str(by_logger.pop("timestamp"))[:19]
    assert by_facts == by_logger


def test_fact_log_writes_nothing_below_the_level_of_its_logger(written: Written) -> None:
    """An operator who wants warnings only gets no line for each message."""
    logging.getLogger("workers.x").setLevel(logging.WARNING)

    FactLog("workers.x").info("message", FIELDS)

    assert written.lines() == []
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
