"""Checkpoints outside the database: an older state is noticed when it starts, when it signs, and by `verify`."""

import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from projections.database.errors import OlderStateError, StorageUnavailableError
from projections.transfer.log_export import export_log
from projections.transfer.log_import import import_log
from projections.transparency_log.checkpoint_file import (
    read_checkpoint_file,
    read_last_published,
    sign_and_write,
    verify_checkpoint_file,
)
from projections.transparency_log.checkpoints import (
    Checkpoint,
    derive_public_keys,
    derive_signing_key,
    list_checkpoints,
)
from projections.transparency_log.tile_log import append_new_events
from projections.verification.merkle_check import ExternalEvidence
from projections.verification.run import run_verify
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.rebuilds import NoProgress
from tests.support.ledger.settings import settings_for
from tests.support.servers.databases import clone, database_of, drop
from workers.maintenance.log_follower import update_log


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints.jsonl"


@pytest.fixture
def backup(bench: LedgerBench, postgres_url: str, file: Path) -> Iterator[str]:
    """The database as it was when one checkpoint was published; two more follow."""
    name = f"test_{uuid4().hex}"
    published(bench, file, 0)
    clone(postgres_url, name)
    log = io.BytesIO()
    export_log(bench.database_url, log, NoProgress())
    log.seek(0)
    import_log(database_of(postgres_url, name), log, NoProgress())
    yield database_of(postgres_url, name)
    drop(postgres_url, name)


def published(bench: LedgerBench, file: Path, minutes: int) -> Checkpoint:
    """A redeem, and what beat does some minutes from now."""
    done(bench.redeem(bench.issue(), "li.wei@example.com"))
    return signed(bench.database_url, bench, file, minutes)


def signed(url: str, bench: LedgerBench, file: Path, minutes: int) -> Checkpoint:
    with psycopg.connect(url, autocommit=True) as conn:
        append_new_events(conn)
        now = bench.storage.recorder.clock.now() + timedelta(minutes=minutes)
        checkpoint = sign_and_write(conn, derive_signing_key(bench.storage.vault.rings["master"]), now, file)
    assert checkpoint is not None
    return checkpoint


def verified(url: str, bench: LedgerBench, file: Path) -> tuple[int, list[str]]:
    out = io.StringIO()
    outside = ExternalEvidence(derive_public_keys(bench.storage.vault.rings["master"]), file)
    code = run_verify(url, timedelta(hours=9), 10, outside, as_json=True, out=out, err=io.StringIO())
    return code, [finding["detail"] for finding in json.loads(out.getvalue())["findings"]]


def test_database_with_all_published_events_starts(bench: LedgerBench, file: Path) -> None:
    """No file named, none there yet, its newest line in the database: all well."""
    assert verify_checkpoint_file(bench.database_url, None) is None
    assert verify_checkpoint_file(bench.database_url, file) is None
    published(bench, file, 0)
    checkpoint = published(bench, file, 2)

    assert checkpoint._replace(position=0) == verify_checkpoint_file(bench.database_url, file)
    assert verified(bench.database_url, bench, file) == (0, [])


def test_older_state_is_noticed_everywhere(bench: LedgerBench, file: Path, backup: str) -> None:
    """At the start, and by `verify`, for each line that is not held."""
    for minutes in (2, 4):
        published(bench, file, minutes)

    with pytest.raises(OlderStateError, match="checkpoint 3 over 6 events, but the database has only 2 of them"):
        verify_checkpoint_file(backup, file)
    code, details = verified(backup, bench, file)
    assert (code, len(details)) == (1, 2)
    assert details[0].startswith(f"line 2 of {file}: it covers 4 events, but the Merkle log has 2: an older backup")


def test_older_state_that_went_on_is_noticed_too(
    bench: LedgerBench, file: Path, backup: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As many events as before, but others; the worker says so each time it should sign."""
    published(bench, file, 2)
    restored = type(bench.storage).open(settings_for(backup))
    with restored:
        done(LedgerBench(restored, backup).redeem(LedgerBench(restored, backup).issue(), "other@example.com"))
        update_log(restored, restored.recorder.clock.now() + timedelta(minutes=9), file)

    with pytest.raises(OlderStateError, match="the events of the database are different"):
        verify_checkpoint_file(backup, file)
    assert "signing a checkpoint failed" in caplog.text
    with psycopg.connect(backup) as conn:
        assert len(list_checkpoints(conn, 0, 100)) == 1


def test_line_that_a_crash_cut_is_skipped(bench: LedgerBench, file: Path) -> None:
    """The one before it counts, the next one gets a line of its own, and `verify` names it."""
    first = published(bench, file, 0)
    with file.open("a") as lines:
        lines.write('{"number": 2, "si')

    assert first._replace(position=0) == read_last_published(file)
    second = published(bench, file, 2)
    assert [1, None, second.number] == [
        checkpoint and checkpoint.number for _, checkpoint in read_checkpoint_file(file)
    ]
    assert (1, [f"line 2 of {file}: not a checkpoint"]) == verified(bench.database_url, bench, file)


def test_unreadable_or_unreachable_targets_are_reported(bench: LedgerBench, file: Path, tmp_path: Path) -> None:
    """A folder is no file; a database that is unavailable is not called old."""
    published(bench, file, 0)

    with pytest.raises(StorageUnavailableError, match="LEDGER_CHECKPOINT_FILE cannot be read"):
        verify_checkpoint_file(bench.database_url, tmp_path)
    with pytest.raises(StorageUnavailableError, match="cannot connect to PostgreSQL"):
        verify_checkpoint_file("postgresql://x@127.0.0.1:1/none", file)


def test_another_ledger_is_not_taken_for_this_one(bench: LedgerBench, file: Path) -> None:
    """A signature by another key is named by `verify`."""
    checkpoint = published(bench, file, 0)
    other: Any = json.loads(file.read_text())
    other["signature"] = "A" * 86 + "=="
    file.write_text(json.dumps(other) + "\n")

    assert checkpoint.is_signed
    assert (1, [f"line 1 of {file}: its signature is wrong"]) == verified(bench.database_url, bench, file)
