"""Moving an access to another group, for routes, pages and desk alike."""

from uuid import UUID

from api.errors import ApplicationError
from api.use_cases.services import Caller, Redemption, Services
from domain.commands.access.rebind import RebindReservation, RequestRebind
from domain.ports import Language, TextDraft
from domain.values.identifiers import EmailAddress, MalformedCodeError, MalformedEmailError
from projections.repositories.groups import GroupRepository


async def rebind_by_person(
    services: Services,
    typed_email: str,
    typed_code: str,
    group: str,
    *,
    token: str | None,
    language: Language,
    caller: Caller,
) -> Redemption:
    """Move a person's access to another group, or give the rebind that does so already.

    `token`: the correction token of the reservation whose access is moved, as the client sent it; None for none.

    Raises:
        ApplicationError: Malformed input, a group that takes nobody, a refusal, a limit on guessing, or the database is
            away.
    """
    vault = services.storage.vault
    try:
        address, code = EmailAddress.parse(typed_email), vault.typed_code(typed_code)
    except MalformedEmailError as bad:
        raise ApplicationError("EMAIL_INVALID") from bad
    except MalformedCodeError as bad:
        raise ApplicationError("CODE_MALFORMED") from bad
    if not await services.run_blocking(GroupRepository(services.storage).accepts_rebinds, group):
        raise ApplicationError("REBIND_NOT_POSSIBLE", why="group_closed")
    command = RequestRebind(
        context=services.context(caller),
        code_digests=code.digests,
        recipient=vault.draft_recipient(address, services.new_id()),
        new_reservation_id=services.new_id(),
        group=group,
        language=language,
        token_of=services.token_of(token),
    )
    done = await services.guarded(command, caller, code)
    return services.begun(done, command.new_reservation_id)


def rebind_by_staff(
    services: Services, reservation_id: UUID, group: str, *, caller: Caller, note: TextDraft | None = None
) -> Redemption:
    """Move the access of a reservation to whatever group; `note` is the reason, for the vault.

    Raises:
        ApplicationError: A refusal, or the database is away.
    """
    command = RebindReservation(
        context=services.context(caller),
        reservation_id=reservation_id,
        new_reservation_id=services.new_id(),
        group=group,
        note=note,
    )
    return services.begun(services.execute(command), command.new_reservation_id)
