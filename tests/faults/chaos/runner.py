"""Chaos on real processes: `python -m tests.faults.chaos [--seed S] [--faults N]`, or `make chaos`.

An embedded stack under load, its processes killed, stopped and restarted at random, its mail server in changing
moods, while staff change hand-outs that are being sent and the limits of a campaign, and servers report the results of
emails; then everything comes to rest and the checkers read what is left. The seed decides kinds and order of faults;
real processes decide the rest, so a failing seed fails again often, not always.
"""

import argparse
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.chaos.campaign_terms import CampaignTermsLoad, find_miscounted_uses, observe_count
from tests.faults.chaos.checker import violations
from tests.faults.chaos.faulty_mail_server import FaultyMailServer
from tests.faults.chaos.hand_out_checker import find_broken_hand_outs
from tests.faults.chaos.hand_out_load import HandOutLoad
from tests.faults.chaos.hand_out_observations import ClaimWatch, HandOutObservations, observe_hand_outs
from tests.faults.chaos.load import RedeemLoad
from tests.faults.chaos.observations import Observations
from tests.faults.chaos.observe import observe, unsettled
from tests.faults.chaos.report_checker import find_broken_reports
from tests.faults.chaos.report_load import ReportLoad, report_settings
from tests.faults.chaos.report_observations import ReportObservations
from tests.faults.chaos.short_lived_stack import open_short_lived_stack
from tests.faults.chaos.targets import FAULTS, FaultKind, FaultTargets
from tests.faults.rigs.address_sweep import RETENTION_DAYS, Swept, let_days_pass
from tests.faults.rigs.retries import pause
from tests.support.mail_providers import FakeSendGrid
from tests.support.servers.embedded_stack import Stack
from tests.support.servers.stepped_clock import SteppedClock
from tests.support.waiting import wait_for

LEASE_S = 5
IN_FLIGHT_S_MAX = 60.0
"""How long a fault waits for a victim with work in flight; then it is counted as idle, not as a fault."""
BETWEEN_S = (0.2, 1.5)


@dataclass(frozen=True, slots=True)
class ChaosPlan:
    """What to do.

    Attributes:
        faults: How many faults; every kind once per round, in random order.
        ttl_s: How long reservations may stay unsettled.
        per_second: Redeems that clients try to make.
        recipients: How many recipients the lists of hand-outs have.
        has_days: Whether days pass in the end, until the sweep has erased addresses, which takes a minute or more.
    """

    seed: int
    faults: int
    ttl_s: int = 45
    per_second: float = 12.0
    recipients: int = 100
    has_days: bool = True
    kinds: tuple[FaultKind, ...] = FAULTS

    def sequence(self) -> list[FaultKind]:
        """The faults, by the seed."""
        choice = random.Random(self.seed)
        kinds_in_order: list[FaultKind] = []
        while len(kinds_in_order) < self.faults:
            kinds_in_order += choice.sample(self.kinds, len(self.kinds))
        return kinds_in_order[: self.faults]


@dataclass(slots=True)
class ChaosReport:
    plan: ChaosPlan
    struck: Counter[str] = field(default_factory=Counter)
    idle: Counter[str] = field(default_factory=Counter)
    moods: Counter[str] = field(default_factory=Counter)
    seen: Observations = field(default_factory=Observations)
    hand_outs: HandOutObservations = field(default_factory=HandOutObservations)
    reports: ReportObservations = field(default_factory=ReportObservations)
    counted: Counter[str] = field(default_factory=Counter)
    swept: Swept = field(default_factory=Swept)
    refused: int = 0
    gave_up: int = 0
    rest_s: float = 0.0
    broken: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        counts = Counter(fact.kind for fact in self.seen.facts)
        duplicates = sum(copies - 1 for copies in Counter(self.seen.message_ids).values())
        cases = sum(row.has_case for row in self.seen.rows)
        yield f"seed {self.plan.seed}: {sum(self.struck.values())} faults on victims with work in flight"
        yield from (f"  {kind:<28}{count:>5}" for kind, count in sorted(self.struck.items()))
        if self.idle:
            yield f"  not counted, victim idle: {dict(self.idle)}"
        yield f"mail server: {sum(self.moods.values())} moods met"
        yield from (f"  {kind:<28}{count:>5}" for kind, count in sorted(self.moods.items()))
        yield (
            f"{len(self.seen.acks)} acknowledged, {self.refused} refused, {self.gave_up} without an answer; "
            f"{len(self.seen.rows)} reservations: {counts['InviteSent']} sent, {counts['UseRefunded']} refunded, "
            f"{cases} with an open case; {counts['InviteOutcomeUnknown']} unknown outcomes, "
            f"{counts['LateSuccessRecorded']} late successes"
        )
        yield f"{len(self.seen.message_ids)} emails, {duplicates} of them duplicates; settled after {self.rest_s:.0f} s"
        yield f"which uses a campaign counts was changed: {dict(self.counted)}"
        if self.plan.has_days:
            late = ", ".join(self.swept.late_answers)
            yield f"{self.swept.erased} of {self.swept.addresses} addresses erased after days; late requests: {late}"
        yield from self.hand_outs.lines()
        yield from self.reports.lines()
        yield f"{len(self.broken)} promises broken"
        yield from (f"  {violation}" for violation in self.broken[:20])


def run(plan: ChaosPlan, folder: Path, say: Callable[[str], None] = lambda _line: None) -> ChaosReport:
    report, provider = ChaosReport(plan), FakeSendGrid()
    settings = {**report_settings(provider), "LEDGER_UNACCEPTED_DAYS": str(RETENTION_DAYS)}
    with (
        FaultyMailServer(plan.seed) as mail,
        open_short_lived_stack(folder, mail.url, lease_s=LEASE_S, ttl_s=plan.ttl_s, settings=settings) as stack,
    ):
        terms = CampaignTermsLoad(stack, plan.seed)
        codes = [
            stack.issue(1_000_000, is_open=True),
            *(stack.issue(3, is_open=True) for _ in range(4)),
            stack.issue(1),
            *terms.codes,
        ]
        clock = SteppedClock(str(stack.info["database_url"]))
        watch = ClaimWatch(str(stack.info["database_url"]))
        load = RedeemLoad(stack.base, codes, plan.seed, plan.per_second)
        hand_outs = HandOutLoad(stack, mail, plan.seed, plan.recipients)
        reports = ReportLoad(stack, mail, provider, plan.seed, plan.recipients)
        victims = FaultTargets(stack, load, clock, LEASE_S)
        try:
            hand_outs.wait_for_email()
            mail.change_moods()
            _strike_all(plan, victims, report, say)
        finally:
            victims.resume_all()
            mail.clear_up()
            load.stop()
            terms.stop()
            hand_outs.stop()
            reports.stop()
        report.rest_s = _come_to_rest(stack)
        watch.finish(hand_outs.seen)
        reports.act_at_rest()
        hand_outs.act_at_rest()
        watch.finish(hand_outs.seen)
        report.reports = reports.finish()
        hand_outs.seen.clock_ahead = victims.clock_ahead
        hand_outs.seen.suppressed = reports.suppressed
        report.seen, report.hand_outs = observe(stack, load, mail), hand_outs.seen
        count = observe_count(terms, load.acks)
        observe_hand_outs(stack, watch, report.hand_outs, mail)
        report.counted, report.seen.defects = terms.changes, [*report.seen.defects, *terms.defects]
        if plan.has_days:
            handed_out = {email.code_id: email.code.split()[0] for email in report.hand_outs.emails}
            report.swept = let_days_pass(stack, clock, handed_out, codes[0])
        report.moods, report.refused, report.gave_up = mail.moods, load.refused, load.gave_up
    report.broken += violations(report.seen)
    report.broken += find_miscounted_uses(count, report.seen.facts)
    report.broken += find_broken_hand_outs(report.hand_outs, report.seen.facts)
    report.broken += report.swept.broken
    report.broken += find_broken_reports(report.reports, report.hand_outs, report.seen.facts)
    return report


def _strike_all(plan: ChaosPlan, victims: FaultTargets, report: ChaosReport, say: Callable[[str], None]) -> None:
    choice = random.Random(plan.seed + 1)
    for fault in plan.sequence():
        name = f"{fault.victim} {fault.kind}"
        struck = victims.strike(fault, choice, IN_FLIGHT_S_MAX)
        (report.struck if struck else report.idle)[name] += 1
        say(f"{name}{'' if struck else ' (idle)'}")
        pause(choice, BETWEEN_S)


def _come_to_rest(stack: Stack) -> float:
    """Wait until nothing waits; the seconds it took. The checker names what waits forever."""
    started = time.monotonic()
    stack.wait(lambda: stack.get("/readyz")[1].get("status") == "ready")
    url = str(stack.info["database_url"])
    with suppress(AssertionError):
        wait_for(lambda: unsettled(url) == 0)
    return time.monotonic() - started


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.chaos", description="Faults on real processes.")
    parser.add_argument("--seed", type=int, default=None, help="random if it is not given; printed in any case")
    parser.add_argument("--faults", type=int, default=100)
    arguments = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed
    started = time.monotonic()

    def say(line: str) -> None:
        sys.stdout.write(f"{time.monotonic() - started:7.1f} s  {line}\n")
        sys.stdout.flush()

    say(f"SEED={seed} FAULTS={arguments.faults}")
    with tempfile.TemporaryDirectory(prefix="ledger-chaos-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        report = run(ChaosPlan(seed, arguments.faults), Path(folder) / "stack", say)
    sys.stdout.write("\n".join(report.lines()) + "\n")
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
