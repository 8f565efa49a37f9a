"""The services of tools: PostgreSQL refuses whatever would write through them."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Final

from api.errors import RETRY_AFTER_S, ApplicationError
from api.use_cases.services import Services, SweepDispatcher
from domain.command_bus import Command
from domain.results import Result
from projections.database.errors import StorageUnavailableError
from projections.read_models.past_states import PastStateReader
from projections.read_models.reader import Reader
from projections.storage.bootstrap import LedgerStore
from projections.storage.group_commit import AsyncGroupCommit
from projections.storage.pipelined_execute import PipelinedExecute
from projections.storage.report_store import ReportStore

POOL_SIZE: Final = 2
"""Connections of all tools of a process together, so that redeem requests never wait for one of theirs."""
CATCH_UP_S: Final = 0.2
"""Seconds that a question waits in all for a standby that lacks events before it; then the primary answers."""


async def open_read_only(services: Services, stack: AsyncExitStack) -> Services:
    """Open the ledger of a process again, in transactions that only read, and return services over it.

    Args:
        services: Those of the process.
        stack: Closes it.

    Raises:
        ApplicationError: UNAVAILABLE, the database does not answer.
    """
    open_store = partial(LedgerStore.open, services.settings, pool_size=POOL_SIZE, reads_only=True)
    try:
        storage = await asyncio.to_thread(open_store)
    except StorageUnavailableError as error:
        raise ApplicationError("UNAVAILABLE", retry_after_s=RETRY_AFTER_S) from error
    stack.push_async_callback(asyncio.to_thread, storage.close)
    commit = AsyncGroupCommit[Command, Result](
        PipelinedExecute(storage), storage.ledger.execute, services.settings.request_wait_s
    )
    stack.push_async_callback(commit.aclose)
    return replace(
        services,
        storage=storage,
        reader=Reader(storage),
        states=PastStateReader(storage),
        reports=ReportStore(storage, services.reports.standby, CATCH_UP_S),
        commit=commit,
        dispatcher=SweepDispatcher(),
    )
