"""Erasure finds entries of the audit log about a person by an index: people wait for its pages and for the export."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from projections.privacy.erasure import ErasedIdsFile
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


def test_file_of_erased_ids_belongs_to_the_owner_of_its_folder(tmp_path: Path) -> None:
    """Also if root erases a person: the API reads the file at each start, as another user."""
    folder = tmp_path / "lists"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, 12_345, 12_346)

    ErasedIdsFile(folder / "forgotten.jsonl").append(uuid4(), datetime.now(UTC))

    of_file, of_folder = (folder / "forgotten.jsonl").stat(), folder.stat()
    assert (of_file.st_uid, of_file.st_gid) == (of_folder.st_uid, of_folder.st_gid)
