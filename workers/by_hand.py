"""The manual call of INCIDENT.md: reserve through the ledger, on the caller's side, so the message holds only an id."""

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from domain.decisions.command import Context
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
        group_id: If given, the code must be one of this group.
        is_rebind: Moving an access to another group; not part of this version.

    Returns:
        The id of the reservation: a new one, or the one that this person has already.

    Raises:
        ValueError: The input is malformed or the ledger refuses; the message is the refusal's code.
    """
    if is_rebind:
        raise ValueError("is_rebind=True is not supported by this version: only new invitations can be reserved")
    try:
        address, code = EmailAddress.parse(email), normal_code(redeem_code)
    except MalformedEmailError as bad:
        raise ValueError("EMAIL_INVALID") from bad
    except MalformedCodeError as bad:
        raise ValueError("CODE_MALFORMED") from bad
    vault = runtime.storage.vault
    command = ReserveUse(
        context=Context(now=runtime.storage.recorder.clock.now(), actor="operator"),
        code_digests=vault.digests("code", code),
        recipient=vault.recipient(address, uuid4()),
        reservation_id=uuid4(),
        language=runtime.settings.default_language,
        group=group_id,
    )
    result = runtime.execute([command])[0]
    if isinstance(result, Refusal):
        raise ValueError(result.code) from result  # noqa: TRY004 - a refusal, not a wrong type
    return result.about().reservation_id
