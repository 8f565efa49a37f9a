"""Bounds of a group commit, and executing many commands so that a bug in one of them fails only that one."""

from collections.abc import Callable, Sequence
from itertools import islice

from domain.command_bus import Command, Result
from projections.database.errors import StorageUnavailableError
from projections.telemetry.metrics import BATCH_SIZE, COMMIT_SECONDS

Execute = Callable[[Sequence[Command]], list[Result]]

BATCH_MAX = 256
"""Commands in one transaction at most: its locks fit PostgreSQL's default lock table several times over."""
CHUNK_MAX = 128
"""Commands of one caller that are queued together: half a transaction, so that single commands fit in next to them."""
WAITING_MAX = 4096
"""Commands that may wait; the API answers OVERLOADED to further ones instead of queuing them without a bound."""


class OverloadedError(Exception):
    """Too many commands wait already; nothing was done, and a later request may succeed."""


def execute_isolated(execute: Execute, commands: Sequence[Command]) -> list[Result | Exception]:
    """Execute commands in as few transactions as their bound allows.

    Args:
        execute: Runs commands in one transaction. A refusal is a result; an exception rolls all of them back.
        commands: In the order of their results.

    Returns:
        A result for each command. A transaction that a bug breaks is repeated with one command at a time, so that the
        exception is the result of that command alone.

    Raises:
        StorageUnavailableError: The database is unavailable; commands of earlier transactions may be committed.
    """
    results: list[Result | Exception] = []
    remaining = iter(commands)
    while batch := list(islice(remaining, BATCH_MAX)):
        results += _execute_batch(execute, batch)
    return results


def _execute_batch(execute: Execute, batch: Sequence[Command]) -> list[Result | Exception]:
    BATCH_SIZE.observe(len(batch))
    try:
        with COMMIT_SECONDS.time():
            return [*execute(batch)]
    except StorageUnavailableError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a bug raises is the result of its command
        if len(batch) == 1:
            return [error]
    return [result for command in batch for result in _execute_batch(execute, [command])]
