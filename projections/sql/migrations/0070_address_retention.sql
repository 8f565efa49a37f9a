-- How far the search for email addresses that are past their retention has come.
-- depends: 0069_api_key_use

-- It walks recipients in the order of their ids, some of them a minute, and begins again at the end.
CREATE TABLE address_retention_progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    after_id uuid NOT NULL
);
INSERT INTO address_retention_progress (after_id) VALUES ('00000000-0000-0000-0000-000000000000');
