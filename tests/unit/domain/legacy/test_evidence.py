"""What the old system's records prove, and what its counter only claims."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.commands.code.import_code import Opening
from domain.legacy.evidence import Assessment, EvidencedUse, OutOfRange, assess
from domain.legacy.records import LegacyCode, LegacyInvite
from domain.values.identifiers import EmailAddress
from domain.values.number_bounds import DAYS, REBINDS

CREATED = datetime(2026, 1, 5, 10, tzinfo=UTC)


def code(used: int, limit: int | None = 5, **more: Any) -> LegacyCode:
    return LegacyCode(old_id=1, text="ABC123", used_count=used, max_uses=limit, created_at=CREATED, **more)


def record(status: str = "success", email: str = "li.wei@example.com", **more: Any) -> LegacyInvite:
    return LegacyInvite(old_id=7, email=email, status=status, created_at=CREATED, **more)


@pytest.mark.parametrize(
    ("used", "records", "judgment", "becomes"),
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
        (1, [record("failed"), record()], "agrees", 1),
        (2, [record(email="nobody"), record()], "agrees", 2),
    ],
)
def test_counter_is_weighed_by_the_records(used: int, records: list[LegacyInvite], judgment: str, becomes: int) -> None:
    assessment = assess(code(used), records)

    assert (judgment, becomes) == (assessment.judgment, assessment.becomes)


def test_limit_below_the_proofs_is_raised() -> None:
    """What was sent can't be undone, so the limit gives way; an unlimited code stays unlimited."""
    assert assess(code(2, 1), [record(), record()]).max_uses == 2
    assert assess(code(2, None), [record(), record()]).max_uses is None


def test_unproven_uses_are_kept_on_demand() -> None:
    """Where old records were deleted, the counter is all there is: an opening balance that says so."""
    assessment = assess(code(4), [record(), record("pending")], keep_unproven=True)

    assert [Opening(1, "in_doubt"), Opening(2, "unproven")] == list(assessment.openings)
    assert assessment.becomes == 4


@pytest.mark.parametrize(
    ("is_known", "owner", "emails", "bound"),
    [
        (True, "li.wei@example.com", ["li.wei@example.com"], True),
        (True, None, ["li.wei@example.com"], False),
        (False, None, ["li.wei@example.com"], True),
        (True, "li.wei@example.com", ["li.wei@example.com", "b@example.com"], False),
        (True, "typo@example.com", [], True),
    ],
)
def test_binding_comes_from_proofs(is_known: bool, owner: str | None, emails: list[str], bound: bool) -> None:
    """Several persons, or one who was not bound there: the code is open. Without proofs it belongs to its next one."""
    old = code(len(emails), knows_binding=is_known, bound_email=owner)

    assert bound == assess(old, [record(email=email) for email in emails]).bound


def test_times_and_moves_go_to_the_first_and_the_last_use() -> None:
    """The old system kept one of each for a code; a person who was removed has no access left."""
    later = datetime(2026, 2, 1, tzinfo=UTC)
    activated = datetime(2026, 1, 7, tzinfo=UTC)
    records = [LegacyInvite(old_id=8, email="li.wei@example.com", status="success", created_at=later), record()]
    assessment = assess(code(2, activated_at=activated, rebind_count=1), records)
    removed = assess(code(1, status="removed", removed_at=later), [record()])

    assert [(use.activated_at, use.moves) for use in assessment.uses] == [(None, 1), (activated, 0)]
    assert [use.removed_at for use in removed.uses] == [later]
    assert [use.moves for use in assess(code(1), [record(), record(is_rebind=True)]).uses] == [1]


LATER = datetime(2026, 2, 1, 9, tzinfo=UTC)
LATEST = datetime(2026, 3, 1, 9, tzinfo=UTC)


def test_assessment_holds_every_finding_of_a_plain_code() -> None:
    bound = code(1, bound_email="li.wei@example.com", knows_binding=True, validity_days=30, rebind_limit=1)

    assert assess(bound, [record(accepted_at=LATER)]) == Assessment(
        judgment="agrees",
        counted=1,
        proven=1,
        uses=[EvidencedUse(email=EmailAddress.parse("li.wei@example.com"), sent_at=CREATED, accepted_at=LATER)],
        openings=[],
        max_uses=5,
        bound=True,
        binding=None,
        unreadable_binding=False,
        rebinds_max=1,
        rebinds_capped_at=None,
        validity_days=30,
        bad_emails=[],
        rebinds=0,
        unknown=Counter(),
        out_of_range=[],
    )


def test_assessment_holds_every_finding_of_a_damaged_code() -> None:
    records = [
        record("success", "nobody"),
        record("removed", "nobody"),
        record("never heard of"),
        record("pending"),
        record("success", is_rebind=True),
    ]
    damaged = code(4, limit=2, status="odd", validity_days=-1, rebind_count=-2, rebind_limit=10**9)

    assessment = assess(damaged, records, keep_unproven=True, rebinds_as_recorded=True)

    assert assessment == Assessment(
        judgment="agrees",
        counted=4,
        proven=1,
        uses=[],
        openings=[
            Opening(1, "bad_email"),
            Opening(1, "in_doubt"),
            Opening(1, "unknown_status"),
            Opening(1, "unproven"),
        ],
        max_uses=4,
        bound=True,
        binding=None,
        unreadable_binding=False,
        rebinds_max=REBINDS[1],
        rebinds_capped_at=1,
        validity_days=DAYS[0],
        bad_emails=[7],
        rebinds=1,
        unknown=Counter({("invite_records", "never heard of"): 1, ("redeem_codes", "odd"): 1}),
        out_of_range=[
            OutOfRange("validity_days", -1, DAYS[0]),
            OutOfRange("rebind_count", -2, REBINDS[0]),
            OutOfRange("rebind_limit", 10**9, REBINDS[1]),
        ],
    )


def test_counter_below_zero_is_out_of_range_and_proves_nothing() -> None:
    negative = assess(code(-1), [record("pending")], keep_unproven=True)

    assert negative.out_of_range == [OutOfRange("used_count", -1, None)]
    assert negative.openings == [Opening(1, "in_doubt")]
    assert assess(code(0), []).out_of_range == []
    assert assess(code(0), [], keep_unproven=True).openings == []


@pytest.mark.parametrize(
    ("recorded", "as_recorded", "limit", "capped"),
    [(None, False, None, None), (0, False, 0, None), (1, False, 1, None), (5, False, 1, 1), (5, True, 5, 1)],
)
def test_limit_of_moves_is_capped_unless_it_is_imported_as_recorded(
    recorded: int | None, as_recorded: bool, limit: int | None, capped: int | None
) -> None:
    """The legacy system permits one move, whatever the record says."""
    assessment = assess(code(0, rebind_limit=recorded), [], rebinds_as_recorded=as_recorded)

    assert (assessment.rebinds_max, assessment.rebinds_capped_at) == (limit, capped)


def test_times_of_a_use_come_from_the_best_record_of_them() -> None:
    """Sent when created, else consumed, else accepted; removed when accepted, else sent."""
    neither = LegacyInvite(old_id=1, email="a@example.com", status="removed", accepted_at=LATER)
    consumed = LegacyInvite(old_id=2, email="b@example.com", status="removed", consumed_at=LATEST)
    accepted = LegacyInvite(old_id=3, email="c@example.com", status="removed", created_at=CREATED, accepted_at=LATER)

    uses = assess(code(0), [neither, consumed, accepted]).uses

    assert [(use.sent_at, use.accepted_at) for use in uses] == [(LATER, LATER), (LATEST, None), (CREATED, LATER)]
    assert [(use.is_removed, use.removed_at, use.is_refunded) for use in uses] == [
        (True, LATER, True),
        (True, LATEST, True),
        (True, LATER, True),
    ]


def test_use_of_a_removed_code_is_removed_and_still_counts() -> None:
    of_code = assess(code(1, status="removed", removed_at=LATEST), [record(accepted_at=LATER)])
    of_record = assess(code(1, status="removed"), [record(accepted_at=LATER)])

    assert [(use.is_removed, use.removed_at, use.is_refunded) for use in of_code.uses] == [(True, LATEST, False)]
    assert [use.removed_at for use in of_record.uses] == [LATER]
    assert of_code.becomes == 1


def test_removed_move_refunds_the_newest_use_of_its_person() -> None:
    uses = [record(email="a@example.com"), record(email="b@example.com"), record(email="a@example.com")]
    move = LegacyInvite(
        old_id=9, email="A@example.com", status="removed", created_at=LATER, accepted_at=LATEST, is_rebind=True
    )
    undated = LegacyInvite(old_id=9, email="b@example.com", status="removed", is_rebind=True)
    created = LegacyInvite(old_id=9, email="a@example.com", status="removed", created_at=LATER, is_rebind=True)

    assessment = assess(code(3), [*uses, move, undated]).uses
    dated = assess(code(3), [*uses, created]).uses

    assert [(use.is_removed, use.removed_at, use.is_refunded) for use in assessment] == [
        (False, None, False),
        (True, CREATED, True),
        (True, LATEST, True),
    ]
    assert dated[2].removed_at == LATER


def test_moves_and_activation_go_to_uses_that_count() -> None:
    records = [
        record("removed", "a@example.com"),
        LegacyInvite(old_id=2, email="b@example.com", status="success", created_at=LATEST),
        LegacyInvite(old_id=3, email="c@example.com", status="success", created_at=LATER),
    ]

    uses = assess(code(2, activated_at=CREATED, rebind_count=2), records).uses
    refunded = assess(code(0, activated_at=CREATED, rebind_count=2), records[:1]).uses

    assert [(use.activated_at, use.moves) for use in uses] == [(None, 0), (None, 2), (CREATED, 0)]
    assert [(use.activated_at, use.moves) for use in refunded] == [(CREATED, 2)]


@pytest.mark.parametrize(
    ("email", "records", "binding", "is_unreadable"),
    [
        (None, [], None, False),
        ("li.wei@example.com", [], "li.wei@example.com", False),
        ("li.wei@example.com", [record("removed")], "li.wei@example.com", False),
        ("li.wei@example.com", [record()], None, False),
        ("nobody", [], None, True),
    ],
)
def test_binding_is_kept_where_no_use_counts(
    email: str | None, records: list[LegacyInvite], binding: str | None, is_unreadable: bool
) -> None:
    assessment = assess(code(0, bound_email=email, knows_binding=True), records)

    assert (assessment.binding and assessment.binding.normal, assessment.unreadable_binding) == (binding, is_unreadable)


def test_removed_move_refunds_no_use_of_another_person() -> None:
    uses = [record(email="b@example.com"), record(email="a@example.com")]
    moves = [record("success", "b@example.com", is_rebind=True), record("removed", "b@example.com", is_rebind=True)]

    assert [use.is_refunded for use in assess(code(1), [*uses, *moves]).uses] == [True, False]


def test_limit_of_moves_is_capped_unless_asked_otherwise() -> None:
    assert assess(code(0, rebind_limit=5), []).rebinds_max == 1
