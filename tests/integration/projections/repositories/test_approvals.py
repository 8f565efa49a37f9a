"""Proposals in the database: bounded in number and time, and encrypted under the current key."""

from datetime import timedelta
from uuid import uuid4

import pytest

from projections.privacy.key_rotation import KeyRotation
from projections.repositories import approvals
from projections.repositories.approvals import (
    RETENTION,
    ApprovalRepository,
    NewProposal,
    PrivatePart,
    Proposer,
    compute_fingerprint,
    expire_due,
)
from projections.storage.bootstrap import LedgerStore
from projections.verification.vault_check import check_vault
from projections.work_queue.retention import prune
from tests.integration.projections.privacy.test_key_rotation import ringed
from tests.support.ledger.ledger_bench import LedgerBench

PRIVATE = PrivatePart("asked by phone", "Li.Wei@example.com")


def propose(storage: LedgerStore, asked: str = "{}") -> NewProposal:
    now = storage.recorder.clock.now()
    new = NewProposal(
        approval_id=uuid4(),
        kind="erase_person",
        subject_id=uuid4(),
        asked=asked,
        fingerprint=compute_fingerprint(asked, b""),
        private=PRIVATE,
        proposer=Proposer("operator", "uid:0", None),
        expires_at=now + timedelta(hours=1),
    )
    ApprovalRepository(storage).insert(new, now)
    return new


def test_same_request_is_one_open_proposal(bench: LedgerBench) -> None:
    """Once it is closed, another one can be made."""
    repository, now = ApprovalRepository(bench.storage), bench.storage.recorder.clock.now()
    first, second = propose(bench.storage), propose(bench.storage)
    stored = repository.find_open(first.fingerprint)
    repository.close(first.approval_id, "rejected", None, now)
    third = propose(bench.storage)

    assert stored is not None
    assert (stored.approval_id, stored.private) == (first.approval_id, PRIVATE)
    assert repository.find(second.approval_id) is None
    assert repository.find(third.approval_id) is not None


def test_open_proposals_are_bounded(bench: LedgerBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is not stored."""
    monkeypatch.setattr(approvals, "OPEN_MAX", 2)

    ids = [propose(bench.storage, f"{number}").approval_id for number in range(3)]

    repository = ApprovalRepository(bench.storage)
    assert [repository.find(each) is not None for each in ids] == [True, True, False]


def test_expired_proposals_are_recorded_and_deleted_by_age(bench: LedgerBench) -> None:
    """The private part goes at once, the row later."""
    new, now = propose(bench.storage), bench.storage.recorder.clock.now()
    early = expire_due(bench.storage, now + timedelta(minutes=59), uuid4)
    expired = expire_due(bench.storage, now + timedelta(hours=2), uuid4)
    closed = ApprovalRepository(bench.storage).find(new.approval_id)
    young = prune(bench.storage, now + RETENTION, 90)["approval"]
    deleted = prune(bench.storage, now + RETENTION + timedelta(hours=3), 90)["approval"]

    assert (early, expired, young, deleted) == (0, 1, 0, 1)
    assert closed is not None
    assert (closed.state, closed.private) == ("expired", None)
    assert bench.rows("SELECT act, subject_id, staff_id FROM audit") == [("let_expire", new.subject_id, None)]


def test_approved_action_in_progress_does_not_expire(bench: LedgerBench) -> None:
    """Within an hour of the approval; after that it was interrupted for good."""
    new, now = propose(bench.storage), bench.storage.recorder.clock.now()
    ApprovalRepository(bench.storage).approve(new.approval_id, uuid4(), now + timedelta(minutes=59))

    assert expire_due(bench.storage, now + timedelta(minutes=90), uuid4) == 0
    assert expire_due(bench.storage, now + timedelta(hours=3), uuid4) == 1


def test_private_part_follows_the_rotation_of_keys(bench: LedgerBench) -> None:
    """It is encrypted again under the new key, and verified as other rows of the vault."""
    new = propose(bench.storage)
    with LedgerStore.open(ringed(bench.database_url)) as rotated:
        remaining = KeyRotation(rotated).count_remaining()
        list(KeyRotation(rotated).run())
        stored = ApprovalRepository(rotated).find(new.approval_id)
        with rotated.datastore.get_connection() as conn:
            broken = list(check_vault(conn, rotated.vault))

        assert (remaining, KeyRotation(rotated).count_remaining()) == (1, 0)
    assert stored is not None
    assert (stored.private, broken) == (PRIVATE, [])


def test_private_part_of_another_proposal_is_found_by_verify(bench: LedgerBench) -> None:
    """A text is bound to the id of its row."""
    propose(bench.storage, "1")
    propose(bench.storage, "2")
    bench.rows(
        "UPDATE approvals a SET sealed = b.sealed FROM approvals b WHERE a.approval_id <> b.approval_id"
        " RETURNING a.approval_id"
    )

    with bench.storage.datastore.get_connection() as conn:
        broken = list(check_vault(conn, bench.storage.vault))

    assert [finding.type for finding in broken] == ["approvals"] * 2
