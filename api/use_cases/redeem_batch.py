"""Redeeming many codes by one request: the outcome of the items redeemed one by one, in fewer transactions.

Items are executed in chunks, in their order. A chunk ends before an item whose rate limits depend on the outcome of an
earlier item of the chunk, so that limits decide as they would one by one.
"""

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from api.errors import RETRY_AFTER_S, ApplicationError
from api.rate_limits.code_attempts import LimitedAttempt
from api.rate_limits.guard import CodeAttempt, Guard
from api.use_cases.redeem import Redemption, count_redemptions, count_rejected, draft_command, redemption_of
from api.use_cases.services import Caller, Services
from domain.commands.context import CommandContext
from domain.commands.reservation.reserve import ReserveUse
from domain.ports import Language
from domain.results import CommandResult
from projections.storage.group_commit import CHUNK_ALONE_MAX
from projections.telemetry.after_commit import after_commit
from projections.vault.vault import CodeInput

BATCH_S_MAX: Final = 20.0
"""Seconds after which no further chunk begins, so that a proxy that waits 30 seconds passes the response on."""
DRAFTED_PER_TURN: Final = 16
"""Items that are read before other requests have their turn in the event loop."""
_NOTHING_DONE: Final = frozenset({"UNAVAILABLE", "OVERLOADED"})


class BatchItem(Struct, frozen=True):
    """One redeem request of a batch, as the client sent it."""

    email: str
    code: str
    again: UUID | None = None
    key: str | None = None


ItemResult = Redemption | ApplicationError
"""What the same request alone would have returned or raised."""


async def redeem_batch(
    services: Services, caller: Caller, items: Sequence[BatchItem], *, language: Language
) -> list[ItemResult]:
    """Redeem items in their order and return one result each; each chunk is committed before the next one begins.

    If the database becomes unavailable, the items that were not decided by then have the error UNAVAILABLE.

    Raises:
        ApplicationError: UNAVAILABLE or OVERLOADED, no item was decided.
    """
    batch = _RedeemBatch(services, caller, items, language)
    await batch.run()
    return batch.finished_results()


class _Draft(Struct, frozen=True):
    command: ReserveUse
    typed: CodeInput


class _AdmittedItem(Struct, frozen=True):
    position: int
    command: ReserveUse
    attempt: LimitedAttempt | None


class _RedeemBatch:
    def __init__(self, services: Services, caller: Caller, items: Sequence[BatchItem], language: Language) -> None:
        self._services = services
        self._caller = caller
        self._items = items
        self._language = language
        self._context = services.context(caller)
        self._drafts: list[_Draft | ApplicationError] = []
        self._results: list[ItemResult | None] = [None] * len(items)
        self._next = 0
        self._is_decided = False
        self._existing_codes: set[bytes] | None = None

    async def run(self) -> None:
        """Execute chunk after chunk, and read the items of the next chunk while one commits."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + BATCH_S_MAX
        while self._next < len(self._items):
            await self._draft(self._next + CHUNK_ALONE_MAX)
            if loop.time() >= ends_at:
                self._give_up(ApplicationError("OVERLOADED", retry_after_s=RETRY_AFTER_S))
                return
            if self._existing_codes is None and self._is_next_guessable():
                await self._find_existing_codes()
            chunk = self._admit_chunk()
            if chunk and (error := await self._execute(chunk)) is not None:
                self._give_up(error)
                return

    def finished_results(self) -> list[ItemResult]:
        """Return the results of all items.

        Raises:
            ApplicationError: No item was decided, because the database is unavailable or too many requests wait.
        """
        results = [result for result in self._results if result is not None]
        errors = [result for result in results if isinstance(result, ApplicationError)]
        if not self._is_decided and (fatal := next((one for one in errors if one.code in _NOTHING_DONE), None)):
            raise fatal
        return results

    async def _draft(self, until: int) -> None:
        """Read the items before this index, and let other requests have their turn in between."""
        until = min(until, len(self._items))
        for start in range(len(self._drafts), until, DRAFTED_PER_TURN):
            await asyncio.sleep(0)
            self._drafts += map(self._draft_item, self._items[start : min(start + DRAFTED_PER_TURN, until)])

    def _draft_item(self, redeem_request: BatchItem) -> _Draft | ApplicationError:
        try:
            command, typed = draft_command(
                self._services,
                self._caller,
                self._context,
                redeem_request.email,
                redeem_request.code,
                language=self._language,
                again=redeem_request.again,
                key=redeem_request.key,
            )
        except ApplicationError as error:
            return error
        return _Draft(command, typed)

    def _is_next_guessable(self) -> bool:
        """Return whether limits on guessing may keep the next item from its lookup: those never do for native codes."""
        draft = self._drafts[self._next]
        return self._services.guard is not None and isinstance(draft, _Draft) and draft.typed.shape != "native"

    async def _find_existing_codes(self) -> None:
        """Look up which codes exist, since the items that share a chunk depend on it where codes can be guessed."""
        await self._draft(len(self._items))
        drafts = [draft for draft in self._drafts[self._next :] if isinstance(draft, _Draft)]
        digests = sorted({digest for draft in drafts for digest in draft.typed.digests})
        find = self._services.reader.find_existing_digests
        self._existing_codes = await self._services.run_blocking(find, digests)

    def _admit_chunk(self) -> list[_AdmittedItem]:
        """Return the next items that may share a transaction; items that are rejected without one have their result."""
        context = self._services.context(self._caller)
        chunk: list[_AdmittedItem] = []
        chunk_max = self._services.commit.chunk_max
        recipients: set[bytes] = set()
        has_unknown_code = False
        while self._next < len(self._drafts) and len(chunk) < chunk_max:
            draft = self._drafts[self._next]
            if isinstance(draft, ApplicationError):
                self._reject(self._next, draft)
                self._next += 1
                continue
            if self._is_next_guessable() and (has_unknown_code or self._existing_codes is None):
                break
            exists = self._existing_codes is not None and not self._existing_codes.isdisjoint(draft.typed.digests)
            try:
                admitted = self._admit(draft, context, recipients, exists=exists)
            except ApplicationError as error:
                self._reject(self._next, error)
                self._next += 1
                continue
            if admitted is None:
                break
            chunk.append(admitted)
            recipients.add(draft.command.recipient.digests[0])
            has_unknown_code = has_unknown_code or not exists
            self._next += 1
        return chunk

    def _admit(
        self, draft: _Draft, context: CommandContext, recipients: set[bytes], *, exists: bool
    ) -> _AdmittedItem | None:
        """Admit the next item; None if its limits on invitations may have room after the chunk.

        Raises:
            ApplicationError: RATE_LIMITED.
        """
        guard, command = self._services.guard, draft.command
        if guard is None:
            return _AdmittedItem(self._next, replace(command, context=context), None)
        attempt = self._limited_attempt(guard, draft, exists=exists)
        attempt.admit()
        if attempt.waits is not None:
            if command.recipient.digests[0] in recipients:
                attempt.settle(None)
                return None
            context = replace(context, waits=attempt.waits)
        return _AdmittedItem(self._next, replace(command, context=context), attempt)

    def _limited_attempt(self, guard: Guard, draft: _Draft, *, exists: bool) -> LimitedAttempt:
        """Return the attempt to admit.

        A code that exists is not a guess. Its lookup is admitted here and ends here, so that the items of a chunk are
        not limited as concurrent guesses.

        Raises:
            ApplicationError: RATE_LIMITED.
        """
        command, typed, caller = draft.command, draft.typed, self._caller
        attempt = CodeAttempt(
            caller.client_ip,
            typed.shape,
            command.recipient.digests[0],
            typed.digests[0],
            caller.actor,
            command.again is not None,
        )
        if exists and typed.shape != "native":
            with LimitedAttempt(guard, attempt):
                attempt = replace(attempt, shape="native")
        return LimitedAttempt(guard, attempt)

    async def _execute(self, chunk: Sequence[_AdmittedItem]) -> ApplicationError | None:
        """Execute and settle a chunk; return the error after which no further chunk can be executed."""
        commit = asyncio.ensure_future(self._services.execute_chunk([admitted.command for admitted in chunk]))
        try:
            await self._draft(self._next + CHUNK_ALONE_MAX)
            results = await commit
        except BaseException:  # the request is cancelled: nothing may stay counted as in progress
            commit.cancel()
            for admitted in chunk:
                if admitted.attempt is not None:
                    admitted.attempt.settle(None)
            raise
        for admitted, result in zip(chunk, results, strict=True):
            self._settle(admitted, result)
        redemptions = [done for each in chunk if isinstance(done := self._results[each.position], Redemption)]
        created = sum(redemption.created for redemption in redemptions)
        count_redemptions(self._services, created, len(redemptions) - created)
        errors = [result for result in results if isinstance(result, ApplicationError)]
        return next((error for error in errors if error.code in _NOTHING_DONE), None)

    def _settle(self, admitted: _AdmittedItem, result: CommandResult | ApplicationError) -> None:
        """Count what an item did, and keep its result."""
        if isinstance(result, ApplicationError):
            try:
                if admitted.attempt is not None:
                    admitted.attempt.settle(result)
            except ApplicationError as error:
                result = error
            self._is_decided = self._is_decided or result.code not in _NOTHING_DONE
            self._reject(admitted.position, result)
            return
        reservation = result.require_reservation()
        if admitted.attempt is not None:
            if reservation.reservation_id == admitted.command.reservation_id:
                admitted.attempt.reservation, admitted.attempt.is_code_bound = reservation, result.code.bound
            with after_commit("settling rate limits"):
                admitted.attempt.settle(None)
        self._is_decided = True
        self._results[admitted.position] = redemption_of(self._services, result, admitted.command.reservation_id)

    def _reject(self, position: int, error: ApplicationError) -> None:
        count_rejected(error.code)
        self._results[position] = error

    def _give_up(self, error: ApplicationError) -> None:
        """Give the items that were not executed the error of those that could not be."""
        for position, result in enumerate(self._results):
            if result is None:
                self._reject(position, error)
