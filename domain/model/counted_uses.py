"""The uses that codes of a campaign have when its limits begin to count them, and which of them are over the limits."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Final, NamedTuple
from uuid import UUID

from domain.events.campaign import CampaignTerms
from domain.values.timestamps import utc_day

EXISTING_USES_MAX: Final = 25_000
"""Most uses that limits begin to count in one commit. All requests wait for it: 1 s for 10,000, on two busy cores."""


class ExistingUse(NamedTuple):
    """A use that a code of a campaign has reserved or counted."""

    code_id: UUID
    reservation_id: UUID
    recipient_id: UUID
    reserved_at: datetime


def find_uses_over(
    uses: Sequence[ExistingUse], terms: CampaignTerms, day: date, mailboxes: Mapping[UUID, bytes]
) -> Iterator[ExistingUse]:
    """Yield the uses that limits would have refused, had they counted from the beginning.

    Args:
        uses: The uses that the limits count, the oldest first.
        terms: The terms with the limits.
        day: The UTC day that the limit per day is compared on.
        mailboxes: Digests of the mailboxes of recipients, if spellings of one inbox are one person; else none.
    """
    of_persons = Counter[UUID | bytes]()
    total = of_day = 0
    for use in uses:
        person = mailboxes.get(use.recipient_id, use.recipient_id)
        is_of_day = utc_day(use.reserved_at) == day
        limits = (
            (total, terms.max_uses),
            (of_persons[person], terms.max_per_person),
            (of_day if is_of_day else 0, terms.max_per_day),
        )
        if any(limit is not None and count >= limit for count, limit in limits):
            yield use
            continue
        total += 1
        of_persons[person] += 1
        of_day += is_of_day
