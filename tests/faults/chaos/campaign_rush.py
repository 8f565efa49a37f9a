"""A rush on a campaign over HTTP, while workers are killed and the broker stops, until its limit is used up.

Everyone wants one use. They try several codes, in addresses of the right and of a wrong domain, some twice with another
spelling of their address, and many in tagged addresses of a few inboxes. Some invitations fail, others expire: what
they return is used by people who come later, and first by those on the waiting list.
"""

import itertools
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psycopg

from projections.rebuild.rebuild import RebuildOptions, rebuild
from tests.faults.chaos.campaign_timeline import Refusal, find_untrue_statements, read_timeline
from tests.faults.chaos.observe import unsettled
from tests.faults.chaos.short_lived_stack import open_short_lived_stack
from tests.faults.chaos.targets import FAULTS, FaultTargets
from tests.faults.rigs.http_client import KeyedClient
from tests.faults.rigs.retries import pause, retry
from tests.support.ledger.rebuilds import NoProgress
from tests.support.servers.embedded_stack import Stack
from tests.support.servers.mail_server import MailServer
from tests.support.servers.mail_session import Behavior, DelayedReply, ReplyWith, Stage
from tests.support.servers.stepped_clock import SteppedClock
from tests.support.waiting import POLL_S, WAIT_S_MAX

DOMAINS = ("first.example", "second.example")
WRONG_DOMAIN = "elsewhere.example"
REFUSED_BY_SERVER, BUSY_FOREVER = 20, 50
"""Of so many email addresses the server refuses one permanently, or for longer than a reservation lives."""
CODES_PER_PERSON_MAX = 3
TAGGED, OWNERS = 0.4, 0.1
"""Share of the people who come with a tagged address of another one's inbox, and share of those whose inbox it is."""
LEASE_S = 4
BETWEEN_S = (0.2, 1.0)
FAULT_WAIT_S = 2.0
"""How long a fault waits for a victim with work in flight."""
FAULTS_AWAITED = 2
"""The people come in one part more than this; each part but the first waits for one more fault."""
FIRST_MAIL_DELAY_S, MAIL_DELAY_S = 1.0, 0.15
"""How long the server takes for each message until the first fault, which finds some on their way, and then."""
VICTIMS = {
    ("worker", "killed"),
    ("child", "killed"),
    ("valkey", "killed"),
    ("valkey", "stopped"),
    ("valkey", "flushed"),
}


@dataclass(frozen=True, slots=True)
class RushPlan:
    """How many codes, uses and people; how many ask at a time (`connections`); and the most faults."""

    seed: int
    codes: int
    limit: int
    people: int
    connections: int
    faults: int
    ttl_s: int = 20


@dataclass(slots=True)
class RushReport:
    """What a rush did and found.

    Attributes:
        balance: The campaign as the API shows it at the end.
        returned: Uses that the campaign got back and lent again.
        people: How many real persons have a use at the end.
        tagged: How many people came with a tagged address, and how many of them were refused a second use.
        events: How many events of each kind its stream and its codes have.
        broken: What must not be, in words.
    """

    answers: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    balance: dict[str, Any] = field(default_factory=dict)
    returned: int = 0
    people: int = 0
    tagged: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


class RefusingMailServer(MailServer):
    """Refuses the invitations of some recipients, by the number in their address."""

    def rule(self, stage: Stage, recipient: str | None) -> Behavior | None:
        if stage == "rcpt" and recipient and (number := "".join(filter(str.isdigit, recipient))):
            if int(number) % REFUSED_BY_SERVER == 1:
                return ReplyWith(550, "no such user")
            if int(number) % BUSY_FOREVER == 2:
                return ReplyWith(451, "try later")
        return super().rule(stage, recipient)


class Crowd:
    """People who redeem codes over a fixed number of connections, each person once."""

    def __init__(self, base: str, codes: list[str], plan: RushPlan, report: RushReport) -> None:
        self._base, self._codes, self._plan, self._report = base, codes, plan, report
        self._lock = threading.Lock()
        self._numbers = iter(range(plan.people))
        self._asking = 0
        self.refusals: list[Refusal] = []
        self.reservations: dict[str, str] = {}
        self.waiting: list[str] = []
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(plan.connections)]
        for thread in self._threads:
            thread.start()

    def in_flight(self) -> int:
        return self._asking

    def join(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))
            if thread.is_alive():
                self._report.broken.append("the rush did not end within its bound")
                return

    def ask(self, client: KeyedClient, code: str, email: str) -> str:
        """Redeem until there is an answer; `ok`, or the code of the refusal."""
        key = f"{email}|{code}|{time.monotonic_ns()}"
        status, answer = client.ask_until_answered(key, {"code": code, "email": email})
        word = "ok" if status in {HTTPStatus.OK, HTTPStatus.ACCEPTED} else str(answer.get("code"))
        with self._lock:
            self._report.answers[word] += 1
            if word == "ok":
                self.reservations[str(answer["reservation_id"])] = email.lower()
            elif status == HTTPStatus.BAD_REQUEST:
                self.refusals.append(Refusal(word, code, email.lower(), client.asked_at, time.time()))
            else:
                self._report.broken.append(f"a client saw {status} {answer}")
        return word

    def wait_in_line(self, client: KeyedClient, code: str, email: str) -> None:
        """Join the waiting list, unless a use is left or the code brings no more people."""
        body, path = {"code": code, "email": email}, "/api/v1/public/waiting-list"
        status, answer = client.ask_until_answered(f"wait {email}", body, path)
        with self._lock:
            self.waiting += [email] if status == HTTPStatus.OK else []
            if status not in {HTTPStatus.OK, HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT}:
                self._report.broken.append(f"a client saw {status} {answer}")

    def let_waiting_people_ask(self, client: KeyedClient, choice: random.Random) -> None:
        """Each asks once, the first one first. Who is on the list and may take none is refused as others are."""
        for email in [*self.waiting]:
            if not self.ask(client, choice.choice(self._codes), email).startswith(("CODE_", "CAMPAIGN_")):
                self.waiting.remove(email)

    def _run(self) -> None:
        with KeyedClient(self._base) as client:
            while (number := self._next()) is not None:
                with self._lock:
                    self._asking += 1
                try:
                    self._wait_for_fault(client, number)
                    self._visit(client, number)
                finally:
                    with self._lock:
                        self._asking -= 1

    def _next(self) -> int | None:
        with self._lock:
            return next(self._numbers, None)

    def _wait_for_fault(self, client: KeyedClient, number: int) -> None:
        """Ask for what the campaign refuses until so many faults struck as this part of the people waits for.

        However fast the machine is, a fault finds requests in flight, and the rush does not end before it.
        """
        awaited = number * (FAULTS_AWAITED + 1) // self._plan.people

        def has_struck() -> bool:
            if self._report.struck.total() >= awaited:
                return True
            self.ask(client, self._codes[number % len(self._codes)], f"early{number}@{WRONG_DOMAIN}")
            return False

        retry(has_struck, every_s=POLL_S)

    def _visit(self, client: KeyedClient, number: int) -> None:
        """One person: some codes until one is accepted; some then come again with another one."""
        choice = random.Random(self._plan.seed * 100_003 + number)
        is_tagged = choice.random() < TAGGED
        owner = choice.randrange(int(self._plan.people * OWNERS)) if is_tagged else number
        domain = WRONG_DOMAIN if choice.random() < 0.1 else DOMAINS[owner % len(DOMAINS)]
        name = f"p{owner}+{number}" if is_tagged else f"p{number}"
        email = f"{name}@{domain}"
        for code in choice.sample(self._codes, choice.randint(1, CODES_PER_PERSON_MAX)):
            word = self.ask(client, code, email)
            if word == "ok" or not word.startswith(("CODE_", "CAMPAIGN_HELD")):
                break
        with self._lock:
            self._report.tagged.update(["asked", word] if is_tagged else [])
        if word.startswith("CAMPAIGN_"):
            self.wait_in_line(client, code, email)
        if word == "ok" and choice.random() < 0.5:
            again = choice.choice([email.upper(), f"{name.upper()}@{domain}", f"p{owner}+again@{domain}", email])
            self.ask(client, choice.choice(self._codes), again)


def run_rush(plan: RushPlan, folder: Path) -> RushReport:
    """Run it on a real ledger in a folder that does not exist yet."""
    report = RushReport()
    with (
        RefusingMailServer() as mail,
        open_short_lived_stack(folder, mail.url, lease_s=LEASE_S, ttl_s=plan.ttl_s) as stack,
    ):
        mail.at("dot", DelayedReply(FIRST_MAIL_DELAY_S))
        campaign_id, codes = _create_campaign(stack, plan)
        crowd = Crowd(stack.base, list(codes), plan, report)
        ended = threading.Event()
        striker = threading.Thread(target=_strike, args=(plan, stack, crowd, mail, ended, report))
        striker.start()
        try:
            crowd.join(600)
            _take_what_is_left(stack, crowd, campaign_id, list(codes), plan, report)
        finally:
            ended.set()
            striker.join(WAIT_S_MAX)
        _come_to_rest(stack)
        _take_what_is_left(stack, crowd, campaign_id, list(codes), plan, report)
        _, report.balance = stack.call("GET", f"/api/v1/campaigns/{campaign_id}", headers=stack.admin)
        timeline = read_timeline(str(stack.info["database_url"]), campaign_id, crowd.reservations)
        report.returned, report.events = timeline.returned, timeline.events
        report.people = sum(each.last.occupied > 0 for each in timeline.people.values())
        report.broken += find_untrue_statements(timeline, plan.limit, codes, crowd.reservations, crowd.refusals)
        if (verified := stack.cli("verify")).returncode:
            report.broken.append(f"verify: {verified.returncode} {verified.stdout[-3000:]} {verified.stderr[-3000:]}")
        compared = rebuild(str(stack.info["database_url"]), RebuildOptions(), NoProgress())
        report.broken += [f"rebuild: {row}" for row in compared.listed]
    return report


def _create_campaign(stack: Stack, plan: RushPlan) -> tuple[str, dict[str, str]]:
    """Create the campaign and its codes, a tenth of them with three uses; the id of each code by its text."""
    terms = {
        "name": "Rush",
        "max_uses": plan.limit,
        "max_per_person": 1,
        "person_rule": "mailbox",
        "allowed_domains": list(DOMAINS),
        "waiting_hours": 1,
        "notify_at": ["50%", "100%", "5 left"],
    }
    status, campaign = stack.call("POST", "/api/v1/campaigns", terms, stack.admin)
    assert status == HTTPStatus.CREATED, campaign
    codes: dict[str, str] = {}
    for count, max_uses in ((plan.codes - plan.codes // 10, 1), (plan.codes // 10, 3)):
        request = {"count": count, "max_uses": max_uses, "open": True, "campaign": campaign["id"]}
        status, issued = stack.call("POST", "/api/v1/codes", request, stack.admin)
        assert status == HTTPStatus.CREATED, issued
        codes |= {each["code"]: each["id"] for each in issued}
    return str(campaign["id"]), codes


def _strike(
    plan: RushPlan, stack: Stack, crowd: Crowd, mail: MailServer, ended: threading.Event, report: RushReport
) -> None:
    """Kill a pool process, then kill workers and stop the broker in an order of the seed, until the rush has ended."""
    targets = FaultTargets(stack, crowd, SteppedClock(str(stack.info["database_url"])), LEASE_S, ended)
    choice = random.Random(plan.seed)
    kinds = [fault for fault in FAULTS if (fault.victim, fault.kind) in VICTIMS]
    later = itertools.chain.from_iterable(choice.sample(kinds, len(kinds)) for _ in itertools.count())
    # Invitations are on their way only as long as the broker has not been stopped yet.
    rounds = itertools.chain((fault for fault in kinds if fault.victim == "child"), later)
    try:
        while report.struck.total() < plan.faults and not pause(choice, BETWEEN_S, ended):
            fault = next(rounds)
            if targets.strike(fault, choice, FAULT_WAIT_S):
                report.struck[f"{fault.victim} {fault.kind}"] += 1
                mail.at("dot", DelayedReply(MAIL_DELAY_S))
    finally:
        targets.resume_all()


def _is_used_up(stack: Stack, campaign_id: str, plan: RushPlan) -> bool:
    """Return whether every use counts, and none is kept for those who wait."""
    _, balance = stack.call("GET", f"/api/v1/campaigns/{campaign_id}", headers=stack.admin)
    return bool(balance.get("used_count") == plan.limit)


def _take_what_is_left(
    stack: Stack, crowd: Crowd, campaign_id: str, codes: list[str], plan: RushPlan, report: RushReport
) -> None:
    """Let new people and those who wait come until a code with a use left is refused: the campaign is used up."""
    choice = random.Random(plan.seed + 1)
    with KeyedClient(stack.base) as client:

        def is_used_up() -> bool:
            # Ten thousand and a multiple of all numbers above: the server accepts the invitations of these people.
            number = 10_000 + 100 * len(crowd.reservations)
            word = crowd.ask(client, choice.choice(codes), f"late{number}@{DOMAINS[0]}")
            if word == "CAMPAIGN_EXHAUSTED":
                if _is_used_up(stack, campaign_id, plan):
                    return True
                crowd.let_waiting_people_ask(client, choice)
            if word == "CAMPAIGN_HELD":
                _decide_cases(stack)
            return False

        if not retry(is_used_up, every_s=POLL_S):
            report.broken.append("the campaign was not used up within its bound")


def _decide_cases(stack: Stack) -> None:
    """Resolve each reservation with an unknown outcome as sent: with workers killed there are some."""
    query = "SELECT reservation_id::text FROM reservations WHERE case_id IS NOT NULL AND status = 'live'"
    with psycopg.connect(stack.info["database_url"], connect_timeout=5) as conn:
        rows = conn.execute(query).fetchall()
    for (reservation_id,) in rows:
        body = {"as": "sent", "note": "seen in the log of the mail server"}
        stack.call("POST", f"/api/v1/reservations/{reservation_id}/resolve", body, stack.admin)


def _come_to_rest(stack: Stack) -> None:
    stack.wait(lambda: stack.get("/readyz")[1].get("status") == "ready")
    stack.wait(lambda: not unsettled(str(stack.info["database_url"])))
