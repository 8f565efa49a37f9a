"""Every status that the legacy system writes, and what it means here. A word that is missing here is unknown.

An unknown status is evidence of nothing: the invitation may have been sent, so what the legacy counter counts for it
stays counted.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

Evidence = Literal["sent", "refunded", "not_sent", "unknown"]
"""What an invite record proves. `refunded`: sent, then refunded there together with the access."""


class Meaning(NamedTuple):
    """What a status means here: as evidence, and in words."""

    evidence: Evidence
    words: str


RECORD_STATUSES: Final[Mapping[str, Meaning]] = MappingProxyType(
    {
        "success": Meaning("sent", "the invitation was sent, and the use counts"),
        "removed": Meaning("refunded", "the invitation was sent; the access was removed and the use refunded there"),
        "failed": Meaning("not_sent", "the invitation was not sent, and no use counts"),
        "reserved": Meaning("not_sent", "a seat was reserved and nothing was sent yet, and no use counts"),
        "pending": Meaning("unknown", "the invitation may have been sent; what the counter counts for it stays"),
    }
)
"""Statuses in `invite_records`."""

CODE_STATUSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "": "the access stands until its expiry date",
        "bound": "the access stands until its expiry date",
        "removing": "the access stands until its expiry date; its removal did not finish there",
        "removed": "the access was removed there after its expiry date; its use counts",
    }
)
"""Statuses in `redeem_codes`. Empty in versions without that column."""

Wait = Literal["waiting", "queued", "done"]
"""Status of a queue row: it waits for a free seat, waits to be processed, or is done."""

QUEUE_STATUSES: Final[Mapping[str, Wait]] = MappingProxyType(
    {"waiting": "waiting", "pending": "queued", "processing": "queued", "success": "done", "failed": "done"}
)
"""Statuses in `invite_queue`."""


def evidence_of(status: str) -> Evidence:
    """Return what an invite record of this status (in lower case) proves; of an unknown status nothing."""
    meaning = RECORD_STATUSES.get(status)
    return "unknown" if meaning is None else meaning.evidence
