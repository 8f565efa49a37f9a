"""What staff and integrators do about one code. Each function is a use case: see `UseCase`."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from api.use_cases.services import Caller, LedgerServices
from api.use_cases.use_case import UseCase
from domain.application import case_ids
from domain.commands.add_note import NoteOnCode
from domain.commands.campaign.join_campaign import JoinCampaign
from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.pause import PauseCode, ResumeCode
from domain.commands.code.revoke import RevokeCode
from domain.events.campaign import Counting
from domain.events.code_terms import CodeTerms


@UseCase
def change_terms(
    services: LedgerServices,
    caller: Caller,
    code_id: UUID,
    changes: Mapping[str, Any],
    *,
    expected: CodeTerms | None = None,
    release_binding: bool = False,
    counting: Counting | None = None,
    note: str = "",
) -> ChangeTerms:
    """Change the terms that `changes` names, if the terms are still the expected ones; None expects any.

    `changes` may name `valid_for_days`, as in `ChangeTerms`. `release_binding` binds the code to its next recipient
    instead of the one it was issued to. `counting` says which uses a changed limit counts.
    """
    return ChangeTerms(
        context=services.context(caller),
        code_id=code_id,
        note=services.note(note),
        expected=expected,
        release_binding=release_binding,
        counting=counting,
        changes=changes,
    )


@UseCase
def join_campaign(services: LedgerServices, caller: Caller, code_id: UUID, campaign_id: UUID) -> JoinCampaign:
    """Let a code belong to a campaign permanently; its uses so far do not count there."""
    return JoinCampaign(context=services.context(caller), code_id=code_id, campaign_id=campaign_id)


@UseCase
def pause(services: LedgerServices, caller: Caller, code_id: UUID, *, note: str = "") -> PauseCode:
    """Refuse new reservations for now."""
    return PauseCode(context=services.context(caller), code_id=code_id, note=services.note(note))


@UseCase
def resume(services: LedgerServices, caller: Caller, code_id: UUID, *, note: str = "") -> ResumeCode:
    """Accept new reservations again."""
    return ResumeCode(context=services.context(caller), code_id=code_id, note=services.note(note))


@UseCase
def revoke(services: LedgerServices, caller: Caller, code_id: UUID, *, note: str = "") -> RevokeCode:
    """Refuse new reservations permanently, and settle what the code holds."""
    ids = case_ids(services.new_id)
    return RevokeCode(context=services.context(caller), code_id=code_id, case_ids=ids, note=services.note(note))


@UseCase
def add_note(
    services: LedgerServices, caller: Caller, code_id: UUID, *, note: str, note_id: UUID | None = None
) -> NoteOnCode:
    """Add a note to a code's history; with the same `note_id` again nothing is added."""
    text = services.storage.vault.seal_text(note, note_id or services.new_id())
    return NoteOnCode(context=services.context(caller), code_id=code_id, note=text)
