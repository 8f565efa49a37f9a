"""What must hold for hand-outs after any run. Its rules share nothing with the code that it checks."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from tests.faults.chaos.hand_out_observations import CodeEmail, HandOutObservations, RowClaim, count_codes
from tests.faults.chaos.observations import LogFact

Violations = Iterator[str]
SENDING_S_MAX = 30.0
"""An email arrives at most so long after its worker took the row: the time limit of tasks, with a stopped parent."""
APART_S_MIN = 50.0
"""An email without a known outcome is not repeated earlier: the first retry comes after 60 s, a lease lasts 90 s."""
STALE_S_MAX = 10.0
"""A process may believe for so long that the clock is still ahead: it asks for the time every 10 s."""
REQUESTED = {"HandOutResendRequested", "HandOutReminded"}
OUTCOMES = {"HandOutSent", "HandOutFailed", "HandOutUnknown", "HandOutSkipped"}


class HandOutHistory:
    """The log, the claims and the emails of all codes that were handed out, each by its code."""

    def __init__(self, seen: HandOutObservations, facts: Sequence[LogFact]) -> None:
        self.seen = seen
        self.facts: dict[str, list[LogFact]] = defaultdict(list)
        self.issued: dict[str, LogFact] = {}
        self.claims: dict[str, list[RowClaim]] = defaultdict(list)
        self.emails: dict[str, list[CodeEmail]] = defaultdict(list)
        for fact in sorted(facts, key=lambda each: each.version):
            if fact.kind == "CodeIssued":
                self.issued[fact.code_id] = fact
            if fact.kind == "CodeHandedOut" or (fact.kind.startswith("HandOut") and "mail" in fact.data):
                self.facts[fact.code_id].append(fact)
        for claim in seen.claims:
            self.claims[claim.code_id].append(claim)
        for email in seen.emails:
            self.emails[email.code_id].append(email)

    def hand_out_of(self, code_id: str) -> str:
        """Return the hand-out of a code; empty if no event hands it out."""
        return next((str(fact.data["hand_out_id"]) for fact in self.facts[code_id] if "hand_out_id" in fact.data), "")

    def line_of(self, code_id: str) -> str:
        line_ids = (fact.data["line_id"] for fact in self.facts[code_id] if fact.data.get("line_id"))
        return str(next(line_ids, code_id))

    def is_new(self, code_id: str) -> bool:
        """Return whether a code was issued for its recipient, in the commit that hands it out."""
        handed_out = next((fact for fact in self.facts[code_id] if fact.kind == "CodeHandedOut"), None)
        issued = self.issued.get(code_id)
        return handed_out is not None and issued is not None and issued.data["at"] == handed_out.data["at"]

    def outcome_of(self, code_id: str, number: int) -> LogFact | None:
        """Return the event with the outcome of an email; None if there is none."""
        matching = (f for f in self.facts[code_id] if f.kind in OUTCOMES and f.data["mail"] == number)
        return next(matching, None)

    def reminder_of(self, code_id: str) -> int | None:
        """Return the number of the reminder of a code; None if there is none."""
        return next((int(f.data["mail"]) for f in self.facts[code_id] if f.kind == "HandOutReminded"), None)

    def claims_before(self, email: CodeEmail) -> list[RowClaim]:
        """Return the claims whose worker may have sent an email."""
        return [c for c in self.claims[email.code_id] if email.at - SENDING_S_MAX <= c.at <= email.at]


def find_broken_hand_outs(seen: HandOutObservations, facts: Sequence[LogFact]) -> list[str]:
    history = HandOutHistory(seen, facts)
    rules: Sequence[Callable[[HandOutHistory], Violations]] = (
        _find_defects,
        _find_second_lines,
        _find_wrong_lines,
        _find_wrong_ends,
        _find_changed_links,
        _find_repeated_emails,
        _find_emails_after_opt_out,
        _find_claims_in_pauses,
        _find_outdated_subjects,
        _find_untrue_outcomes,
        _find_untrue_states,
    )
    return [violation for rule in rules for violation in rule(history)]


def _find_defects(history: HandOutHistory) -> Violations:
    yield from (f"staff saw {defect}" for defect in history.seen.defects)


def _find_second_lines(history: HandOutHistory) -> Violations:
    """A recipient has the codes of one line of a hand-out, and a code one recipient."""
    lines: dict[tuple[str, str], set[str]] = defaultdict(set)
    for code_id, facts in history.facts.items():
        places = [fact for fact in facts if fact.kind == "CodeHandedOut"]
        if len(places) != 1:
            yield f"code {code_id} was handed out {len(places)} times"
        for fact in places:
            place = str(fact.data["hand_out_id"]), str(fact.data["recipient_id"])
            lines[place].add(history.line_of(code_id))
    for (hand_out_id, recipient_id), ids in lines.items():
        if len(ids) > 1:
            yield f"recipient {recipient_id} of {hand_out_id} has several lines: {sorted(ids)}"


def _find_wrong_lines(history: HandOutHistory) -> Violations:
    """A line has as many codes as its list says, in the log and in each of its emails; one that existed is alone."""
    lines: dict[str, set[str]] = defaultdict(set)
    for code_id in list(history.facts):
        lines[history.line_of(code_id)].add(code_id)
    for recipient in history.seen.recipients:
        expected = count_codes(recipient.address) if history.is_new(recipient.code_id) else 1
        code_ids = lines.get(recipient.code_id)
        if code_ids and len(code_ids) != expected:
            yield f"{recipient.address} of {recipient.hand_out_id} has {len(code_ids)} codes, the list says {expected}"
        for email in history.emails.get(recipient.code_id, ()):
            if len(email.code.split()) != expected:
                yield f"{email.message_id} has {len(email.code.split())} codes, the list says {expected}"


def _find_wrong_ends(history: HandOutHistory) -> Violations:
    """A new code ends as many days after it is handed out as its hand-out says, and the file of a line says so."""
    ends: dict[str, list[str]] = defaultdict(list)
    for code_id in [code_id for code_id in history.facts if history.is_new(code_id)]:
        issued = history.issued[code_id].data
        days = history.seen.valid_days.get(history.hand_out_of(code_id))
        expected = None if days is None else datetime.fromisoformat(str(issued["at"])) + timedelta(days=days)
        stated = None if (end := issued.get("expires_at")) is None else datetime.fromisoformat(str(end))
        if stated != expected:
            yield f"code {code_id} ends at {stated}, its hand-out says {expected}"
        if expected is not None:
            ends[history.line_of(code_id)].append(f"{expected.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    for email in history.seen.emails:
        if email.ends and email.code_id in ends and sorted(email.ends) != sorted(ends[email.code_id]):
            yield f"{email.message_id} says that its codes end at {email.ends}, and they do at {ends[email.code_id]}"


def _find_changed_links(history: HandOutHistory) -> Violations:
    """All emails of a hand-out to an address have the same code and the same links."""
    contents: dict[tuple[str, str], set[tuple[str, ...]]] = defaultdict(set)
    for code_id, emails in history.emails.items():
        for email in emails:
            content = (code_id, email.code, email.link, email.opt_out_link)
            contents[history.hand_out_of(code_id), email.address].add(content)
    for (hand_out_id, address), different in contents.items():
        if not hand_out_id:
            yield f"{address} was sent a code that no event hands out"
        if len(different) > 1:
            yield f"{address} was sent different codes or links of {hand_out_id}: {sorted(different)}"


def _find_repeated_emails(history: HandOutHistory) -> Violations:
    """An email has one Message-ID, and a second copy only while its outcome is unknown and no other worker sends it."""
    for code_id, emails in history.emails.items():
        requested = 1 + sum(fact.kind in REQUESTED for fact in history.facts[code_id])
        ids: dict[int, set[str]] = defaultdict(set)
        copies: dict[int, list[CodeEmail]] = defaultdict(list)
        for email in emails:
            ids[email.number].add(email.message_id)
            copies[email.number].append(email)
        if len(emails) > len(history.claims[code_id]):
            yield f"code {code_id} was sent {len(emails)} times in {len(history.claims[code_id])} claims"
        if max(ids) > requested:
            yield f"email {max(ids)} of code {code_id} was sent, {requested} were requested"
        yield from (
            f"email {n} of code {code_id} has several Message-IDs" for n, matching in ids.items() if len(matching) > 1
        )
        for number, sent in copies.items():
            yield from _find_early_copies(history, number, sent)


def _find_early_copies(history: HandOutHistory, number: int, sent: Sequence[CodeEmail]) -> Violations:
    """Ended leases and a clock ahead stand for time that passed; what was stored in the meantime is due after it."""
    for first, second in pairwise(sent):
        claims = history.claims_before(second)
        is_asked = any(claim.is_asked for claim in claims)
        is_ended = any(first.at <= at <= second.at for at in history.seen.leases_ended)
        is_ended |= any(begin <= second.at and first.at <= end + STALE_S_MAX for begin, end in history.seen.clock_ahead)
        if not is_asked and not is_ended and not any(claim.at >= first.at + APART_S_MIN for claim in claims):
            yield f"email {number} of code {second.code_id} was repeated after {second.at - first.at:.1f} s"
    for email in sent:
        outcome = history.outcome_of(email.code_id, number)
        claims = history.claims_before(email)
        if outcome and claims and all(claim.at > _time_of(outcome) + SENDING_S_MAX for claim in claims):
            yield f"email {number} of code {email.code_id} was sent again after {outcome.kind}"


def _find_emails_after_opt_out(history: HandOutHistory) -> Violations:
    """Each email to a recipient who opted out has a worker that took its row before that was acknowledged."""
    for email in history.seen.emails:
        _, acknowledged_at = history.seen.opt_outs.get(email.address, (0.0, float("inf")))
        claims = history.claims_before(email)
        if email.at > acknowledged_at and not any(claim.at <= acknowledged_at for claim in claims):
            yield f"{email.address} was sent {email.message_id} {email.at - acknowledged_at:.1f} s after opting out"


def _find_claims_in_pauses(history: HandOutHistory) -> Violations:
    """In a pause, workers take only rows that staff asked for."""
    for pause in history.seen.pauses:
        for claim in history.seen.claims:
            is_within = pause.acknowledged_at < claim.at < pause.resumed_at
            if is_within and claim.hand_out_id == pause.hand_out_id and not claim.is_asked:
                yield f"code {claim.code_id} was claimed {claim.at - pause.acknowledged_at:.1f} s after a pause"


def _find_outdated_subjects(history: HandOutHistory) -> Violations:
    """The subject of an email is one that the hand-out had between the claim of its row and its arrival."""
    own_subjects = {each.subject for each in history.seen.subjects}
    for email in history.seen.emails:
        if email.number == history.reminder_of(email.code_id):
            continue
        subject = email.subject if email.subject in own_subjects else None
        periods = [
            each
            for each in history.seen.subjects
            if (each.hand_out_id, each.subject) == (history.hand_out_of(email.code_id), subject)
        ]
        claims = history.claims_before(email)
        is_current = any(p.begins_at <= email.at and claim.at <= p.ends_at for p in periods for claim in claims)
        if not is_current:
            yield f"{email.message_id} has the outdated subject {email.subject!r}"


def _find_untrue_outcomes(history: HandOutHistory) -> Violations:
    """What the log says of an email is true: sent ones arrived, failed ones did not."""
    for code_id, facts in history.facts.items():
        arrived = {email.number for email in history.emails[code_id]}
        for fact in facts:
            if fact.kind == "HandOutSent" and fact.data["mail"] not in arrived:
                yield f"email {fact.data['mail']} of code {code_id} was recorded as sent and never arrived"
            if fact.kind == "HandOutFailed" and fact.data["mail"] in arrived:
                yield f"email {fact.data['mail']} of code {code_id} arrived and was recorded as failed: {fact.data}"


def _find_untrue_states(history: HandOutHistory) -> Violations:
    """Every recipient who was added is in the list, in a state that is final and true."""
    for recipient in history.seen.recipients:
        code_id, place = recipient.code_id, f"{recipient.address} of {recipient.hand_out_id}"
        arrived = {email.number for email in history.emails[code_id] if email.address == recipient.address}
        reminder = history.reminder_of(code_id)
        match recipient.state:
            case "sent":
                is_true = bool(arrived)
            case "reminded":
                is_true = reminder is not None and len(arrived) > 1 and max(arrived) >= reminder
            case "bounced":
                is_true = any(fact.kind == "HandOutBounced" for fact in history.facts[code_id])
            case "refused":
                is_true = any(fact.kind == "HandOutFailed" for fact in history.facts[code_id])
            case "unknown":
                is_true = any(fact.kind == "HandOutUnknown" for fact in history.facts[code_id])
            case "opted_out":
                is_true = recipient.address in {*history.seen.opt_outs, *history.seen.suppressed}
            case "suppressed":
                is_true = recipient.address in history.seen.suppressed
            case _:
                is_true = False
        if not is_true:
            kinds = [fact.kind for fact in history.facts[code_id]]
            yield f"{place} is {recipient.state!r}; emails {sorted(arrived)} arrived, the log says {kinds}"


def _time_of(fact: LogFact) -> float:
    return datetime.fromisoformat(str(fact.data.get("recorded_at") or fact.data["at"])).timestamp()
