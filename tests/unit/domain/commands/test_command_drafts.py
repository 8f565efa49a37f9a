"""Commands about a recipient, as every front end gets them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from domain.commands.command_drafts import CommandDrafts
from domain.commands.context import CommandContext
from domain.values.identifiers import EmailAddress
from domain.writes import IdempotencyKey
from projections.vault.key_ring import KeyRing
from projections.vault.vault import Vault

VAULT = Vault(KeyRing(current=1, keys={1: b"p" * 32}), KeyRing(current=1, keys={1: b"m" * 32}))
CONTEXT = CommandContext(now=datetime(2026, 11, 27, tzinfo=UTC), actor="person")
ADDRESS = EmailAddress.parse("Li.Wei@example.com")
CODE = VAULT.typed_code("TEST123")
RECIPIENT_ID, RESERVATION_ID, OLD = UUID(int=1), UUID(int=2), UUID(int=9)


def _drafts() -> CommandDrafts:
    ids = iter([RECIPIENT_ID, RESERVATION_ID])
    return CommandDrafts(VAULT, lambda: next(ids))


def test_reserve_use_draft_has_the_recipient_and_a_key_of_its_digests() -> None:
    """The key is made once the digests of the recipient are known."""
    digested: list[Sequence[bytes]] = []

    def make_key(recipient: Sequence[bytes]) -> IdempotencyKey:
        digested.append(recipient)
        return IdempotencyKey(scope_digest=b"s", body_digest=b"b")

    command = _drafts().draft_reserve_use(
        CONTEXT, ADDRESS, CODE, language="en", again=OLD, group="red", make_key=make_key
    )

    assert (command.recipient.new_id, command.reservation_id) == (RECIPIENT_ID, RESERVATION_ID)
    assert command.recipient.digests == VAULT.compute_digests("recipient", "li.wei@example.com")
    assert (command.context, command.code_digests, command.language) == (CONTEXT, CODE.digests, "en")
    assert (command.again, command.group) == (OLD, "red")
    assert (command.key, digested) == (IdempotencyKey(scope_digest=b"s", body_digest=b"b"), [command.recipient.digests])


def test_request_rebind_draft_names_group_and_token() -> None:
    command = _drafts().draft_request_rebind(CONTEXT, ADDRESS, CODE, "blue", language="zh", token_of=OLD)

    assert (command.recipient.new_id, command.new_reservation_id) == (RECIPIENT_ID, RESERVATION_ID)
    assert (command.context, command.code_digests, command.group) == (CONTEXT, CODE.digests, "blue")
    assert (command.language, command.token_of) == ("zh", OLD)


def test_correct_recipient_draft_has_a_code_only_when_the_recipient_asks() -> None:
    by_person = _drafts().draft_correct_recipient(CONTEXT, ADDRESS, OLD, code=CODE, token_of=OLD)
    by_staff = _drafts().draft_correct_recipient(CONTEXT, ADDRESS, OLD)

    assert (by_person.recipient.new_id, by_person.new_reservation_id) == (RECIPIENT_ID, RESERVATION_ID)
    assert (by_person.reservation_id, by_person.code_digests, by_person.token_of) == (OLD, CODE.digests, OLD)
    assert (by_staff.code_digests, by_staff.token_of, by_staff.note) == (None, None, None)
