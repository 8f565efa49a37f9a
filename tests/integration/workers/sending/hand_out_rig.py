"""A campaign with hand-outs, and a worker that sends them to a channel without a network."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace as replace_struct

from domain.command_bus import Command
from domain.commands.campaign.manage_campaign import CampaignCommand, ChangeCampaignTerms, PauseCampaign
from domain.commands.hand_out.hand_out_mail import ResendHandOut
from domain.commands.hand_out.manage_hand_out import ChangeHandOut, CreateHandOut, EndHandOut, PauseHandOut, TextChange
from domain.events.campaign import Counting
from domain.events.code_terms import NO_TERMS
from domain.model.redeem_code import RedeemCode
from domain.ports import Language, OutboundMessage, Outcome, Removal, RemovalOutcome
from domain.results import CampaignResult, HandOutResult, Result
from domain.values.identifiers import EmailAddress, generate_code
from projections.definitions.tables.code_balances import code_from_named_row
from projections.hand_outs.hand_out_lists import HandOutLists, ListRow
from projections.hand_outs.hand_out_queue import HandOutQueue
from projections.hand_outs.hand_out_reader import HandOutReader
from projections.privacy.erasure import PersonEraser
from projections.privacy.opt_outs import OptOutRepository
from tests.support.fake_channel import FakeChannel
from tests.support.inline_executor import InlineExecutor
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.ledger_bench import LedgerBench
from workers.channels.group_router import Cooldowns
from workers.sending.delivery_steps import DeliverySteps
from workers.sending.hand_outs import HandOutSender

PEOPLE = 12
SLOTS = 4
AROUND_RECORD = ("before RecordHandOutMail", "after RecordHandOutMail")
"""Where a worker ends that has sent."""


class CrashError(BaseException):
    """The worker ends here."""


class CrashingChannel:
    """The channel of a rig; the worker may end before its third email."""

    name = "fake"

    def __init__(self, rig: "HandOutRig") -> None:
        self._rig, self._count = rig, 0

    def send(self, message: OutboundMessage) -> Outcome:
        self._count += 1
        if self._rig.crash_at == "sending" and self._count > 2:
            raise CrashError
        return self._rig.channel.send(message)

    def revoke(self, removal: Removal) -> RemovalOutcome:
        raise AssertionError(removal)

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class HandOutRig:
    """A campaign with a hand-out, and a worker that sends to a channel without a network."""

    bench: LedgerBench
    steps: DeliverySteps
    channel: FakeChannel
    now: datetime
    campaign_id: UUID
    crash_at: str = ""
    texts: list[str] = field(default_factory=list)

    def create(
        self,
        per_minute: int | None = None,
        *,
        existing_codes: bool = False,
        valid_for_days: int | None = None,
        **terms: Any,
    ) -> UUID:
        command = CreateHandOut(
            context=replace_struct(self.bench.context("staff"), now=self.now),
            campaign_id=self.campaign_id,
            hand_out_id=uuid4(),
            name="Newsletter",
            terms=NO_TERMS if existing_codes else make_terms(**terms),
            existing_codes=existing_codes,
            per_minute=per_minute,
            valid_for_days=valid_for_days,
        )
        assert isinstance(self.bench.storage.ledger.execute_one(command), HandOutResult)
        return command.hand_out_id

    def add(self, hand_out_id: UUID, *emails: str, language: Language = "en", codes: int = 1, **variables: str) -> None:
        """Upload a list whose recipients get so many codes each, and are in no list yet."""
        assert all(self.upload(hand_out_id, *emails, language=language, codes=codes, **variables))

    def upload(
        self, hand_out_id: UUID, *emails: str, language: Language = "en", codes: int = 1, **variables: str
    ) -> list[bool]:
        """Upload a list; who was added."""
        lists = HandOutLists(self.bench.storage, uuid4, uuid4)
        upload = lists.begin(hand_out_id, self.campaign_id, self.now)
        rows = [ListRow(EmailAddress.parse(email), language, variables, codes=codes) for email in emails]
        added = lists.add(upload, rows, self.now)
        lists.end(upload, self.now)
        return added

    def add_with_codes(self, hand_out_id: UUID, codes: Mapping[str, UUID]) -> list[bool]:
        """Upload a list that names the codes of email addresses; who was added."""
        lists = HandOutLists(self.bench.storage, uuid4, uuid4)
        upload = lists.begin(hand_out_id, self.campaign_id, self.now)
        rows = [ListRow(EmailAddress.parse(email), "en", {}) for email in codes]
        added = lists.add(upload, rows, self.now, list(codes.values()))
        lists.end(upload, self.now)
        return added

    def issue_in_campaign(self) -> tuple[UUID, str]:
        """Issue a code of the campaign without a hand-out; its id and its text."""
        text = self.bench.issue(campaign_id=self.campaign_id)
        code_id = self.bench.reader.find_code(text)
        assert code_id is not None
        return code_id, text

    def change(self, *, counting: Counting | None = None, **changes: Any) -> None:
        context = self.bench.context("staff")
        self.manage(
            ChangeCampaignTerms(context=context, campaign_id=self.campaign_id, changes=changes, counting=counting)
        )

    def change_text(self, hand_out_id: UUID, language: Language, subject: str, body: str) -> None:
        self.change_hand_out(hand_out_id, texts={language: TextChange(subject, body)})

    def change_hand_out(self, hand_out_id: UUID, **changes: Any) -> None:
        context = replace_struct(self.bench.context("staff"), now=self.now)
        command = ChangeHandOut(context=context, campaign_id=self.campaign_id, hand_out_id=hand_out_id, **changes)
        assert isinstance(self.bench.storage.ledger.execute_one(command), HandOutResult)

    def manage(self, command: CampaignCommand) -> None:
        assert isinstance(self.bench.storage.ledger.execute_one(command), CampaignResult)

    def sender(self) -> HandOutSender:
        reader, channel = self.bench.reader, CrashingChannel(self)
        vault = self.bench.storage.vault

        def find_code(code_id: UUID) -> RedeemCode | None:
            row = reader.find_balance(code_id)
            return None if row is None else code_from_named_row(row)

        def execute(commands: Sequence[Command]) -> list[Result]:
            name = type(commands[0]).__name__
            if self.crash_at == f"before {name}":
                raise CrashError
            results = self.bench.storage.ledger.execute(commands)
            if self.crash_at == f"after {name}":
                raise CrashError
            return results

        return HandOutSender(
            queue=HandOutQueue(self.bench.storage),
            opt_outs=OptOutRepository(self.bench.storage),
            steps=replace(self.steps, execute=execute, now=lambda: self.now),
            draft_code=lambda code_id: vault.draft_code(generate_code(self.bench.random_source), code_id),
            find_code=find_code,
            executor=InlineExecutor(),
            slots=SLOTS,
            channel=lambda: channel,
            cooldowns=Cooldowns(),
        )

    def request_resend(self, code_id: UUID) -> None:
        """Execute what staff ask for, and nothing after the commit."""
        context = replace_struct(self.bench.context("staff"), now=self.now)
        self.bench.run(ResendHandOut(context=context, code_id=code_id))

    def send(self) -> int:
        return self.sender().run()

    def crash(self, at: str) -> None:
        """Run a worker that ends somewhere; nowhere without a place."""
        self.crash_at = at
        with pytest.raises(CrashError) if at else nullcontext():
            self.send()
        self.crash_at = ""

    def states(self, hand_out_id: UUID) -> dict[str, int]:
        reader = HandOutReader(self.bench.storage)
        details = reader.find_hand_out(hand_out_id)
        assert details is not None
        (counts,) = reader.count_people([details], self.now, is_campaign_over=False)
        return {name: count for name, count in counts.states.items() if count}

    def passes(self, **time: float) -> None:
        self.now += timedelta(**time)

    def recipient(self, email: str) -> UUID:
        (recipient_id,) = PersonEraser(self.bench.storage).find_recipient_ids(EmailAddress.parse(email))
        return recipient_id


def people(count: int = PEOPLE) -> list[str]:
    return [f"person{nth}@example.com" for nth in range(count)]


def pause(house: HandOutRig, hand_out_id: UUID) -> None:
    context = house.bench.context("staff")
    command = PauseHandOut(context=context, campaign_id=house.campaign_id, hand_out_id=hand_out_id)
    assert isinstance(house.bench.storage.ledger.execute_one(command), HandOutResult)


def end(house: HandOutRig, hand_out_id: UUID) -> None:
    context = house.bench.context("staff")
    command = EndHandOut(context=context, campaign_id=house.campaign_id, hand_out_id=hand_out_id)
    assert isinstance(house.bench.storage.ledger.execute_one(command), HandOutResult)


def pause_campaign(house: HandOutRig, _: UUID) -> None:
    house.manage(PauseCampaign(context=house.bench.context("staff"), campaign_id=house.campaign_id))
