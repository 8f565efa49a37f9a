-- The email to operators about crossed thresholds that a worker is sending: the position of its last event; null: none is
-- being sent. If the worker ends before it stores an outcome, the email may have been sent, and is not sent again.
-- depends: 0083_relays

ALTER TABLE threshold_digest ADD COLUMN sending_until bigint;
