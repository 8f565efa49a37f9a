"""A decision that omits what its command leaves is found: each command, and each thing that it leaves, in turn."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast, get_args
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.command_bus import COMMANDS, AnyCommand, Command, CommandRule
from domain.commands.access.rebind import RequestRebind
from domain.commands.code.import_code import ImportCode
from domain.commands.code.issue import IssueCode
from domain.commands.context import CampaignDecision, Decision
from domain.commands.hand_out.hand_out_code import HandOutCode
from domain.commands.hand_out.manage_hand_out import ChangeHandOut
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.reserve import ReserveUse
from domain.policy import Policy
from domain.ports import RecipientDraft
from domain.results import AnyResult
from domain.values.identifiers import EmailAddress
from domain.working_set import WorkingSet
from tests.contracts.conftest import settings_for
from tests.contracts.test_same_histories import run_everything
from tests.simulation.checks.complete_writes import find_omitted_writes
from tests.simulation.services.store import MemoryStore
from tests.support.ledger.every_command import EveryCommand
from tests.support.ledger.random_commands import START
from tests.support.ledger.stores import ContractStore, memory_store

BATCHES: Final = 1500
SEEDS: Final = (2, 3, 1)
TEXTS: Final = ("note", "reply")
WITH_TEXT: Final = [kind for kind in get_args(Command) if {*TEXTS} & {*kind.__struct_fields__}]
NOTHING: Final[Mapping[str, Any]] = {
    "recipients": (),
    "code_text": None,
    "text": None,
    "key": None,
    "given_code": None,
    "hand_out_texts": {},
}
"""What a decision leaves if it omits a field."""
LEFT: Final[Mapping[str, Sequence[type[AnyCommand]]]] = {
    "recipients": [ReserveUse, CorrectRecipient, ImportCode],
    "code_text": [IssueCode, ImportCode],
    "text": WITH_TEXT,
    "key": [ReserveUse],
    "given_code": [HandOutCode],
    "hand_out_texts": [ChangeHandOut],
    "leave_refusal": [ReserveUse, CorrectRecipient, RequestRebind],
}
"""Commands by what they leave."""


class CommandsWithTexts(EveryCommand):
    """Every command that may bring a note or a reply brings one; persons correct addresses, too, and more are new."""

    def _anything(self, known_ids: Sequence[UUID]) -> Command:
        command = super()._anything(known_ids)
        if isinstance(command, CorrectRecipient) and self.random.random() < 0.5:
            typed = self.vault.typed_code(self.random.choice(self.codes)).digests
            command = replace(command, context=self.context(), code_digests=typed)
        for name in {*TEXTS} & {*command.__struct_fields__}:
            if getattr(command, name) is None:
                command = replace(
                    command, **{name: self.vault.seal_text("why", UUID(int=self.random.getrandbits(128)))}
                )
        return command

    def _person(self) -> RecipientDraft:
        if self.random.random() < 0.7:
            return super()._person()
        return self.vault.draft_recipient(EmailAddress.parse(f"{self.random.random()}@example.com"), self.new_id())


def run_histories() -> None:
    """Run histories in memory.

    Raises:
        AssertionError: A decision leaves something otherwise than its command says.
    """
    vault = settings_for("postgresql:///none").open_vault()

    def compare(commands: Sequence[AnyCommand], working_set: WorkingSet, results: Sequence[AnyResult]) -> None:
        assert [*find_omitted_writes(working_set, commands, results)] == []

    for seed in SEEDS:
        stores = [memory_store(vault, START) for _ in range(2)]
        cast("MemoryStore", stores[0].recorder).on_decision = compare
        run_everything(stores, CommandsWithTexts(vault, seed=seed), BATCHES)


def omitting(rule: CommandRule, name: str) -> CommandRule:
    """A rule whose decisions omit one field, or whose refusals are not left."""
    if name == "leave_refusal":
        return rule._replace(leave_refusal=None)
    decide: Callable[[Any, WorkingSet, Policy], Decision | CampaignDecision] = rule.decide

    def omit(command: AnyCommand, working_set: WorkingSet, policy: Policy) -> Decision | CampaignDecision:
        return replace(decide(command, working_set, policy), **{name: NOTHING[name]})

    return rule._replace(decide=omit)


def test_decisions_leave_the_rows_of_their_commands() -> None:
    """Nothing is omitted, and nothing else is left."""
    run_histories()


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, kinds in LEFT.items() for kind in kinds])
def test_omitted_write_is_found(name: str, kind: type[AnyCommand], monkeypatch: pytest.MonkeyPatch) -> None:
    """A new command that leaves something has a row in `LEFT`."""
    monkeypatch.setitem(cast("dict[type[AnyCommand], CommandRule]", COMMANDS), kind, omitting(COMMANDS[kind], name))

    with pytest.raises(AssertionError, match="writes: "):
        run_histories()


def test_both_stores_keep_the_rows_of_decisions(postgres: ContractStore, memory: ContractStore) -> None:
    """One keeps what decisions say, and the other what it works out from the commands."""
    run_everything((postgres, memory), CommandsWithTexts(memory.vault, seed=SEEDS[0]), 300)

    assert memory.texts() == postgres.texts()
    assert memory.refusals() == postgres.refusals()
    assert memory.unknown_code_requests() == postgres.unknown_code_requests()
    assert memory.outbox() == postgres.outbox()
