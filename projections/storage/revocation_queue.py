"""Settling the pending reservations of revoked codes in bounded commands: first by the caller, then by the sweep.

A code may have very many reservations and a transaction must end soon, so the table `revocations` lists the work. It
only decides how soon that happens: a command on one of the reservations settles it too.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from domain.command_bus import Command, CommandResult, Result
from domain.commands.code.revoke import ContinueRevocation
from domain.commands.context import CommandContext
from projections.sql.event_store import EventStoreSql
from projections.sql.work_queue import WorkQueueSql
from projections.storage.bootstrap import LedgerStore

CASES_PER_COMMAND: Final = 50
"""Ids for cases of unknown outcomes: more than a code is expected to have."""
COMMANDS_PER_ROUND: Final = 20
"""At `Policy.revoked_per_command` reservations each, for one code: some seconds of work."""
CODES_PER_ROUND: Final = 10
REPEAT_S: Final = 30.0
"""Seconds after which another process repeats the round of one that died."""


def case_ids(new_id: Callable[[], UUID]) -> list[UUID]:
    """Return ids for the cases that one command may open."""
    return [new_id() for _ in range(CASES_PER_COMMAND)]


def settle_revoked_code(
    execute: Callable[[Sequence[Command]], list[Result]],
    code_id: UUID,
    context: Callable[[], CommandContext],
    new_id: Callable[[], UUID],
    commands_max: int = COMMANDS_PER_ROUND,
) -> bool:
    """Settle the pending reservations of a revoked code with a bounded number of commands.

    Returns:
        Whether only reservations remain that are being sent or need manual review.

    Raises:
        StorageUnavailableError: The database is unavailable; committed commands stay.
    """
    for _ in range(commands_max):
        command = ContinueRevocation(context=context(), code_id=code_id, case_ids=case_ids(new_id))
        result = execute([command])[0]
        if not (isinstance(result, CommandResult) and result.changed):
            return True
    return False


def settle_next_revocations(
    storage: LedgerStore,
    execute: Callable[[Sequence[Command]], list[Result]],
    context: Callable[[], CommandContext],
    new_id: Callable[[], UUID],
) -> int:
    """Run one round of the sweep over revoked codes with pending reservations; return how many codes it covered."""
    now = context().now
    bounds = {"now": now, "again_at": now + timedelta(seconds=REPEAT_S), "limit": CODES_PER_ROUND}
    with storage.datastore.get_connection() as conn:
        code_ids = [row["code_id"] for row in conn.execute(WorkQueueSql.claim_revocations, bounds).fetchall()]
    for code_id in code_ids:
        is_done = settle_revoked_code(execute, code_id, context, new_id)
        with storage.datastore.get_connection() as conn:
            if is_done:
                conn.execute(WorkQueueSql.finish_revocation, (code_id,))
            else:
                conn.execute(EventStoreSql.insert_revocations, ([code_id], [now]))
    return len(code_ids)
