"""Which uses are over limits that begin to count."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain.model.counted_uses import ExistingUse, find_uses_over
from domain.values.timestamps import utc_day
from tests.support.ledger.code_terms import make_campaign_terms
from tests.support.ledger.scenario import START

PERSONS = [1, 2, 1, 1, 3]
USES = [
    ExistingUse(UUID(int=9), UUID(int=number), UUID(int=person), START + timedelta(hours=6 * number))
    for number, person in enumerate(PERSONS)
]


@pytest.mark.parametrize(
    ("limits", "over"),
    [
        ({}, []),
        ({"max_uses": 5}, []),
        ({"max_uses": 3}, [3, 4]),
        ({"max_per_person": 1}, [2, 3]),
        ({"max_per_day": 1}, [1]),
        ({"max_uses": 2, "max_per_person": 1}, [2, 3, 4]),
    ],
)
def test_newest_uses_are_over(limits: dict[str, int], over: list[int]) -> None:
    terms = make_campaign_terms(**limits)

    assert [use.reservation_id.int for use in find_uses_over(USES, terms, utc_day(START), {})] == over


def test_spellings_of_one_inbox_are_one_person() -> None:
    """Persons 2 and 3 share one; a recipient without a mailbox was erased, and is a person of their own."""
    terms, mailboxes = make_campaign_terms(max_per_person=1), {UUID(int=2): b"inbox", UUID(int=3): b"inbox"}

    over = [use.reservation_id.int for use in find_uses_over(USES, terms, utc_day(START), mailboxes)]

    assert over == [2, 3, 4]
