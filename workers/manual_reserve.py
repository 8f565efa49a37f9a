"""Reservation by a manual task call (docs/how-to/runbook.md).

It runs in the caller's process, and the message has only an id.
"""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final
from uuid import UUID

from domain.commands.access.rebind import RequestRebind
from domain.commands.command_drafts import CommandDrafts
from domain.commands.context import CommandContext
from domain.commands.reservation.reserve import ReserveUse
from domain.errors import Refusal
from domain.values.group_name import group_name_error
from domain.values.identifiers import EmailAddress, MalformedCodeError, MalformedEmailError
from projections.terminal.text import say_error
from projections.vault.random_source import RANDOM

if TYPE_CHECKING:
    from workers.runtime import Runtime


ADVICE: Final[Mapping[str, str]] = {
    "CODE_INVALID": "the ledger has no such code: issue it with `ledger issue` or `ledger import-codes`",
    "CODE_MALFORMED": "redeem_code must be 1 to 64 letters and digits",
    "EMAIL_INVALID": "email must be one email address, such as li.wei@example.com",
    "GROUP_MALFORMED": "group_id must be the name of a group: one line, and not an email address",
    "GROUP_MISSING": "is_rebind=True needs group_id, the name of the group to move to",
}
"""What to do about the code of a refusal."""
NO_USE_TAKEN: Final = "no use was taken (docs/reference/problem-codes.md)"


class ManualTaskRefusedError(ValueError):
    """A manual call of the task asks for something malformed, or a rule refuses it.

    Its text is the code of the refusal, and what to do. A script that it ends shows this one line and no traceback.
    """

    def __init__(self, code: str) -> None:
        super().__init__(f"{code}: {ADVICE.get(code, NO_USE_TAKEN)}")
        self.code = code
        _end_scripts_in_one_line()


def reserve(
    runtime: "Runtime",
    *,
    email: str,
    redeem_code: str,
    group_id: str | None = None,
    is_rebind: bool = False,
) -> UUID:
    """Reserve a use as the redeem page would.

    Args:
        runtime: This process's ledger.
        email: Where the invitation goes.
        redeem_code: The code's text, in any spelling.
        group_id: If given, the code must be one of this group; of a rebind, the group to move to.
        is_rebind: Move the access that this person has by the code, as staff may: no use is taken.

    Returns:
        The id of the reservation (or rebind): a new one, or the recipient's existing one.

    Raises:
        ManualTaskRefusedError: The input is malformed or the ledger refuses.
    """
    if is_rebind and not group_id:
        raise ManualTaskRefusedError("GROUP_MISSING")
    vault, language = runtime.storage.vault, runtime.settings.default_language
    try:
        address, code = EmailAddress.parse(email), vault.typed_code(redeem_code)
    except MalformedEmailError:
        raise ManualTaskRefusedError("EMAIL_INVALID") from None
    except MalformedCodeError:
        raise ManualTaskRefusedError("CODE_MALFORMED") from None
    if group_id and group_name_error(group_id) is not None:
        raise ManualTaskRefusedError("GROUP_MALFORMED")
    context = CommandContext(now=runtime.storage.recorder.clock.now(), actor="operator")
    drafts = CommandDrafts(vault, RANDOM.draw_ordered_uuid)
    command: RequestRebind | ReserveUse
    if is_rebind and group_id:
        command = drafts.draft_request_rebind(context, address, code, group_id, language=language)
    else:
        command = drafts.draft_reserve_use(context, address, code, language=language, group=group_id)
    result = runtime.execute([command])[0]
    if isinstance(result, Refusal):
        raise ManualTaskRefusedError(result.code)
    return result.require_reservation().reservation_id


def _end_scripts_in_one_line() -> None:
    """Show an uncaught refusal as one line from now on; other errors are shown as usual."""
    if not isinstance(sys.excepthook, partial):
        sys.excepthook = partial(_show_refusal, sys.excepthook)


def _show_refusal(
    default_hook: Callable[[type[BaseException], BaseException, TracebackType | None], object],
    kind: type[BaseException],
    error: BaseException,
    trace: TracebackType | None,
) -> None:
    if isinstance(error, ManualTaskRefusedError):
        say_error(str(error))
    else:
        default_hook(kind, error, trace)
