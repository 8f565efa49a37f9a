"""Entity tags of terms, and of how a hand-out sends (RFC 9110, 8.8.3 and 13.1.1): no change overwrites another.

A tag depends on the terms of the code or campaign alone: redeeming does not change it, so the terms of a busy code can
be changed.
"""

import hashlib
from typing import Annotated, Final, TypeVar

import orjson
from fastapi import Header
from msgspec import structs

from api.errors import ApplicationError
from domain.events.campaign import CampaignTerms
from domain.events.code_terms import CodeTerms
from domain.model.hand_out import Mailing

ANY: Final = "*"
DIGEST_LENGTH: Final = 20
IfMatch = Annotated[
    str | None,
    Header(
        max_length=1000,
        description="ETag of the terms on which the change is based, or * for any terms.",
    ),
]


Terms = TypeVar("Terms", CodeTerms, CampaignTerms, Mailing)


def tag_of(terms: CodeTerms | CampaignTerms | Mailing) -> str:
    """Return the strong tag of terms."""
    document = orjson.dumps(structs.astuple(terms), default=tuple, option=orjson.OPT_SORT_KEYS)
    return f'"{hashlib.sha256(document).hexdigest()[:DIGEST_LENGTH]}"'


def expected_terms(if_match: str | None, now: Terms) -> Terms | None:
    """Return the terms that a change expects; None for any.

    Args:
        if_match: The header, if there is one.
        now: The present terms.

    Raises:
        ApplicationError: TERMS_CHANGED, the header names other terms.
    """
    if if_match is None or if_match.strip() == ANY:
        return None
    if tag_of(now) not in {tag.strip() for tag in if_match.split(",")}:
        raise ApplicationError("TERMS_CHANGED")
    return now
