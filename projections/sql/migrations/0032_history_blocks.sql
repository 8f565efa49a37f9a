-- Blocks of long histories: what a page of a code is folded from, so that a new process reads few events. Disposable.
-- depends: 0031_saved_views

-- One row per thousand events of a code and shape of the fold; the last row also has the balance over the whole time.
CREATE TABLE history_blocks (
    code_id uuid NOT NULL,
    shape text NOT NULL,
    version bigint NOT NULL,
    block bytea NOT NULL,
    trace bytea,
    written_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (code_id, shape, version)
);
