"""Issue codes, for API, CLI and pages: generate texts, issue in batches, return the texts once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeVar
from uuid import UUID

from eventsourcing.persistence import IntegrityError

from domain.commands.code.import_code import ImportCode, Opening
from domain.commands.code.issue import IssueCode
from domain.commands.context import CommandContext
from domain.errors import Refusal
from domain.events.code_terms import CodeTerms
from domain.ports import TextDraft
from domain.values.identifiers import RandomSource, format_code, generate_code
from projections.database.errors import StorageUnavailableError
from projections.repositories.notes import insert_note
from projections.storage.bootstrap import LedgerStore
from projections.vault.random_source import RANDOM

BATCH = 500
"""Codes of one commit: it holds the order lock for some hundredths of a second, which redeems don't notice."""
AT_ONCE = 2
"""Batches in progress: one is prepared while the database writes the other."""
SOURCE = "csv"
"""Source of opening balances that a file states."""
STATED = "stated"
ATTEMPTS_MAX = 3
"""How often a batch is tried because another process issued one of its codes first."""
T = TypeVar("T")
R = TypeVar("R")


class TextTakenError(StorageUnavailableError):
    """Another process issued one of the texts first, under another id. Nothing was issued."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeTemplate:
    """What codes that are issued together have in common.

    Attributes:
        terms: Their terms.
        bound: Only the first recipient of each may redeem it.
        note_id: A note in the vault.
        campaign_id: The campaign that they belong to permanently.
        valid_for_days: Days from the issue of a new code, or its start if that is later, to its end.
    """

    terms: CodeTerms
    bound: bool
    note_id: UUID | None = None
    campaign_id: UUID | None = None
    valid_for_days: int | None = None


class Usage(NamedTuple):
    """The history of a code elsewhere: uses that count there, when it was issued, whether it is paused."""

    used: int = 0
    issued_at: datetime | None = None
    is_paused: bool = False
    note: TextDraft | None = None


NEW = Usage()


class CodeOrder(NamedTuple):
    """One code to issue; its text is in normal form."""

    code_id: UUID
    text: str
    template: CodeTemplate
    usage: Usage = NEW


@dataclass(frozen=True, slots=True)
class IssuedText:
    """A new code: its text as shown to users, and its id."""

    text: str
    code_id: UUID


class BufferedRandom:
    """Random characters from the operating system, drawn in bulk."""

    def choices(self, population: str, *, k: int) -> list[str]:
        """Draw characters with replacement.

        The population must have 2, 4, ... or 256 characters, so that each byte gives one with equal probability.

        Raises:
            ValueError: The population is of another size.
        """
        size = len(population)
        if size & (size - 1) or not 1 < size <= 256:  # noqa: PLR2004 - what a byte can tell apart
            raise ValueError("letters are drawn by bytes: 2, 4, ... 256 of them")
        return [population[byte & (size - 1)] for byte in RANDOM.draw_bytes(k)]


def store_note(storage: LedgerStore, text: str | None, text_id: UUID) -> UUID | None:
    """Encrypt and store the note of codes that are about to be issued; return its id, or None for an empty text."""
    if not text:
        return None
    insert_note(storage, storage.vault.seal_text(text, text_id))
    return text_id


def issue_codes(
    storage: LedgerStore,
    template: CodeTemplate,
    count: int,
    context: CommandContext,
    new_id: Callable[[], UUID],
    random_source: RandomSource,
    progress: Callable[[int], None] = lambda _: None,
) -> list[IssuedText]:
    """Issue `count` codes and return all; `iter_issued` does the same without keeping them in memory."""
    issued: list[IssuedText] = []
    for some in iter_issued(storage, template, count, context, new_id, random_source):
        issued += some
        progress(len(issued))
    return issued


def iter_issued(
    storage: LedgerStore,
    template: CodeTemplate,
    count: int,
    context: CommandContext,
    new_id: Callable[[], UUID],
    random_source: RandomSource,
    prefix: str = "",
) -> Iterator[list[IssuedText]]:
    """Issue `count` codes, and yield each batch once it is committed.

    Args:
        storage: An open ledger.
        template: What they have in common.
        count: At least 1.
        context: Who issues, and when.
        new_id: Random ids of the streams.
        random_source: Randomness of the texts.
        prefix: Characters A to Z and digits in upper case that every text begins with.

    Raises:
        StorageUnavailableError: The database is unavailable; the batches that were yielded stay issued.
    """

    def orders() -> Iterator[list[CodeOrder]]:
        for start in range(0, count, BATCH):
            yield [
                CodeOrder(new_id(), prefix + generate_code(random_source), template)
                for _ in range(min(BATCH, count - start))
            ]

    def issue(batch: list[CodeOrder]) -> list[CodeOrder]:
        issue_batch(storage, batch, context)
        return batch

    for some in map_in_order(orders(), issue):
        yield [IssuedText(format_code(order.text), order.code_id) for order in some]


def map_in_order(batches: Iterable[T], work: Callable[[T], R]) -> Iterator[R]:
    """Process batches, some at the same time; yield their results in order.

    Raises:
        Exception: What the work raises; no further batch is begun then.
    """
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="batches") as pool:
        waiting: list[Future[R]] = []
        try:
            for batch in batches:
                waiting.append(pool.submit(work, batch))
                if len(waiting) > AT_ONCE:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()


def issue_batch(storage: LedgerStore, orders: Sequence[CodeOrder], context: CommandContext) -> None:
    """Issue codes with given ids and texts in one commit; a code whose id exists changes nothing.

    Raises:
        Refusal: The ledger refuses one of them; none is issued.
        TextTakenError: One of the texts exists under another id.
        StorageUnavailableError: The database is unavailable.
    """
    try:
        results = storage.ledger.execute([_command(storage, order, context) for order in orders]) if orders else []
    except IntegrityError as error:
        raise TextTakenError("another process issued one of these codes at the same time: try again") from error
    for result in results:
        if isinstance(result, Refusal):
            raise result


def issue_with_retries(
    storage: LedgerStore, find_orders: Callable[[], Sequence[CodeOrder]], context: Callable[[], CommandContext]
) -> None:
    """Issue codes in one commit; if another process issued one of them first, find out again what is left to issue.

    Raises:
        Refusal: The ledger refuses one of them; none is issued.
        TextTakenError: Other processes were first each time.
        StorageUnavailableError: The database is unavailable.
    """
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            return issue_batch(storage, find_orders(), context())
        except TextTakenError:
            if attempt == ATTEMPTS_MAX:
                raise
    return None


def _command(storage: LedgerStore, order: CodeOrder, context: CommandContext) -> IssueCode | ImportCode:
    template, usage = order.template, order.usage
    text = storage.vault.draft_code(order.text, order.code_id)
    if usage is not NEW:
        return ImportCode(
            context=context,
            code_id=order.code_id,
            text=text,
            source=SOURCE,
            terms=template.terms,
            bound=template.bound,
            issued_at=usage.issued_at,
            openings=[Opening(usage.used, STATED)] if usage.used else (),
            is_paused=usage.is_paused,
            note=usage.note,
            note_id=template.note_id,
            campaign_id=template.campaign_id,
        )
    return IssueCode(
        context=context,
        code_id=order.code_id,
        text=text,
        terms=template.terms,
        bound=template.bound,
        note_id=template.note_id,
        campaign_id=template.campaign_id,
        valid_for_days=template.valid_for_days,
    )
