"""What must hold for reports about emails after any run. Its rules share nothing with the code that it checks."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

from tests.faults.chaos.hand_out_checker import HandOutHistory
from tests.faults.chaos.hand_out_observations import HandOutObservations
from tests.faults.chaos.observations import LogFact
from tests.faults.chaos.report_observations import EmailId, ReportObservations

Violations = Iterator[str]
REPORTED = {
    "InviteBounced": "bounced",
    "InviteDelayed": "delayed",
    "InviteComplained": "complained",
    "HandOutBounced": "bounced",
    "HandOutDelayed": "delayed",
    "HandOutComplained": "complained",
}
REPORTERS = {"channel", "operator"}
"""A provider, and the command that a mail server calls. Staff record bounces, too."""
FOLLOW_BOUNCE = {"UseRefunded", "CaseOpened", "CampaignUseReturned"}
SUPPRESSING = {"mailbox_unknown", "domain_unknown"}
REFUSED = "ADDRESS_UNDELIVERABLE"


class ReportHistory:
    """The log, the emails of hand-outs with their claims, and what was reported."""

    def __init__(self, seen: ReportObservations, hand_outs: HandOutObservations, facts: Sequence[LogFact]) -> None:
        self.seen = seen
        self.hand_outs = HandOutHistory(hand_outs, facts)
        self.facts = sorted(facts, key=lambda fact: (fact.code_id, fact.version))
        self.events: dict[tuple[EmailId, str], list[LogFact]] = defaultdict(list)
        for fact in self.facts:
            if (email := email_of(fact)) is not None:
                self.events[email, REPORTED[fact.kind]].append(fact)

    def suppressed(self) -> dict[str, float]:
        """Return when a report that suppresses an address was acknowledged; one that staff preceded does not."""
        since: dict[str, float] = {}
        for report in self.seen.acknowledged:
            events = self.events[report.email, report.kind]
            if report.kind == "complained" or any(event.data.get("reason") in SUPPRESSING for event in events):
                since[report.address] = min(report.at, since.get(report.address, report.at))
        return since


def find_broken_reports(
    seen: ReportObservations, hand_outs: HandOutObservations, facts: Sequence[LogFact]
) -> list[str]:
    history = ReportHistory(seen, hand_outs, facts)
    rules: Sequence[Callable[[ReportHistory], Violations]] = (
        _find_defects,
        _find_lost_and_repeated,
        _find_untrue,
        _find_uses_taken,
        _find_uncertain_refunds,
        _find_later_invitations,
        _find_later_emails_with_codes,
    )
    return [violation for rule in rules for violation in rule(history)]


def email_of(fact: LogFact) -> EmailId | None:
    """Return the email that an event of a report is about; None for other events, and for those about notices."""
    if fact.kind not in REPORTED:
        return None
    if fact.kind.startswith("HandOut"):
        return EmailId(is_of_code=True, subject_id=fact.code_id, number=fact.data["mail"])
    if fact.data.get("mail", "invite") != "invite":
        return None
    return EmailId(is_of_code=False, subject_id=fact.reservation_id, number=fact.data.get("delivery", 1))


def _find_defects(history: ReportHistory) -> Violations:
    yield from (f"a mail server saw {defect}" for defect in history.seen.defects)


def _find_lost_and_repeated(history: ReportHistory) -> Violations:
    """What was acknowledged has one event; staff may have recorded the same bounce before it, or after."""
    for report in history.seen.acknowledged:
        if not history.events[report.email, report.kind]:
            yield f"lost: {report.kind} of {report.email} was acknowledged and is not in the log"
    for (email, kind), events in history.events.items():
        if (count := sum(event.data["actor"] in REPORTERS for event in events)) > 1:
            yield f"{kind} of {email} is in the log {count} times"


def _find_untrue(history: ReportHistory) -> Violations:
    """Nothing comes from a report without a valid token and signature."""
    for (email, kind), events in history.events.items():
        if (email, kind) not in history.seen.begun and any(event.data["actor"] in REPORTERS for event in events):
            yield f"{kind} of {email} is in the log, and was never reported"


def _find_uses_taken(history: ReportHistory) -> Violations:
    """Of reservations, a report leads to a refund, also in a campaign, or a case, and to nothing else."""
    for fact in history.facts:
        is_reported = fact.reservation_id and fact.data["actor"] in REPORTERS
        if is_reported and fact.kind not in {*REPORTED, *FOLLOW_BOUNCE}:
            yield f"a report led to {fact.kind}: code {fact.code_id} at version {fact.version}"


def _find_uncertain_refunds(history: ReportHistory) -> Violations:
    """A bounce refunds a use only if the invitation that bounced was sent, and sent once, with a certain outcome."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for fact in history.facts:
        before = counts[fact.reservation_id]
        if fact.kind == "UseRefunded" and fact.data["cause"] == "bounced":
            is_certain = before["InviteAttempted"] == before["InviteSent"] == 1 and not before["InviteOutcomeUnknown"]
            if not is_certain or not before["InviteBounced"]:
                yield f"an uncertain bounce refunded {fact.reservation_id}: {dict(before)}"
        before[fact.kind] += 1


def _find_later_invitations(history: ReportHistory) -> Violations:
    """After a report that suppresses an address, redeem requests are refused, and only emails in flight arrive."""
    for redeem in history.seen.redeems:
        if redeem.answer != REFUSED:
            yield f"{redeem.address} was reported, redeemed again and was answered {redeem.answer}"
    since = history.suppressed()
    earlier: dict[str, set[str]] = defaultdict(set)
    for at, email, address in sorted(history.seen.emails):
        if email.is_of_code:
            continue
        if at <= since.get(address, at):
            earlier[address].add(email.subject_id)
        elif email.subject_id not in earlier[address]:
            yield f"{address} was sent {email} {at - since[address]:.1f} s after a report"


def _find_later_emails_with_codes(history: ReportHistory) -> Violations:
    """Each email with a code after such a report has a worker that took its row before that was acknowledged."""
    since = history.suppressed()
    for email in history.hand_outs.seen.emails:
        acknowledged_at = since.get(email.address, float("inf"))
        claims = history.hand_outs.claims_before(email)
        if email.at > acknowledged_at and not any(claim.at <= acknowledged_at for claim in claims):
            yield f"{email.address} was sent {email.message_id} {email.at - acknowledged_at:.1f} s after a report"
