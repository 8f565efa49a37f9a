"""The call by hand (docs/runbook.md): reserve through the ledger, on the caller's side; a message holds only an id."""

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from domain.deciding import Command
from domain.decisions.command import Context
from domain.decisions.rebind import RequestRebind
from domain.decisions.reserve import ReserveUse
from domain.errors import Refusal
from domain.values import EmailAddress, MalformedCodeError, MalformedEmailError, normal_code

if TYPE_CHECKING:
    from workers.runtime import Runtime


def reserve_by_hand(
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
        The id of the reservation (or rebind): a new one, or the one that this person has already.

    Raises:
        ValueError: The input is malformed or the ledger refuses; the message is the refusal's code.
    """
    if is_rebind and not group_id:
        raise ValueError("is_rebind=True needs group_id: the name of the group to move to")
    try:
        address, code = EmailAddress.parse(email), normal_code(redeem_code)
    except MalformedEmailError as bad:
        raise ValueError("EMAIL_INVALID") from bad
    except MalformedCodeError as bad:
        raise ValueError("CODE_MALFORMED") from bad
    command = _rebind(runtime, address, code, group_id) if is_rebind and group_id else None
    return _reserved(runtime, command or _reserve(runtime, address, code, group_id))


def _reserve(runtime: "Runtime", address: EmailAddress, code: str, group: str | None) -> ReserveUse:
    vault = runtime.storage.vault
    return ReserveUse(
        context=Context(now=runtime.storage.recorder.clock.now(), actor="operator"),
        code_digests=vault.digests("code", code),
        recipient=vault.recipient(address, uuid4()),
        reservation_id=uuid4(),
        language=runtime.settings.default_language,
        group=group,
    )


def _rebind(runtime: "Runtime", address: EmailAddress, code: str, group: str) -> RequestRebind:
    vault = runtime.storage.vault
    return RequestRebind(
        context=Context(now=runtime.storage.recorder.clock.now(), actor="operator"),
        code_digests=vault.digests("code", code),
        recipient=vault.recipient(address, uuid4()),
        new_reservation_id=uuid4(),
        group=group,
        language=runtime.settings.default_language,
    )


def _reserved(runtime: "Runtime", command: Command) -> UUID:
    result = runtime.execute([command])[0]
    if isinstance(result, Refusal):
        raise ValueError(result.code) from result  # noqa: TRY004 - a refusal, not a wrong type
    return result.about().reservation_id
