"""Refused requests on typed codes: staff see those of a code, and all of them show whether codes are guessed."""

from collections.abc import Sequence
from typing import Protocol

from domain.commands.context import CommandContext
from domain.errors import CodeUnknown, IdempotencyKeyReused, Refusal
from domain.ports import RecipientDraft
from domain.working_set import WorkingSet
from domain.writes import RefusedRequest


class _OnTypedCode(Protocol):
    @property
    def context(self) -> CommandContext: ...

    @property
    def code_digests(self) -> Sequence[bytes] | None: ...

    @property
    def recipient(self) -> RecipientDraft: ...


def leave_refused_request(command: _OnTypedCode, refusal: Refusal, working_set: WorkingSet) -> None:
    """Leave a refused request of a person to the store: that of a code that exists, or only its time.

    A reused key says nothing about the code.
    """
    if command.code_digests is None or command.context.actor != "person":
        return
    code_id, writes = working_set.code_id(command.code_digests), working_set.writes
    if code_id is None or isinstance(refusal, CodeUnknown):
        writes.unknown_code_requests.append(command.context.now)
    elif not isinstance(refusal, IdempotencyKeyReused):
        writes.refused_requests.append(RefusedRequest(code_id, command.context.now, command.recipient, refusal.code))
