-- Uses that were refunded after their invitation was accepted: few, and shown on the dashboard.
-- depends: 0019_rebinds_of_batches

CREATE INDEX reservations_kept_access_idx ON reservations (refunded_at)
    WHERE status = 'refunded' AND accepted_at IS NOT NULL;
