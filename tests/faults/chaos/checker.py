"""What must hold after any run. Its rules share nothing with the code that it checks.

It reads acknowledgements, the public API's answers, the database's rows and the mail server's log, nothing else.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from tests.faults.chaos.observations import LogFact, Observations

Violations = Iterator[str]
MACHINES = {"worker", "sweep", "person", "channel", "operator"}
"""A person's redeem refunds overdue ones on its way; that is a machine's doing too. So is what a provider reports, or
a mail server by a command."""
RESERVED, COUNTED, REFUNDED = "reserved", "counted", "refunded"


def violations(seen: Observations) -> list[str]:
    rules = (_defects, _acknowledged, _one_answer_per_key, _settled, _balances, _turns, _doubts, _mails, _states)
    return [violation for rule in rules for violation in rule(seen)]


def _defects(seen: Observations) -> Violations:
    """Clients saw success, a refusal or an honest "unknown", never a fault of ours."""
    yield from (f"a client saw {defect}" for defect in seen.defects)


def _acknowledged(seen: Observations) -> Violations:
    """Invariant 5: what was acknowledged is there."""
    reserved = {fact.reservation_id for fact in seen.facts if fact.kind == "UseReserved"}
    for ack in seen.acks:
        if ack.reservation_id not in reserved:
            yield f"lost: {ack.reservation_id} was acknowledged and is not in the log"


def _one_answer_per_key(seen: Observations) -> Violations:
    """The same key always led to the same reservation, and no reservation to two intents."""
    by_intent: dict[str, set[str]] = defaultdict(set)
    by_id: dict[str, set[str]] = defaultdict(set)
    for ack in seen.acks:
        by_intent[ack.intent].add(ack.reservation_id)
        by_id[ack.reservation_id].add(ack.intent)
    yield from (
        f"{intent} got several reservations: {sorted(ids)}" for intent, ids in by_intent.items() if len(ids) > 1
    )
    yield from (
        f"{reservation_id} was given to several: {sorted(intents)}"
        for reservation_id, intents in by_id.items()
        if len(intents) > 1
    )


def _settled(seen: Observations) -> Violations:
    """Invariant 2: sent, refunded, or with an open case."""
    for row in seen.rows:
        if row.status == "live" and not row.has_case:
            yield f"stuck: {row.reservation_id} is neither settled nor has an open case"


def _balances(seen: Observations) -> Violations:
    """The sum and invariant 1, counted again from the log, against the rows; and the limit at every version."""
    rows = {balance.code_id: balance for balance in seen.balances}
    limits = {balance.code_id: balance.max_uses for balance in seen.balances}
    used: Counter[str] = Counter()
    reserved: Counter[str] = Counter()
    for fact in _in_order(seen.facts):
        code = fact.code_id
        if fact.kind == "UseReserved":
            reserved[code] += 1
        elif fact.kind == "InviteSent" and fact.data.get("delivery", 1) == 1:
            used[code] += 1
            reserved[code] -= 1
        elif fact.kind == "LateSuccessRecorded" and fact.data["effect"] == "retaken":
            used[code] += 1
        elif fact.kind == "UseRefunded":
            counter = used if fact.data["held"] == "used" else reserved
            counter[code] -= 1
        limit = limits.get(code)
        if limit is not None and used[code] + reserved[code] > limit:
            yield f"over the limit: code {code} at version {fact.version}"
        if used[code] < 0 or reserved[code] < 0:
            yield f"negative: code {code} at version {fact.version}"
    for code, row in rows.items():
        if (row.used, row.reserved) != (used[code], reserved[code]):
            yield f"code {code}: row says {row.used}+{row.reserved}, log says {used[code]}+{reserved[code]}"


def _turns(seen: Observations) -> Violations:
    """Invariant 4: counted once, refunded once after each time; and the rows say what the log says."""
    standing: dict[str, str] = {}
    for fact in _in_order(seen.facts):
        turn = _turn(fact)
        if turn is None:
            continue
        before, after, otherwise = turn
        reservation_id = fact.reservation_id
        if standing.get(reservation_id) != before:
            yield f"{otherwise}: {reservation_id} at version {fact.version}"
        standing[reservation_id] = after
    for row in seen.rows:
        expected = {RESERVED: "live", COUNTED: "sent", REFUNDED: "refunded"}[standing[row.reservation_id]]
        if row.status != expected:
            yield f"{row.reservation_id}: row says {row.status}, log says {expected}"


def _turn(fact: LogFact) -> tuple[str | None, str, str] | None:
    """What an event makes of a use: (what it must have been, what it is then, what it is called otherwise)."""
    if fact.kind == "UseReserved":
        return None, RESERVED, "reserved twice"
    if fact.kind == "InviteSent" and fact.data.get("delivery", 1) == 1:
        return RESERVED, COUNTED, "double count"
    if fact.kind == "LateSuccessRecorded" and fact.data["effect"] == "retaken":
        return REFUNDED, COUNTED, "double count by a retake"
    if fact.kind == "UseRefunded":
        return (COUNTED if fact.data["held"] == "used" else RESERVED), REFUNDED, "double refund"
    return None


def _doubts(seen: Observations) -> Violations:
    """Invariant 10: no machine gives an unknown back."""
    doubted: set[str] = set()
    for fact in _in_order(seen.facts):
        if fact.kind == "InviteOutcomeUnknown":
            doubted.add(fact.reservation_id)
        if fact.kind == "UseRefunded" and fact.reservation_id in doubted and fact.data["actor"] in MACHINES:
            yield f"a machine gave back a doubt: {fact.reservation_id} at version {fact.version}"


def _mails(seen: Observations) -> Violations:
    """Counted means mailed; mailed means counted, unknown or bounced; twice only after an unknown outcome; one id."""
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for fact in seen.facts:
        kinds[fact.reservation_id][fact.kind] += 1
    bounced = {fact.reservation_id for fact in seen.facts if fact.data.get("cause") == "bounced"}
    status = {row.reservation_id: row.status for row in seen.rows}
    ids: dict[str, Counter[str]] = defaultdict(Counter)
    for message_id in seen.message_ids:
        ids[message_id.strip("<>").partition(".")[0]][message_id] += 1
    for reservation_id, message_counts in ids.items():
        copies = sum(message_counts.values())
        if len(message_counts) > 1:
            yield f"several Message-IDs for {reservation_id}: {sorted(message_counts)}"
        if status.get(reservation_id) == "refunded" and reservation_id not in bounced:
            yield f"free use: {reservation_id} was mailed and is refunded"
        if copies > 1 and not kinds[reservation_id]["InviteOutcomeUnknown"]:
            yield f"mailed {copies} times without a doubt: {reservation_id}"
        if copies > kinds[reservation_id]["InviteAttempted"]:
            yield f"mailed {copies} times in {kinds[reservation_id]['InviteAttempted']} attempts: {reservation_id}"
    for reservation_id, counts in kinds.items():
        if counts["InviteSent"] and not ids[reservation_id]:
            yield f"counted and never mailed: {reservation_id}"


def _states(seen: Observations) -> Violations:
    """The public API tells what the database holds."""
    rows = {row.reservation_id: row for row in seen.rows}
    for reservation_id, state in seen.states.items():
        row = rows.get(reservation_id)
        expected = {"sent": "sent", "refunded": "refunded"}.get(state, "live")
        if row is None or row.status != expected:
            yield f"{reservation_id}: the API says {state!r}, the row {row.status if row else None!r}"


def _in_order(facts: Sequence[LogFact]) -> list[LogFact]:
    return sorted(facts, key=lambda fact: (fact.code_id, fact.version))
