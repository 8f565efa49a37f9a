"""A ledger whose accesses end, with and without a campaign that reminds; tests move its clock."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from msgspec import structs

from domain.commands.access.rebind import RequestRebind
from domain.commands.campaign.manage_campaign import ChangeCampaignTerms
from domain.commands.code.issue import IssueCode
from domain.commands.context import CommandContext
from domain.commands.delivery.accept_invite import AcceptInvite
from domain.commands.delivery.claim_attempt import ClaimAttempt
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.ports import Language
from domain.results import CampaignResult
from domain.values.identifiers import EmailAddress, generate_code
from projections.privacy.opt_outs import OptOutRepository
from projections.read_models.campaign_list import CampaignReader
from projections.work_queue.due_access import DueAccessRows
from projections.work_queue.outbox import OutboxRows
from tests.support.fake_channel import FakeChannel
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.ledger_bench import SENT, LedgerBench, done
from workers.sending.delivery_steps import DeliverySteps
from workers.sending.notices import NoticeSender
from workers.sending.reminders import ReminderRules
from workers.sending.removals import AccessExpirer

REMIND_DAYS, VALIDITY_DAYS = 5, 30
SECOND = timedelta(seconds=1)
UNTIL_DUE = timedelta(days=VALIDITY_DAYS - REMIND_DAYS)


@dataclass
class AccessRig:
    """A ledger whose clock a test moves, and its channel."""

    bench: LedgerBench
    steps: DeliverySteps
    channel: FakeChannel
    now: datetime
    woken: list[UUID] = field(default_factory=list)

    def context(self, actor: Any = "sweep") -> CommandContext:  # noqa: ANN401 - one of the kinds of actors
        return CommandContext(now=self.now, actor=actor, actor_id="w1", request_id="t1")

    def issue(self, days: int | None = 30, group: str | None = "red", campaign_id: UUID | None = None) -> str:
        """A code whose accesses end."""
        text, code_id, vault = generate_code(self.bench.random_source), uuid4(), self.bench.storage.vault
        self.bench.run(
            IssueCode(
                context=self.context("operator"),
                code_id=code_id,
                text=vault.draft_code(text, code_id),
                terms=make_terms(max_uses=5, validity_days=days, group=group),
                bound=False,
                campaign_id=campaign_id,
            )
        )
        return text

    def send(self, reservation_id: UUID, channel: str = "smtp") -> None:
        self.bench.run(
            ClaimAttempt(
                context=self.context("worker"), reservation_id=reservation_id, channel=channel, case_id=uuid4()
            )
        )
        self.bench.run(
            RecordOutcome(
                context=self.context("worker"),
                reservation_id=reservation_id,
                delivery=1,
                attempt=1,
                outcome=SENT,
                case_id=uuid4(),
            )
        )

    def grant_access(self, code: str, email: str = "li.wei@example.com", channel: str = "smtp") -> UUID:
        command = structs.replace(self.bench.reserve(code, email), context=self.context("person"))
        reservation_id = done(self.bench.run(command)).require_reservation().reservation_id
        self.send(reservation_id, channel)
        return reservation_id

    def clean_up(self, channel: Any = None) -> dict[str, int]:  # noqa: ANN401 - a channel or the usual one
        return dict(self.keeper(channel).work(lambda: False))

    def keeper(self, channel: Any = None) -> AccessExpirer:  # noqa: ANN401 - the same
        return AccessExpirer(
            rows=DueAccessRows(self.bench.storage),
            execute=self.bench.storage.ledger.execute,
            addresses=self.bench.reader.find_recipients,
            message_factory=self.steps.message_factory,
            channel=channel or self.channel,
            by_group=lambda _: {"blue": "webhook"},
            context=self.context,
            new_id=uuid4,
            draft_text=self.steps.draft_text,
            publish=self.woken.extend,
        )

    def postman(self) -> NoticeSender:
        storage, steps = self.bench.storage, replace(self.steps, now=lambda: self.now)
        rules = ReminderRules(OptOutRepository(storage), CampaignReader(storage).find_terms_of_code)
        return NoticeSender(OutboxRows(storage), self.bench.reader.find_reservation, steps, self.channel, rules=rules)

    def post(self) -> None:
        while self.postman().run():
            pass

    def rebind(self, code: str, group: str = "blue") -> UUID:
        vault = self.bench.storage.vault
        command = RequestRebind(
            context=self.context("person"),
            code_digests=vault.compute_digests("code", code),
            recipient=vault.draft_recipient(EmailAddress.parse("li.wei@example.com"), uuid4()),
            new_reservation_id=uuid4(),
            group=group,
            language="en",
            token_of=self.newest_use(),
        )
        return done(self.bench.run(command)).require_reservation().reservation_id

    def newest_use(self) -> UUID:
        """The newest reservation that is no rebind: its correction token is the one that its person has."""
        statement = "SELECT reservation_id FROM reservations WHERE kind = 'redeem' ORDER BY reserved_at DESC LIMIT 1"
        reservation_id: UUID = self.bench.rows(statement)[0][0]
        return reservation_id

    def kinds(self) -> list[str]:
        rows = self.bench.rows("SELECT topic FROM ledger_events ORDER BY notification_id")
        return [topic.split(":")[0] for (topic,) in rows]


@dataclass
class ReminderRig(AccessRig):
    """A ledger with a campaign that reminds."""

    campaign_id: UUID = field(kw_only=True)

    def invite(self, email: str = "li.wei@example.com", language: Language = "en") -> UUID:
        code = self.issue(VALIDITY_DAYS, campaign_id=self.campaign_id)
        command = structs.replace(self.bench.reserve(code, email), language=language, context=self.context("person"))
        reservation_id = done(self.bench.run(command)).require_reservation().reservation_id
        self.send(reservation_id)
        return reservation_id

    def accept(self, reservation_id: UUID) -> None:
        context = self.context("person")
        done(self.bench.run(AcceptInvite(context=context, reservation_id=reservation_id, delivery=1, case_id=uuid4())))

    def change_terms(self, **changes: object) -> None:
        command = ChangeCampaignTerms(context=self.context("operator"), campaign_id=self.campaign_id, changes=changes)
        assert isinstance(self.bench.storage.ledger.execute_one(command), CampaignResult)

    def sweep(self) -> list[UUID]:
        """Do what is due and send what waits; the reservations whose recipients were reminded so far."""
        self.clean_up()
        self.post()
        return [each.reservation_id for each in self.channel.sent if each.template == "invite_reminder"]

    def outcome(self, reservation_id: UUID) -> str | None:
        statement = "SELECT outcome FROM outbox WHERE template = 'invite_reminder' AND reservation_id = %s"
        ((outcome,),) = self.bench.rows(statement, reservation_id)
        return None if outcome is None else str(outcome)
