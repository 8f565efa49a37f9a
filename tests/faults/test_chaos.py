"""A small slice of `make chaos` with a fixed seed: real processes hurt under load, and every promise kept."""

import signal
from pathlib import Path

import pytest

from tests.faults.chaos.campaign_terms import COUNTINGS
from tests.faults.chaos.report_load import PLANS
from tests.faults.chaos.runner import ChaosPlan, run
from tests.faults.chaos.targets import FAULTS, FaultKind

SLICE = tuple(
    FaultKind(victim, kind, number)
    for victim, kind, number in (
        ("postgres", "killed", signal.SIGKILL),
        ("worker", "killed", signal.SIGKILL),
        ("child", "killed", signal.SIGKILL),
        ("api", "killed", signal.SIGKILL),
        ("valkey", "killed", signal.SIGKILL),
        ("beat", "stopped", signal.SIGSTOP),
    )
)

ACTIONS = {"added", "gave a code", "changed", "paused", "reminders", "resend", "bounce", "opted out"}
"""What staff and recipients of hand-outs do in the meantime."""

REPORTS = {(plan.is_of_code, plan.kind) for plan in PLANS}
"""What is reported in the meantime, of emails with codes and of invitations; processes that take it in are killed."""


@pytest.mark.night(of="chaos")
def test_every_guarantee_holds_while_processes_die(servers_folder: Path) -> None:
    """One of each kind that loses something of its own: nothing acknowledged is lost, counted or refunded twice."""
    plan = ChaosPlan(seed=3, faults=len(SLICE), ttl_s=20, recipients=20, kinds=SLICE, has_days=False)
    report = run(plan, servers_folder / "chaos")

    report_text = "\n".join(report.lines())
    assert report.broken == [], report_text
    assert sum(report.struck.values()) >= len(SLICE) - 1, report_text
    assert len(report.seen.acks) >= len(SLICE), report_text
    assert set(report.hand_outs.actions) == ACTIONS, report_text
    assert {email.number for email in report.hand_outs.emails} > {1}, report_text
    assert {len(email.ends) > 1 for email in report.hand_outs.emails} == {False, True}, report_text
    assert sum(fact.kind == "CampaignUseTaken" for fact in report.seen.facts) > 1, report_text
    assert min(report.counted[counting] for counting in COUNTINGS) > 1, report_text
    assert {(each.email.is_of_code, each.kind) for each in report.reports.acknowledged} == REPORTS, report_text
    assert set(report.reports.variants) >= {plan.lie for plan in PLANS if plan.lie}, report_text
    assert {"command -9", "command 0", "hook 200", "hook 401"} <= set(report.reports.answers), report_text


def test_seed_gives_the_same_faults_in_the_same_order() -> None:
    """Kinds and order are the seed's, every kind once per round."""
    plan = ChaosPlan(seed=5, faults=len(FAULTS) * 2)
    first, second = plan.sequence()[: len(FAULTS)], plan.sequence()[len(FAULTS) :]

    assert plan.sequence() == ChaosPlan(seed=5, faults=len(FAULTS) * 2).sequence()
    assert set(first) == set(second) == set(FAULTS)
    assert ChaosPlan(seed=6, faults=10).sequence() != plan.sequence()[:10]
