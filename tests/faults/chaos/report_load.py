"""Reports about emails alongside the faults: bounces, delays and complaints, some twice, some late, some forged.

There are two ways in, `ledger bounces take` and the hook of a provider. A mailbox is not among them: a worker reads one
once a minute, so a run would meet a fault there by chance, and a real one needs root and Dovecot. The tests of
`tests/integration/workers/mail_reports/` kill its reader and cut its network.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID, uuid4

from domain.values.mail.mail_token import MailRef, mail_token
from tests.faults.chaos.faulty_mail_server import FaultyMailServer
from tests.faults.chaos.report_channels import (
    PROVIDER,
    CommandChannel,
    HookChannel,
    PreparedReport,
    ReportChannel,
)
from tests.faults.chaos.report_observations import (
    AcknowledgedReport,
    ArrivedEmail,
    EmailId,
    RepeatedRedeem,
    ReportObservations,
)
from tests.faults.rigs.http_client import KeyedClient
from tests.faults.rigs.retries import pause
from tests.support.mail_providers import FakeSendGrid
from tests.support.servers.embedded_stack import Stack
from tests.support.waiting import WAIT_S_MAX

BETWEEN_S = {"command": (1.0, 3.0), "hook": (0.1, 0.6)}
"""Seconds between the reports of each way in: a command costs more than a second of CPU."""
TWICE, LATE = 0.3, 0.3
"""Shares of reports that also come by the hook at the same time, and that come, some again, when all is at rest."""
NEWEST = 0.6
"""Share of reports about the newest email: the ledger may not have recorded that the server accepted it."""
LATE_MAX = 12
BATCH = 3
SUPPRESSED_MAX = 0.1
"""Share of the recipients of hand-outs who get no more emails after bounces, at most, and after complaints."""
FOREIGN = b"the secret of another ledger"


class Plan(NamedTuple):
    """One report to be made. `lie`: what is wrong with it."""

    is_of_code: bool
    kind: str
    reason: str = ""
    lie: str = ""


PLANS = (
    *(Plan(is_of_code, "bounced", "mailbox_unknown") for is_of_code in (False, True)),
    *(Plan(is_of_code, "bounced", "mailbox_full") for is_of_code in (False, False, True)),
    *(Plan(is_of_code, "delayed") for is_of_code in (False, True)),
    *(Plan(is_of_code, "complained") for is_of_code in (False, True)),
    Plan(False, "bounced", "mailbox_unknown", "forged token"),
    Plan(True, "bounced", "mailbox_unknown", "token of another ledger"),
    Plan(False, "complained", "", "forged signature"),
)


class ReportLoad:
    """Reports emails that the mail server accepted, until it is stopped; each email is reported of once."""

    def __init__(
        self, stack: Stack, mail: FaultyMailServer, provider: FakeSendGrid, seed: int, recipients: int
    ) -> None:
        self._stack, self._mail = stack, mail
        self._code = stack.issue(1_000_000, is_open=True)
        self._suppressing_max, self._suppressing = recipients * SUPPRESSED_MAX, Counter[str]()
        self.suppressed: set[str] = set()
        self.seen = ReportObservations()
        self._arrived: list[tuple[ArrivedEmail, str]] = []
        self._arrivals_read = 0
        self._chosen: set[EmailId] = set()
        self._late: list[PreparedReport] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._hook = HookChannel(stack.base, provider, self.seen.answers, self.seen.defects.append)
        self._command = CommandChannel(stack, seed, self.seen.answers, self.seen.defects.append)
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(seed * 1000 + nth), channel), daemon=True)
            for nth, channel in enumerate((self._hook, self._command))
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(2 * WAIT_S_MAX)

    def act_at_rest(self) -> None:
        """Hand in what comes late, and a report of each kind, now that all processes run; a few by the command."""
        choice = random.Random(len(self._arrived))
        self.seen.variants["late"] += len(self._late)
        for number in range(0, len(self._late), BATCH):
            self._deliver(self._hook if number else self._command, self._late[number : number + BATCH])
        for plan in PLANS:
            self._hand_in(plan, self._hook, choice)

    def finish(self) -> ReportObservations:
        self._read_arrivals()
        self.seen.emails = [email for email, _ in self._arrived]
        return self.seen

    def _run(self, choice: random.Random, channel: ReportChannel) -> None:
        while True:
            for plan in choice.sample(PLANS, len(PLANS)):
                if pause(choice, BETWEEN_S[channel.name], self._stopping):
                    return
                self._hand_in(plan, channel, choice)

    def _hand_in(self, plan: Plan, channel: ReportChannel, choice: random.Random) -> None:
        report = self._prepare(plan, choice)
        if report is not None and plan.lie:
            self._lie(channel, plan, report)
        elif report is not None:
            self._report(channel, report, choice)

    def _prepare(self, plan: Plan, choice: random.Random) -> PreparedReport | None:
        """Choose an email that was not reported of; None if there is none."""
        with self._lock:
            self._read_arrivals()
            emails = [
                (arrived, token)
                for arrived, token in self._arrived
                if arrived.email.is_of_code == plan.is_of_code and arrived.email not in self._chosen
            ]
            if not emails:
                return None
            (_, email, address), token = emails[-1] if choice.random() < NEWEST else choice.choice(emails)
            report = PreparedReport(email, address, plan.kind, plan.reason, token)
            if report.suppresses and email.is_of_code and not plan.lie:
                if self._suppressing[plan.kind] >= self._suppressing_max:
                    return None
                self._suppressing[plan.kind] += 1
                self.suppressed.add(report.address)
            self._chosen.add(email)
        return report

    def _read_arrivals(self) -> None:
        arrivals = self._mail.arrivals()[self._arrivals_read :]
        self._arrivals_read += len(arrivals)
        for arrival in arrivals:
            if (arrived := ArrivedEmail.read(arrival)) is not None:
                self._arrived.append((arrived, arrival.received.sender.partition("+")[2].partition("@")[0]))

    def _report(self, channel: ReportChannel, report: PreparedReport, choice: random.Random) -> None:
        if len(self._late) < LATE_MAX and choice.random() < LATE and not self._stopping.is_set():
            self._late.append(report)
            if choice.random() < 0.5:
                return
            self.seen.variants["twice"] += 1
        if choice.random() < TWICE:
            self.seen.variants["twice at the same time"] += 1
            with ThreadPoolExecutor(1) as pool:
                second = pool.submit(self._deliver, self._hook, [report])
                self._deliver(channel, [report])
                second.result()
        else:
            self._deliver(channel, [report])

    def _deliver(self, channel: ReportChannel, reports: Sequence[PreparedReport]) -> None:
        """Hand reports in; the first acknowledgement of each is noted."""
        self.seen.begun.update((report.email, report.kind) for report in reports)
        if not channel.deliver(reports):
            return
        at = time.time()
        for report in reports:
            with self._lock:
                is_first = all(
                    (each.email, each.kind) != (report.email, report.kind) for each in self.seen.acknowledged
                )
                if is_first:
                    self.seen.acknowledged.append(AcknowledgedReport(at, report.email, report.kind, report.address))
            if is_first and not report.email.is_of_code and report.suppresses:
                self._redeem_again(report.address)

    def _lie(self, channel: ReportChannel, plan: Plan, report: PreparedReport) -> None:
        """Hand in a report that the ledger must not believe."""
        self.seen.variants[plan.lie] += 1
        if plan.lie == "forged signature":
            self._hook.forge(report)
        elif plan.lie == "forged token":
            token = ("b" if report.token[0] == "a" else "a") + report.token[1:]
            channel.deliver([report._replace(token=token)])
        else:
            ref = MailRef("hand_out", UUID(report.email.subject_id), report.email.number)
            channel.deliver([report._replace(token=mail_token(FOREIGN, ref, datetime.now(UTC)))])

    def _redeem_again(self, address: str) -> None:
        """Redeem another code with an address that was reported, until there is an answer."""
        with KeyedClient(self._stack.base) as client:
            status, answer = client.ask_until_answered(str(uuid4()), {"code": self._code, "email": address})
        if status:
            self.seen.redeems.append(RepeatedRedeem(address, str(answer.get("code", status))))
        else:
            self.seen.defects.append(f"no answer to a redeem request in {WAIT_S_MAX} s")


def report_settings(provider: FakeSendGrid) -> Mapping[str, str]:
    return {
        "LEDGER_BOUNCE_ADDRESS": "bounces@ledger.example",
        "LEDGER_BOUNCE_POLICY": "refund",
        "LEDGER_MAIL_PROVIDER": PROVIDER,
        "LEDGER_MAIL_HOOK_SECRET": provider.secret,
    }
