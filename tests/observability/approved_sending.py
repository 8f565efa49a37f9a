"""What operators see of the sending side, approved: `python -m tests.observability.approved_sending` writes it.

Scripts, dashboards and searches in logs use these names. The others are in docs/reference: metrics with their labels in
`metrics.md`, texts and fields of log lines in `logs.md`. Tests compare both with the code.
"""

import base64
import contextlib
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final, cast, get_args

import orjson

from api.cli.doctor.command import EVERYTHING
from api.cli.doctor.components import TASKS
from domain.ports import (
    Accepted,
    NotifiedOnly,
    OutboundMessage,
    Outcome,
    OutcomeUnknown,
    Rejected,
    Removal,
    RemovalOutcome,
    RetryLater,
    Template,
)
from projections.telemetry.log_setup import FIELDS
from tests.support.channel_builders import MESSAGE
from workers.channels.group_router import InstrumentedChannel

PATH: Final = Path(__file__).with_name("approved_sending.txt")
KEY: Final = f"1:{base64.b64encode(b'k' * 32).decode()}"
ENVIRONMENT: Final[Mapping[str, str]] = {
    "LEDGER_SECRET_KEY": "test",
    "LEDGER_PEPPERS": KEY,
    "LEDGER_MASTER_KEYS": KEY,
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
}
"""Settings that the modules of Celery read when they are imported."""
OUTCOMES: Final[tuple[RemovalOutcome, ...]] = (
    Accepted(server="mx:25", reply_code=250),
    Rejected(server="mx:25", reason="message_refused", final=True, reply_code=552),
    RetryLater(server="mx:25", reason="team_full", wait=timedelta(hours=1)),
    OutcomeUnknown(server="mx:25", cause="timeout"),
    NotifiedOnly(server="mx:25"),
)
REMOVAL: Final = Removal(
    reservation_id=MESSAGE.reservation_id,
    cause="expired",
    ended_at=MESSAGE.written_at,
    recipient=None,
    group=None,
    farewell=None,
)


class FixedChannel:
    name = "fixed"

    def __init__(self, outcome: RemovalOutcome) -> None:
        self._outcome = outcome

    def send(self, _message: OutboundMessage) -> Outcome:
        return cast("Outcome", self._outcome)

    def revoke(self, _removal: Removal) -> RemovalOutcome:
        return self._outcome

    def close(self) -> None:
        """Nothing is open."""


class LastRecord(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        self.line = {"event": record.getMessage(), **record.__dict__}


def describe() -> str:
    return "".join(f"{line}\n" for line in (*_celery(), *_log_lines(), *_templates(), *_checks()))


def _celery() -> Iterator[str]:
    from workers.celery_app import celery_app  # noqa: PLC0415 - it reads its settings when it is imported
    from workers.tasks import process_invite_task  # noqa: PLC0415 - as above

    yield f"queue: {celery_app.conf.task_default_queue}"
    for name in sorted(process_invite_task.app.tasks):
        if not name.startswith("celery."):
            yield f"task: {name}"
    for name, entry in sorted(celery_app.conf.beat_schedule.items()):
        options = " ".join(f"{key}={value:g}" for key, value in sorted(entry["options"].items()))
        yield f"schedule: {name} runs {entry['task']} every {entry['schedule']:g} s, {options}"


def _log_lines() -> Iterator[str]:
    for outcome in OUTCOMES:
        channel = InstrumentedChannel(FixedChannel(outcome))
        if not isinstance(outcome, NotifiedOnly):  # a channel says so of removals alone
            yield _line_of(partial(channel.send, MESSAGE))
        yield _line_of(partial(channel.revoke, REMOVAL))


def _line_of(call: Callable[[], object]) -> str:
    direct, handler, log = io.BytesIO(), LastRecord(), logging.getLogger("workers.channels.group_router")
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        with contextlib.redirect_stderr(io.TextIOWrapper(direct)):
            call()
            text = direct.getvalue()
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    line = orjson.loads(text) if text else handler.line
    fields = {name: line[name] for name in line if name in FIELDS}
    return " ".join([f"log: {line['event']}: outcome={fields.pop('outcome')}", *sorted(fields)])


def _templates() -> Iterator[str]:
    yield from (f"template: {name}" for name in get_args(Template))


def _checks() -> Iterator[str]:
    for name in EVERYTHING:
        yield f"doctor: {name}" + (f" ({', '.join(TASKS)})" if name == "tasks" else "")


def main() -> int:
    os.environ.update(ENVIRONMENT)
    PATH.write_text(describe(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
