"""The ways in for reports: the command that a mail server pipes to, and the hook of a provider. Both repeat."""

import itertools
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import NamedTuple, Protocol

from tests.faults.chaos.report_observations import EmailId
from tests.faults.rigs.http_client import HONEST, send
from tests.faults.rigs.retries import retry
from tests.support.mail_providers import FakeSendGrid, Posted
from tests.support.servers.embedded_stack import PROGRAM, Stack
from tests.support.waiting import WAIT_S_MAX
from tests.unit.workers.mail_reports.reports import COMPLAINT, status_report

HOOK = "/api/v1/callbacks/mail/sendgrid"
PROVIDER = "sendgrid"
COMMAND_S_MAX = 60.0
"""A command that takes longer is killed and repeated, as by Postfix's `command_time_limit`."""
KILLED_EVERY = 3
KILLED_AFTER = (0.2, 0.8)
"""Every third command is killed once, after such a share of the least time that one took on this machine; if it was
quicker still, the next one is killed."""
DELIVERED, TRY_LATER, KILLED = 0, 75, -9
REPEATED = {0, *HONEST}
"""Answers after which a provider repeats a request. One that is stale is repeated too: clocks are stepped."""
STALE = "CALLBACK_STALE"
FORGED = "SIGNATURE_INVALID"


class PreparedReport(NamedTuple):
    """A report about an email.

    Attributes:
        reason: Of a bounce: `mailbox_unknown` or `mailbox_full`.
        token: What names the email, valid or not.
    """

    email: EmailId
    address: str
    kind: str
    reason: str
    token: str

    @property
    def suppresses(self) -> bool:
        """Whether its address gets no more emails, if it is true."""
        return self.kind == "complained" or self.reason == "mailbox_unknown"


class ReportChannel(Protocol):
    name: str

    def deliver(self, reports: Sequence[PreparedReport]) -> bool:
        """Hand reports in until they are acknowledged; return False if they never are."""


class CommandChannel:
    """`ledger bounces take`, one process for each report; some are killed, and all repeated until they answer 0."""

    name = "command"

    def __init__(self, stack: Stack, seed: int, answers: Counter[str], fail: Callable[[str], None]) -> None:
        self._stack, self._answers, self._fail = stack, answers, fail
        self._choice = random.Random(seed)
        self._count, self._due_kills = 0, 0
        self._took_s = COMMAND_S_MAX

    def deliver(self, reports: Sequence[PreparedReport]) -> bool:
        return all(self._pipe(write_message(report)) for report in reports)

    def _pipe(self, message: bytes) -> bool:
        self._count += 1
        self._due_kills += self._count % KILLED_EVERY == 2  # the first one says how long they take
        first_s = self._choice.uniform(*KILLED_AFTER) * self._took_s if self._due_kills else COMMAND_S_MAX
        lives = itertools.chain([first_s], itertools.repeat(COMMAND_S_MAX))

        def run_once() -> tuple[int, str] | None:
            begun_at = time.monotonic()
            status, error = self._run(message, next(lives))
            self._answers[f"command {status}"] += 1
            self._due_kills = max(0, self._due_kills - (status == KILLED))
            if status == DELIVERED:
                self._took_s = min(self._took_s, time.monotonic() - begun_at)
            return None if status in {TRY_LATER, KILLED} else (status, error)

        ended = retry(run_once)
        if ended is None:
            self._fail(f"no acknowledgement of a piped report in {WAIT_S_MAX} s")
        elif ended[0] != DELIVERED:
            self._fail(f"exit code {ended[0]} of `ledger bounces take`: {ended[1]}")
        return ended is not None and ended[0] == DELIVERED

    def _run(self, message: bytes, lives_s: float) -> tuple[int, str]:
        with subprocess.Popen(
            [*PROGRAM, "bounces", "take", "--json"],
            env=self._stack.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                _, error = process.communicate(message, timeout=lives_s)
            except subprocess.TimeoutExpired:
                process.kill()
                _, error = process.communicate()
        return process.returncode, error.decode(errors="replace")[-300:]


class HookChannel:
    """SendGrid's hook, with several events in a request, repeated until it is answered by a success."""

    name = "hook"

    def __init__(self, base: str, provider: FakeSendGrid, answers: Counter[str], fail: Callable[[str], None]) -> None:
        self._base, self._provider = base, provider
        self._answers, self._fail = answers, fail

    def deliver(self, reports: Sequence[PreparedReport]) -> bool:
        events = [event for report in reports for event in self._events(report)]
        posted = retry(lambda: self._post(self._provider.post(events, datetime.now(UTC))))
        if posted is None:
            self._fail(f"no acknowledgement of a posted report in {WAIT_S_MAX} s")
        elif posted[0] != HTTPStatus.OK:
            self._fail(f"{posted} for a report of a provider")
        return posted is not None and posted[0] == HTTPStatus.OK

    def forge(self, report: PreparedReport) -> None:
        """Post one with the signature of another key, until it is refused."""
        events = self._events(report)
        posted = retry(lambda: self._post(self._provider.post_forged(events, datetime.now(UTC))))
        if posted is not None and posted[1] != FORGED:
            self._fail(f"{posted} for a forged signature")

    def _events(self, report: PreparedReport) -> Sequence[object]:
        match report.kind:
            case "delayed":
                return as_events(self._provider.delay(report.token))
            case "complained":
                return as_events(self._provider.complaint(report.token))
            case _ if report.reason == "mailbox_full":
                words = {"reason": "552 5.2.2 mailbox full", "status": "5.2.2", "type": "bounce"}
                return [self._provider.event("bounce", report.token, **words)]
            case _:
                return as_events(self._provider.bounce(report.token))

    def _post(self, posted: Posted) -> tuple[int, object] | None:
        """Send one request; its status and problem code, or None if it has to be repeated."""
        status, answer, _ = send(self._base, "POST", HOOK, posted.body, posted.headers)
        status = 0 if isinstance(answer, str) else status
        self._answers[f"hook {status}"] += 1
        code = answer.get("code") if isinstance(answer, dict) else answer
        return None if status in REPEATED or code == STALE else (status, code)


def as_events(events: object) -> Sequence[object]:
    return events if isinstance(events, list) else [events]


def write_message(report: PreparedReport) -> bytes:
    match report.kind:
        case "complained":
            return COMPLAINT.format(kind="abuse", token=report.token).replace("\n", "\r\n").encode()
        case "delayed":
            return status_report("delayed", "4.4.1", "451 4.4.1 try later", report.token)
        case _ if report.reason == "mailbox_full":
            return status_report("failed", "5.2.2", "552 5.2.2 mailbox full", report.token)
        case _:
            return status_report(token=report.token)
