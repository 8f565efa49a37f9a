from datetime import timedelta

import pytest

from projections.config.approvals import ApprovalPolicy, parse_approval_kinds


def test_kinds_are_parsed_and_none_is_the_default() -> None:
    assert parse_approval_kinds("") == frozenset()
    assert parse_approval_kinds(" refund, end_campaign,,") == {"refund", "end_campaign"}


def test_unknown_kind_is_named_with_those_that_exist() -> None:
    """A typing error must not leave an action unguarded."""
    with pytest.raises(ValueError, match=r"refunds is not one of refund, revoke_batch, end_campaign"):
        parse_approval_kinds("refunds")


@pytest.mark.parametrize(("uses", "is_covered"), [(10, False), (11, True)])
def test_refund_needs_an_approval_above_the_threshold(uses: int, is_covered: bool) -> None:
    policy = ApprovalPolicy(frozenset({"refund", "end_campaign"}), 10, timedelta(hours=1))

    assert policy.covers("refund", uses) is is_covered
    assert policy.covers("end_campaign", 1)
    assert not policy.covers("erase_person", 1)
