-- Filters of the history that a member of staff saved under a name. They name no code and no person.
-- depends: 0030_smaller_indexes

CREATE TABLE saved_views (
    staff_id uuid NOT NULL,
    name text NOT NULL,
    query text NOT NULL,
    saved_at timestamptz NOT NULL,
    PRIMARY KEY (staff_id, name)
);
