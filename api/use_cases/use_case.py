"""What a use case of one command is: a function that routes, pages and commands call, and a command to preview."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Concatenate, Generic, ParamSpec, TypeVar, get_type_hints

from api.use_cases.approvals.approval_guard import require_approval
from api.use_cases.approvals.requests import RefundUse
from api.use_cases.services import Caller, LedgerServices, Services, raise_refusal
from domain.application import settle_revoked_code
from domain.command_bus import CodeCommand, ReservationCommand
from domain.commands.reservation.cancel import CancelReservation
from domain.commands.reservation.refund import RefundReservation
from domain.commands.reservation.resolve_case import ResolveReservation
from domain.errors import RefusalOrder
from domain.results import CommandResult
from projections.telemetry.after_commit import after_commit
from projections.vault.vault import PrivateText

P = ParamSpec("P")
C = TypeVar("C", bound=CodeCommand | ReservationCommand)


class UseCase(Generic[P, C]):
    """One action about a code or a reservation.

    Calling it executes its command, wakes a worker if something is to be sent, and settles what a revoked code holds.
    It blocks while it waits for the database.

    Attributes:
        command: Builds the command alone, for a preview.
        refusals: The refusals of its command, in the order of precedence.

    Raises:
        ApplicationError: The input is malformed, or the ledger refuses.
        StorageUnavailableError: The database is unavailable.
    """

    def __init__(self, command: Callable[Concatenate[LedgerServices, Caller, P], C]) -> None:
        self.command = command
        self.refusals: RefusalOrder = get_type_hints(command)["return"].refusals
        update_wrapper(self, command)

    def __call__(self, services: LedgerServices, caller: Caller, *args: P.args, **kwargs: P.kwargs) -> CommandResult:
        """Perform the action."""
        return perform(services, caller, self.command(services, caller, *args, **kwargs))

    async def in_group(self, services: Services, caller: Caller, *args: P.args, **kwargs: P.kwargs) -> CommandResult:
        """Execute the command in the event loop, in one commit with those of concurrent requests; nothing follows."""
        command = self.command(services, caller, *args, **kwargs)
        await services.run_blocking(require_approval_of_refund, services, caller, command)
        return await services.execute_in_group(command)


def perform(services: LedgerServices, caller: Caller, command: CodeCommand | ReservationCommand) -> CommandResult:
    """Execute a command of a use case, and do what follows from it.

    Raises:
        ApplicationError: The ledger refuses; APPROVAL_REQUIRED, it waits for a second person now.
        StorageUnavailableError: The database is unavailable.
    """
    require_approval_of_refund(services, caller, command)
    result = services.execute(command)
    if result.follow_up == "settle" and result.code.reserved:
        with after_commit("settling a revoked code"):  # the sweep continues
            settle_revoked_code(
                services.storage.ledger.execute,
                result.code.code_id,
                lambda: services.context(caller),
                services.new_id,
                services.settling_commands_max,
            )
    if result.follow_up == "send":
        with after_commit("waking a worker"):
            services.dispatcher.dispatch(result.require_reservation().reservation_id)
    return result


def require_approval_of_refund(
    services: LedgerServices, caller: Caller, command: CodeCommand | ReservationCommand
) -> None:
    """Return if a command may be executed now: it refunds no use, or no second person has to approve it.

    Raises:
        ApplicationError: APPROVAL_REQUIRED; the refusal of a refund that is not possible now.
    """
    request = _find_refund(command)
    if request is None or not services.approvals.covers(request.KIND, 1) or caller.approved_by is not None:
        return
    raise_refusal(services.storage.ledger.preview(command).result)
    note: object = getattr(command, "note", None)
    if isinstance(note, PrivateText):
        content, vault = note.content, services.storage.vault
        require_approval(services, caller, request, vault.open_text(note.text_id, content.sealed, content.key_id))
    else:
        require_approval(services, caller, request)


def _find_refund(command: CodeCommand | ReservationCommand) -> RefundUse | None:
    """Return what a command asks for, if it refunds a use."""
    if isinstance(command, RefundReservation):
        return RefundUse(command.reservation_id, "refund", command.revoke_access)
    if isinstance(command, CancelReservation):
        return RefundUse(command.reservation_id, "cancel")
    if isinstance(command, ResolveReservation) and command.resolution == "refunded":
        return RefundUse(command.reservation_id, "resolve", command.revoke_access)
    return None
