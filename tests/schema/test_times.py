"""Invariant 15: each time in the schema is in the list that says whether one in the future could stop something.

A new column must be added to one of them. What work waits for is brought back by `bring_back_times`, or is ignored by
the statement that reads it.
"""

import re
from pathlib import Path
from typing import Final

from projections.sql.work_queue import WorkQueueSql
from projections.work_queue.impossible_times import TABLES_WITH_TIMES

SCHEMA: Final = Path(__file__).with_name("approved_schema.sql")
STATEMENTS: Final = Path(__file__).parents[2] / "projections" / "sql"
BLOCKS: Final = re.MULTILINE | re.DOTALL
TABLE: Final = re.compile(r"CREATE (?:UNLOGGED )?TABLE public\.(\w+) \(\n(.*?)\n\)", re.DOTALL)
COLUMN: Final = re.compile(r"^    (\w+) timestamp with time zone", re.MULTILINE)

BROUGHT_BACK: Final = {
    *("access_marks.next_at", "batches.lease_until", "dispatches.next_at", "hand_out_pace.next_at", "limit_reports.at"),
    *("hand_out_pace.claimed_at", "hand_out_recipients.due_at", "outbox.due_at", "revocations.next_at"),
    *("scheduled_runs.claimed_at", "scheduler_lease.expires_at", "scheduler_lease.taken_at", "threshold_digest.due_at"),
    *("webhook_deliveries.due_at", "webhook_endpoints.lease_until", "webhook_endpoints.resting_until"),
    "webhook_endpoints.worked_at",
    "waiting_places.due_at",
}
"""Work waits for it. A sweep brings it back, if it is impossible."""
DECIDED_BY_THE_AGGREGATE: Final = {
    *("reservations.access_due_at", "reservations.deadline", "reservations.due_at", "reservations.lease_until"),
}
"""Work waits for it, and it follows from events. `take_due` and `take_impossible_access` find it."""
IGNORED_IN_THE_FUTURE: Final = {
    "relays.leased_until": "another process takes a lease over that is longer than leases are",
    "checkpoints.at": "a last checkpoint in the future delays no signature",
    "dispatches.due_at": "a mark is for one due time, whatever it is",
    "hand_out_recipients.leased_until": "an erasure waits for no lease that is longer than leases are",
    "outbox.leased_until": "an erasure waits for no lease that is longer than leases are",
    "test_emails.leased_until": "an erasure waits for no lease that is longer than leases are",
    "hand_out_recipients.attempted_at": "tells that a due time was stored while the clock was ahead",
    "waiting_places.leased_until": "an erasure waits for no lease that is longer than leases are",
    "outbox.attempted_at": "tells that a due time was stored while the clock was ahead",
    "outbox.closed_at": "a notice of the future does not count as one of the last hour",
    "refusals.at": "a rejected request of another day does not fill this day",
    "staff_sessions.proved_at": "a proof from the future is as good as one from the past of the same age",
    "webhook_deliveries.last_at": "tells that a due time was stored while the clock was ahead",
    "webhook_deliveries.made_at": "tells that a due time was stored while the clock was ahead",
}
CHOSEN: Final = {
    *("batches.expires_at", "batches.starts_at", "campaigns.ends_at", "campaigns.starts_at"),
    *("code_balances.expires_at", "code_balances.starts_at", "hand_outs.starts_at"),
    "code_balances.next_report_at",  # so many days before the end that staff chose
}
"""Staff chose it, for any future."""
KEPT_UNTIL: Final = {
    *("api_keys.expires_at", "idempotency_keys.expires_at", "issue_keys.expires_at", "staff_sessions.expires_at"),
    *("webhook_secrets.ends_at", "callbacks.signed_at", "callback_refusals.minute", "unknown_code_tries.minute"),
    *("history_blocks.written_at", "code_snapshots.written_at", "webhook_deliveries.ended_at"),
    *("approvals.expires_at", "staff_links.expires_at", "staff_spent_states.expires_at", "suppressed_addresses.until"),
}
"""A row that was stored while the clock was ahead is valid, or kept, for that much longer. Nothing waits for it."""
HAPPENED: Final = {
    *("api_key_uses.refused_at", "api_key_uses.used_at"),
    *("api_keys.created_at", "api_keys.revoked_at", "audit.at", "batches.ended_at", "batches.requested_at"),
    *(
        "callback_refusals.last_at",
        "campaigns.created_at",
        "campaigns.counts_from",
        "campaigns.last_at",
        "cases.closed_at",
        "cases.opened_at",
    ),
    *("code_balances.issued_at", "code_balances.last_at", "drifting_codes.found_at", "hand_out_uploads.ended_at"),
    *("hand_out_uploads.started_at", "hand_outs.changed_at", "hand_outs.created_at", "handed_out_codes.changed_at"),
    *("handed_out_codes.handed_out_at", "invite_groups.changed_at", "key_checks.exported_at", "opt_outs.at"),
    *("approvals.decided_at", "approvals.proposed_at", "suppressed_addresses.since"),
    *("list_reports.reported_at", "outbox.written_at", "reservations.accepted_at", "reservations.refunded_at"),
    *(
        "reservations.reserved_at",
        "reservations.sent_at",
        "saved_views.saved_at",
        "waiting_places.joined_at",
        "waiting_places.offered_at",
        "staff.created_at",
        "staff.removed_at",
    ),
    *(
        "staff_factors.created_at",
        "staff_factors.last_used_at",
        "staff_identities.connected_at",
        "staff_recovery_codes.created_at",
        "staff_recovery_codes.used_at",
        "staff_sessions.created_at",
        "staff_links.created_at",
        "staff_links.ended_at",
        "staff_sessions.created_at",
        "staff_sessions.last_used_at",
        "relays.relayed_at",
        "verifications.at",
        "webhook_deliveries.first_at",
        "webhook_endpoints.changed_at",
    ),
    *("webhook_endpoints.created_at", "webhook_endpoints.succeeded_at", "webhook_secrets.created_at"),
}
"""It is shown and sorted by. No work waits for it."""

ANSWERS_PAGES: Final = {
    *("busiest_codes", "count_refusals", "deadline_of_pending_at", "ids_with_part", "middle_waits", "newest_refusals"),
    *("newest_audit_entries", "newest_sent", "suppressions_at"),
    *(
        "parked_unknowns",
        "recent_code_texts",
        "recent_recipients",
        "redemptions_over_time",
        "refunds_by_cause",
    ),
    *("refusals_by_reason", "refusals_of_code", "refusals_of_person", "refused_over_time", "reservations_pending_at"),
    *("sent_unaccepted", "sent_until", "use_of_waiting_place", "waits"),
}
"""It counts or lists what happened between the two times of a request."""
DELETES_OR_KEEPS: Final = {
    *(
        "audit_of_staff_since",
        "end_sessions_of_provider",
        "delete_outdated_blocks",
        "delete_outdated_snapshots",
        "prune_deliveries",
    ),
    *("expire_approvals", "prune_approvals", "prune_limit_reports", "prune_refusals", "redeliver_failed"),
}
"""A row of the future is kept, or counts as recent, for that much longer. Nothing waits for it."""
KNOWS_THE_FUTURE: Final = {
    *("bring_back_times", "exchange_limit_reports", "impossible_times_of_the_log", "insert_rejected_attempts"),
    *("record_key_refusal", "record_key_use"),
    *(
        "backup_state",
        "due_reminders",
        "ending_keys",
        "ledger_gauges",
        "recent_requests",
        "take_due",
        "take_impossible_access",
        "take_outbox",
    ),
}
"""It finds what is from the future, or leaves it out by an upper bound."""
COMPARES_EVENTS: Final = {
    *("earliest_deadlines_of_campaigns", "existing_uses", "most_uses_of_a_person", "uses_of_person", "uses_of_persons"),
    *("uses_of_mailboxes", "wrong_campaigns"),
}
"""It compares when a use was reserved with when limits began to count it. Both are times of events, in their order."""


def find_comparisons() -> set[str]:
    """Return the statements that compare a time that happened, by the name of its column in any table."""
    columns = "|".join(sorted({name.partition(".")[2] for name in HAPPENED}))
    column, order = rf"(?:\w+\.)?\b(?:{columns})\b", r"(?:<=|>=|<|>|(?:NOT )?BETWEEN)"
    compared = re.compile(rf"{column}(?: AT TIME ZONE \S+)?\)*(?:::date)?\s*{order}|(?:\)|%s|\)s)\s*{order}\s*{column}")
    statements = set()
    for path in STATEMENTS.glob("*.sql"):
        for name, statement in re.findall(
            r"^-- name: (\w+)(?:, \w+)?\n(.*?)(?=^-- name:|\Z)", path.read_text("utf-8"), BLOCKS
        ):
            if compared.search(re.sub(r"^\s*--.*", "", statement, flags=re.MULTILINE)):
                statements.add(name)
    return statements


def read_columns() -> set[str]:
    tables = TABLE.findall(SCHEMA.read_text("utf-8"))
    return {f"{table}.{column}" for table, body in tables for column in COLUMN.findall(body)}


def test_every_time_of_the_schema_is_in_one_list() -> None:
    lists = [BROUGHT_BACK, DECIDED_BY_THE_AGGREGATE, {*IGNORED_IN_THE_FUTURE}, CHOSEN, KEPT_UNTIL, HAPPENED]
    listed = [name for names in lists for name in names]

    assert len(listed) == len(set(listed))
    assert sorted(read_columns() ^ set(listed)) == [], "add it to a list of tests/schema/test_times.py, or remove it"


def test_every_comparison_of_a_time_that_happened_is_in_one_list() -> None:
    """Of columns that no work waits for: a statement that makes work wait for one moves the column to another list."""
    lists = [ANSWERS_PAGES, DELETES_OR_KEEPS, KNOWS_THE_FUTURE, COMPARES_EVENTS]
    listed = [name for names in lists for name in names]

    assert len(listed) == len(set(listed))
    assert sorted(find_comparisons() ^ set(listed)) == [], "say in a list of tests/schema/test_times.py what it does"


def test_every_table_with_waiting_work_is_brought_back() -> None:
    """The statement names each column, and doctor and metric name each table."""
    for name in BROUGHT_BACK:
        table, column = name.split(".")
        change = re.search(rf"(UPDATE|DELETE FROM) {table} .*?RETURNING 1", WorkQueueSql.bring_back_times, re.DOTALL)
        assert change is not None, name
        assert column in change[0], name
    assert {name.partition(".")[0] for name in BROUGHT_BACK | DECIDED_BY_THE_AGGREGATE} <= {*TABLES_WITH_TIMES}
