"""Erasure finds entries of the audit log about a person by an index: people wait for its pages and for the export."""

from collections.abc import Mapping, Sequence
from uuid import uuid4

import psycopg
import pytest

from projections.sql.privacy import PrivacySql
from tests.support.ledger.ledger_bench import LedgerBench

Params = Sequence[object] | Mapping[str, object]
PERSON = uuid4()


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        (PrivacySql.has_erased, (PERSON,)),
        (PrivacySql.audit_of_subjects, ([PERSON], 10)),
        (PrivacySql.texts_of_recipient, {"recipient_id": PERSON, "code_ids": [PERSON]}),
    ],
)
def test_audit_log_is_searched_by_subject(bench: LedgerBench, statement: str, parameters: Params) -> None:
    """A scan of a million entries took 0.1 to 0.4 s; scans are turned off, because these tables are small."""
    with psycopg.connect(bench.database_url) as conn:
        conn.execute("SET enable_seqscan = off")
        lines = conn.execute(f"EXPLAIN {statement}".encode(), parameters).fetchall()
    plan = "\n".join(line for (line,) in lines)

    assert "audit_subject_idx" in plan
    assert "Seq Scan on audit" not in plan
