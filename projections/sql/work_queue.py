"""Statements of workers: what is due, what is done, what is pruned."""

from typing import LiteralString

from projections.sql import Statements


class WorkQueueSql(Statements, file="work_queue.sql"):
    """Each attribute is the text of the statement of that name."""

    claim_revocations: LiteralString
    finish_revocation: LiteralString
    prune_callbacks: LiteralString
    prune_callback_refusals: LiteralString
    take_due_access: LiteralString
    hold_access: LiteralString
    take_impossible_access: LiteralString
    bring_back_times: LiteralString
    impossible_times_of_the_log: LiteralString
    accept_times_of_the_log: LiteralString
    begin_removal: LiteralString
    give_back_access: LiteralString
    prune_access_marks: LiteralString
    prune_test_emails: LiteralString
    prune_issue_keys: LiteralString
    prune_limit_reports: LiteralString
    take_due: LiteralString
    forget_dispatches: LiteralString
    forget_all_dispatches: LiteralString
    prune_dispatches: LiteralString
    prune_idempotency_keys: LiteralString
    prune_refusals: LiteralString
    prune_unknown_code_requests: LiteralString
    lock_digest: LiteralString
    begin_digest: LiteralString
    crossings_after: LiteralString
    store_digest: LiteralString
    close_digest: LiteralString
    take_outbox: LiteralString
    near_ends: LiteralString
    campaigns_with_ends: LiteralString
    campaigns_that_wait: LiteralString
    take_waiting_offer: LiteralString
    close_waiting_offer: LiteralString
    close_outbox: LiteralString
    put_off_outbox: LiteralString
    oldest_due: LiteralString
    prune_deliveries: LiteralString
    prune_deliveries_of_removed: LiteralString
    prune_removed_endpoints: LiteralString
    hold_scheduler_lease: LiteralString
    claim_scheduled_runs: LiteralString
    is_work_due: LiteralString
    release_scheduler_lease: LiteralString
    begin_relay: LiteralString
    hold_relay: LiteralString
    find_relay: LiteralString
    advance_relay: LiteralString
    record_relay_failure: LiteralString
    release_relay: LiteralString
    list_relays: LiteralString
    delete_relay: LiteralString
