-- Support asks why a code did not work for somebody, by their address.
-- depends: 0007_decisions

CREATE INDEX refusals_person_idx ON refusals (recipient_digest, at);
