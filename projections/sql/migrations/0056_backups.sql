-- The newest backup is shown by the health check and by the metrics.
-- depends: 0055_erasure

CREATE INDEX audit_backups_idx ON audit (at) WHERE act = 'made_backup';
