"""Issuing codes, for API and CLI: draw texts, issue in batches, give the texts back once."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.decisions.command import Context
from domain.decisions.issue import IssueCode
from domain.errors import Refusal
from domain.values import Letters, draw_code, shown_code
from projections.bootstrap import Storage

BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What every code of an issue has in common; `max_uses` None: without limit."""

    max_uses: int | None
    bound: bool = True
    expires_at: datetime | None = None
    validity_days: int | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """A new code: its text as shown to people, and its id."""

    text: str
    code_id: UUID


def issue_codes(
    storage: Storage,
    terms: Terms,
    count: int,
    context: Context,
    new_id: Callable[[], UUID],
    letters: Letters,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Issued]:
    """Issue `count` codes.

    Args:
        storage: An open ledger.
        terms: Of all of them.
        count: At least 1.
        context: Who issues, and when.
        new_id: Random ids of the streams.
        letters: Randomness of the texts.
        progress: Told how many are issued so far.

    Raises:
        StorageUnavailableError: The database is away; the batches that were answered stay issued.
    """
    issued: list[Issued] = []
    while len(issued) < count:
        texts = [draw_code(letters) for _ in range(min(BATCH, count - len(issued)))]
        batch = [(text, new_id()) for text in texts]
        results = storage.ledger.execute(
            [
                IssueCode(
                    context=context,
                    code_id=code_id,
                    text=storage.vault.code(text, code_id),
                    max_uses=terms.max_uses,
                    bound=terms.bound,
                    expires_at=terms.expires_at,
                    validity_days=terms.validity_days,
                    group=terms.group,
                )
                for text, code_id in batch
            ]
        )
        for result in results:
            if isinstance(result, Refusal):
                raise result
        issued += [Issued(shown_code(text), code_id) for text, code_id in batch]
        progress(len(issued))
    return issued
