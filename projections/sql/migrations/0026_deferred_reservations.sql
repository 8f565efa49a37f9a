-- Whether a live reservation waits since its channel asked to come back later: such a wait is no delay of ours.
-- depends: 0019_rebinds_of_batches

ALTER TABLE reservations ADD COLUMN is_deferred boolean NOT NULL DEFAULT false;

UPDATE reservations r SET is_deferred = true
WHERE r.status = 'live' AND r.case_id IS NULL AND r.lease_until IS NULL AND (
    SELECT split_part(e.topic, ':', 1) FROM ledger_events e
    WHERE e.originator_id = r.code_id AND e.originator_version = ANY(r.versions)
        AND split_part(e.topic, ':', 1) IN ('InviteDeferred', 'InviteAttempted')
    ORDER BY e.originator_version DESC LIMIT 1
) = 'InviteDeferred';
