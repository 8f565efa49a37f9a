-- Snapshots: a code as it was after some version, so that a process that meets it first folds few events. Disposable.
-- depends: 0003_merkle_log

-- One row per code and shape of the fold: while two versions of the program run, each keeps its own.
CREATE TABLE code_snapshots (
    code_id uuid NOT NULL,
    shape text NOT NULL,
    version bigint NOT NULL,
    state bytea NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (code_id, shape)
) WITH (fillfactor = 50);
