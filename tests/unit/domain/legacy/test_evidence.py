"""What the old system's records prove, and what its counter only claims."""

from datetime import UTC, datetime
from typing import Any

import pytest

from domain.commands.code.import_code import Opening
from domain.legacy.evidence import assess
from domain.legacy.records import LegacyCode, LegacyInvite

CREATED = datetime(2026, 1, 5, 10, tzinfo=UTC)


def code(used: int, limit: int | None = 5, **more: Any) -> LegacyCode:
    """A code of the old system."""
    return LegacyCode(old_id=1, text="ABC123", used_count=used, max_uses=limit, created_at=CREATED, **more)


def record(status: str = "success", email: str = "li.wei@example.com", **more: Any) -> LegacyInvite:
    """An invite record."""
    return LegacyInvite(old_id=7, email=email, status=status, created_at=CREATED, **more)


@pytest.mark.parametrize(
    ("used", "records", "judgement", "becomes"),
    [
        (0, [], "agrees", 0),
        (1, [record()], "agrees", 1),
        (1, [], "too_high", 0),
        (1, [record("failed")], "too_high", 0),
        (1, [record("reserved")], "too_high", 0),
        (1, [record("pending")], "agrees", 1),
        (0, [record("pending")], "agrees", 0),
        (3, [record(), record("failed"), record("failed")], "too_high", 1),
        (0, [record()], "too_low", 1),
        (0, [record("removed")], "agrees", 0),
        (1, [record("removed"), record("pending"), record()], "agrees", 1),
        (0, [record(), record("removed", is_rebind=True)], "agrees", 0),
        (1, [record("removed"), record(email="b@example.com")], "agrees", 1),
        (2, [record("accepted"), record("cancelled")], "agrees", 2),
        (1, [record("")], "agrees", 1),
        (0, [record("accepted")], "agrees", 0),
        (-2, [], "too_low", 0),
        (-1, [record(), record("failed")], "too_low", 1),
        (-1, [record("accepted")], "too_low", 1),
        (1, [record(), record(is_rebind=True)], "agrees", 1),
        (1, [record(email="nobody")], "agrees", 1),
    ],
)
def test_the_counter_is_weighed_by_the_records(
    used: int, records: list[LegacyInvite], judgement: str, becomes: int
) -> None:
    """Sent invitations count; failed and refunded ones do not; an unknown outcome keeps what was counted."""
    verdict = assess(code(used), records)

    assert (judgement, becomes) == (verdict.judgement, verdict.becomes)


def test_a_limit_below_the_proofs_is_raised() -> None:
    """What was sent can't be undone, so the limit gives way; an unlimited code stays unlimited."""
    assert assess(code(2, 1), [record(), record()]).max_uses == 2
    assert assess(code(2, None), [record(), record()]).max_uses is None


def test_unproven_uses_are_kept_on_demand() -> None:
    """Where old records were deleted, the counter is all there is: an opening balance that says so."""
    verdict = assess(code(4), [record(), record("pending")], keep_unproven=True)

    assert [Opening(1, "in_doubt"), Opening(2, "unproven")] == list(verdict.openings)
    assert verdict.becomes == 4


@pytest.mark.parametrize(
    ("known", "owner", "emails", "bound"),
    [
        (True, "li.wei@example.com", ["li.wei@example.com"], True),
        (True, None, ["li.wei@example.com"], False),
        (False, None, ["li.wei@example.com"], True),
        (True, "li.wei@example.com", ["li.wei@example.com", "b@example.com"], False),
        (True, "typo@example.com", [], True),
    ],
)
def test_binding_comes_from_proofs(known: bool, owner: str | None, emails: list[str], bound: bool) -> None:
    """Several persons, or one who was not bound there: the code is open. Without proofs it belongs to its next one."""
    old = code(len(emails), knows_binding=known, bound_email=owner)

    assert bound == assess(old, [record(email=email) for email in emails]).bound


def test_times_and_moves_go_to_the_first_and_the_last_use() -> None:
    """The old system kept one of each for a code; a person who was removed has no access left."""
    later = datetime(2026, 2, 1, tzinfo=UTC)
    activated = datetime(2026, 1, 7, tzinfo=UTC)
    records = [LegacyInvite(old_id=8, email="li.wei@example.com", status="success", created_at=later), record()]
    verdict = assess(code(2, activated_at=activated, rebind_count=1), records)
    removed = assess(code(1, status="removed", removed_at=later), [record()])

    assert [(use.activated_at, use.moves) for use in verdict.uses] == [(None, 1), (activated, 0)]
    assert [use.removed_at for use in removed.uses] == [later]
    assert [use.moves for use in assess(code(1), [record(), record(is_rebind=True)]).uses] == [1]
