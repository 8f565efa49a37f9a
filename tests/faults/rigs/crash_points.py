"""A worker whose process dies or stops at a planted moment: `python -m tests.faults.rigs.crash_points worker`.

It is the real worker; only the steps are wrapped. LEDGER_PLANTED names a folder: a file in it called after a moment
holds how often a process still is to die there. Moments: `started` (a task begins), `claimed` (under lease, nothing
sent; with `.ID` only for that reservation), `sent` (the mail server has taken the email, nothing recorded). With
`.stopped` after its name the process stops there instead, until it is resumed. Next to that folder, a file
`threads_at_forks` lists the number of threads at each fork, `clock_ahead_s` holds how far the clock is advanced, and
`shutdown_begun` exists once the worker's children can know that it ends.
"""

import fcntl
import os
import signal
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from domain.ports import Channel, Outcome
from projections.database.clock import DatabaseClock
from workers.celery_ext.shutdown_flag import ShutdownFlag
from workers.celery_process import main
from workers.sending.delivery_steps import ClaimedDelivery, DeliverySteps, Submit
from workers.sending.invitations import InvitationBatchSender

FOLDER = Path(os.environ["LEDGER_PLANTED"])
work, send, begin, now = InvitationBatchSender.run, DeliverySteps.send, DeliverySteps.begin, DatabaseClock.now
set_flag = ShutdownFlag.set


def die_at(crash_point: str) -> None:
    """Die here if that is planted: this process, or with it its parent (`MOMENT.parent`); or stop."""
    for name, victims in ((crash_point, [os.getpid()]), (f"{crash_point}.parent", [os.getppid(), os.getpid()])):
        if _is_planted(FOLDER / name):
            for victim in victims:
                os.kill(victim, signal.SIGKILL)
    if _is_planted(FOLDER / f"{crash_point}.stopped"):
        os.kill(os.getpid(), signal.SIGSTOP)


def _is_planted(path: Path) -> bool:
    try:
        with path.open("r+") as planted:
            fcntl.flock(planted, fcntl.LOCK_EX)
            left = int(planted.read() or "0")
            planted.seek(0)
            planted.truncate()
            planted.write(str(max(left - 1, 0)))
    except FileNotFoundError:
        return False
    return left > 0


def _note_threads() -> None:
    with (FOLDER.parent / "threads_at_forks").open("a") as notes:
        notes.write(f"{threading.active_count()}\n")


def _set_and_note(self: ShutdownFlag) -> None:
    set_flag(self)
    (FOLDER.parent / "shutdown_begun").touch()


def _work(self: InvitationBatchSender, reservation_ids: Sequence[UUID], *more: Any) -> None:
    die_at("started")
    work(self, reservation_ids, *more)


def _send(self: DeliverySteps, claimed: ClaimedDelivery, channel: Channel) -> Outcome:
    die_at("claimed")
    die_at(f"claimed.{claimed.reservation.reservation_id}")
    outcome = send(self, claimed, channel)
    die_at("sent")
    return outcome


def _begin(
    self: DeliverySteps, deliveries: Sequence[ClaimedDelivery], channel: Channel, submit: Submit
) -> dict[Future[Outcome], ClaimedDelivery]:
    for claimed in deliveries:
        die_at("claimed")
        die_at(f"claimed.{claimed.reservation.reservation_id}")
    return {_die_when_sent(sent): claimed for sent, claimed in begin(self, deliveries, channel, submit).items()}


def _die_when_sent(sent: Future[Outcome]) -> Future[Outcome]:
    recorded: Future[Outcome] = Future()

    def pass_on(finished: Future[Outcome]) -> None:
        die_at("sent")
        recorded.set_result(finished.result())

    sent.add_done_callback(pass_on)
    return recorded


def _now(self: DatabaseClock) -> datetime:
    try:
        ahead_s = int((FOLDER.parent / "clock_ahead_s").read_text())
    except FileNotFoundError:
        ahead_s = 0
    return now(self) + timedelta(seconds=ahead_s)


DatabaseClock.now = _now  # type: ignore[method-assign]  # what this module is for
InvitationBatchSender.run = _work  # type: ignore[method-assign,assignment]  # as above
DeliverySteps.send = _send  # type: ignore[method-assign]  # as above
DeliverySteps.begin = _begin  # type: ignore[method-assign]  # as above
ShutdownFlag.set = _set_and_note  # type: ignore[method-assign]  # as above
os.register_at_fork(before=_note_threads)

if __name__ == "__main__":
    main(sys.argv[1:])
