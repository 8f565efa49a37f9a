"""Sums over a time range for the dashboard; each query has a timeout, because it competes with redeem requests."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

import psycopg
from psycopg import Cursor

from projections.database.store_queries import Database, ReadableStore
from projections.read_models.pagination import ListOrder
from projections.sql.read_models import ReadModelsSql

QUERY_TIMEOUT_MS: Final = 3_000
"""Longest time of one query; a range that takes longer is too large for this machine."""
ROWS_MAX: Final = 10
SENT_MAX: Final = 1_000
"""Invitations by which bounces of domains are counted: each address is decrypted, in some 10 us."""
WAIT_BOUNDS_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Upper bounds of the classes of waiting times, in seconds; one more class is above them."""


class RangeTooLargeError(Exception):
    """The time range holds more than one query can sum up before its timeout."""


class OutcomeCounts(NamedTuple):
    """Redemptions that began in one step of time, by outcome; and rejected requests."""

    at: datetime
    sent: int
    refunded: int
    live: int
    bounced: int
    refused: int


class DomainCounts(NamedTuple):
    """How many invitations to addresses of a domain were sent, and how many of them bounced."""

    domain: str
    sent: int
    bounced: int


class TopCode(NamedTuple):
    """A code with many redemptions; `suffix` is the end of its text."""

    code_id: UUID
    suffix: str | None
    redeemed: int
    sent: int
    refunded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardData:
    """Sums over a time range.

    Attributes:
        outcomes: One for each step, oldest first, also for steps without redemptions.
        refusals: Rejected requests by the code of the refusal, most first; unknown codes among them.
        refunds: Refunded uses by cause, most first.
        domains: Domains with bounces among the newest `SENT_MAX` invitations, most bounces first.
        waits: Redemptions by class of `WAIT_BOUNDS_S`.
        middle_waits: Seconds within which 50%, 95% and 99% were sent; None if nothing was sent.
    """

    since: datetime
    until: datetime
    outcomes: list[OutcomeCounts]
    refusals: list[tuple[str, int]]
    refunds: list[tuple[str, int]]
    domains: list[DomainCounts]
    waits: list[int]
    middle_waits: tuple[float, float, float] | None
    busiest: list[TopCode]


class Health(NamedTuple):
    """Pending work now, and the time of the last comparison of read models with the log."""

    due: int
    oldest_due: datetime | None
    notices: int
    cases: int
    oldest_case: datetime | None
    verified_at: datetime | None
    drift: int


class KeptAccess(NamedTuple):
    """A refunded use whose accepted invitation keeps its access; `suffix` is the end of the code's text."""

    reservation_id: UUID
    refunded_at: datetime
    suffix: str | None


class RejectionFilter(NamedTuple):
    """Which rejected requests to list: between two times, both included, with a reason, for codes of a campaign."""

    since: datetime
    until: datetime
    reason: str | None
    campaign_id: UUID | None


class ListedRejection(NamedTuple):
    """A rejected request for a code that exists, with the campaign in which the code is now.

    `address` is known only of recipients with a reservation of any code; `suffix` is the end of the code's text.
    """

    at: datetime
    reason: str
    code_id: UUID
    suffix: str | None
    campaign_id: UUID | None
    campaign_name: str | None
    recipient_id: UUID | None
    address: str | None


class DashboardReader:
    """Queries of the dashboard, and of the lists to which it leads."""

    def __init__(self, storage: ReadableStore) -> None:
        self._storage, self._db = storage, Database(storage)

    def read_figures(self, since: datetime, step: timedelta, steps: int) -> DashboardData:
        """Sum up `steps` steps from a time on.

        Raises:
            RangeTooLargeError: A query reached its timeout.
        """
        until = since + step * steps
        parameters = {
            "since": since,
            "until": until,
            "step": step,
            "limit": ROWS_MAX,
            "sent_max": SENT_MAX,
            "bounds": list(WAIT_BOUNDS_S),
        }
        with self._open_bounded_cursor() as cursor:
            outcomes = _merge_outcomes(
                _fetch(cursor, ReadModelsSql.redemptions_over_time, parameters),
                _fetch(cursor, ReadModelsSql.refused_over_time, parameters),
            )
            waits = dict(_fetch(cursor, ReadModelsSql.waits, parameters))
            middle = _fetch(cursor, ReadModelsSql.middle_waits, parameters)[0][0]
            return DashboardData(
                since=since,
                until=until,
                outcomes=[
                    outcomes.get(at, OutcomeCounts(at, 0, 0, 0, 0, 0))
                    for at in (since + step * nth for nth in range(steps))
                ],
                refusals=[(row[0], row[1]) for row in _fetch(cursor, ReadModelsSql.refusals_by_reason, parameters)],
                refunds=[(row[0], row[1]) for row in _fetch(cursor, ReadModelsSql.refunds_by_cause, parameters)],
                domains=self._count_domains(_fetch(cursor, ReadModelsSql.newest_sent, parameters)),
                waits=[waits.get(nth, 0) for nth in range(len(WAIT_BOUNDS_S) + 1)],
                middle_waits=None if middle is None else (middle[0], middle[1], middle[2]),
                busiest=[TopCode(*row) for row in _fetch(cursor, ReadModelsSql.busiest_codes, parameters)],
            )

    def _count_domains(self, rows: list[tuple[Any, ...]]) -> list[DomainCounts]:
        """Return the domains of sent invitations of which some bounced, from whether each did and its recipient."""
        sent, bounced = Counter[str](), Counter[str]()
        for is_bounced, *columns in rows:
            address = self._storage.vault.read_text("recipient", columns) or ""
            domain = address.rpartition("@")[2]
            sent[domain] += 1
            bounced[domain] += is_bounced
        return [DomainCounts(domain, sent[domain], count) for domain, count in bounced.most_common(ROWS_MAX) if count]

    def read_health(self, now: datetime) -> Health:
        """Return the pending work."""
        with self._open_bounded_cursor() as cursor:
            return Health(*_fetch(cursor, ReadModelsSql.waiting_now, {"now": now})[0])

    def list_kept_access(self) -> list[KeptAccess]:
        """Return the newest refunds that left the access of an accepted invitation in place, at most `ROWS_MAX`."""
        with self._open_bounded_cursor() as cursor:
            return [KeptAccess(*row) for row in _fetch(cursor, ReadModelsSql.kept_access, {"limit": ROWS_MAX})]

    def count_rejections(self, since: datetime, campaign_id: UUID | None, counted_max: int) -> list[tuple[str, int]]:
        """Return how many requests were rejected since a time by reason, the most frequent first.

        Args:
            since: Of the first request that counts.
            campaign_id: Count requests for the codes of this campaign only.
            counted_max: How many requests are counted at most.

        Raises:
            RangeTooLargeError: The query reached its timeout.
        """
        parameters = {"since": since, "campaign_id": campaign_id, "counted_max": counted_max}
        with self._open_bounded_cursor() as cursor:
            return [(reason, count) for reason, count in _fetch(cursor, ReadModelsSql.count_refusals, parameters)]

    def list_rejections(
        self, rejections: RejectionFilter, skip: int, limit: int, order: ListOrder = "newest"
    ) -> list[ListedRejection]:
        """Return rejected requests without the first `skip`.

        Raises:
            RangeTooLargeError: The query reached its timeout.
        """
        parameters = {**rejections._asdict(), "skip": skip, "limit": limit}
        statements = {"newest": ReadModelsSql.newest_refusals, "oldest": ReadModelsSql.oldest_refusals}
        with self._open_bounded_cursor() as cursor:
            rows = _fetch(cursor, statements[order], parameters)
        vault = self._storage.vault
        return [ListedRejection._make((*row[:7], vault.read_text("recipient", row[6:]))) for row in rows]

    @contextmanager
    def _open_bounded_cursor(self) -> Iterator[Cursor[tuple[Any, ...]]]:
        with self._db.open_cursor() as cursor:
            try:
                with cursor.connection.transaction():
                    cursor.execute(ReadModelsSql.bound_question, (str(QUERY_TIMEOUT_MS),))
                    yield cursor
            except psycopg.errors.QueryCanceled as error:
                raise RangeTooLargeError from error


def _fetch(
    cursor: Cursor[tuple[Any, ...]], query: LiteralString, parameters: Mapping[str, object]
) -> list[tuple[Any, ...]]:
    return cursor.execute(query, parameters).fetchall()


def _merge_outcomes(redeemed: list[tuple[Any, ...]], rejected: list[tuple[Any, ...]]) -> dict[datetime, OutcomeCounts]:
    outcomes = {row[0]: OutcomeCounts._make((*row, 0)) for row in redeemed}
    for at, count in rejected:
        outcomes[at] = outcomes.get(at, OutcomeCounts(at, 0, 0, 0, 0, 0))._replace(refused=count)
    return outcomes
