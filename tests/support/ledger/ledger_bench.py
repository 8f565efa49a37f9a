"""Short ways to use a real ledger in tests."""

import random
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import psycopg

from domain.command_bus import Command
from domain.commands.campaign.manage_campaign import CreateCampaign
from domain.commands.code.issue import HandOutPlace, IssueCode
from domain.commands.context import CommandContext
from domain.commands.delivery.claim_attempt import ClaimAttempt
from domain.commands.delivery.record_bounce import RecordMailReport
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.commands.hand_out.hand_out_mail import RecordHandOutMail
from domain.commands.hand_out.manage_hand_out import CreateHandOut
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.reserve import ReserveUse
from domain.commands.reservation.settle_due import SettleDue
from domain.events.event import ActorKind
from domain.events.hand_out import SkipReason
from domain.model.hand_out import list_codes_of_line
from domain.ports import Accepted, FinalOutcome, Outcome, Rejected
from domain.results import CampaignResult, CommandResult, HandOutResult, Result
from domain.values.identifiers import EmailAddress, generate_code
from domain.writes import IdempotencyKey
from projections.hand_outs.hand_out_lists import HandOutLists, ListRow
from projections.read_models.reader import Reader
from projections.storage.bootstrap import LedgerStore
from projections.verification.drift_sample import RowDrift, compare_code
from tests.support.ledger.code_terms import make_campaign_terms, make_terms

SENT = Accepted(server="mx:25", reply_code=250)


@dataclass
class LedgerBench:
    storage: LedgerStore
    database_url: str
    random_source: random.Random = field(default_factory=lambda: random.Random(7))

    @property
    def reader(self) -> Reader:
        return Reader(self.storage)

    def context(self, actor: ActorKind = "person", request_id: str | None = None) -> CommandContext:
        return CommandContext(now=self.storage.recorder.clock.now(), actor=actor, actor_id="w1", request_id=request_id)

    def run(self, command: Command) -> Result:
        """One command in a transaction of its own."""
        return self.storage.ledger.execute([command])[0]

    def issue(
        self,
        max_uses: int | None = 1,
        *,
        bound: bool = True,
        campaign_id: UUID | None = None,
        group: str | None = None,
        **terms: Any,
    ) -> str:
        text, code_id = generate_code(self.random_source), uuid4()
        self.run(
            IssueCode(
                context=self.context("operator"),
                code_id=code_id,
                text=self.storage.vault.draft_code(text, code_id),
                terms=make_terms(max_uses=max_uses, group=group, **terms),
                bound=bound,
                campaign_id=campaign_id,
            )
        )
        return text

    def create_campaign(self, **terms: Any) -> UUID:
        campaign_id = uuid4()
        result = self.storage.ledger.execute_one(
            CreateCampaign(
                context=self.context("operator"), campaign_id=campaign_id, terms=make_campaign_terms(**terms)
            )
        )
        assert isinstance(result, CampaignResult), result
        return campaign_id

    def create_hand_out(self, people: int = 1, *, codes: int = 1, ends_upload: bool = True, **terms: Any) -> UUID:
        """Create a hand-out with a list of `person0@example.com` and so on; the id of its campaign."""
        campaign_id, hand_out_id, context = self.create_campaign(), uuid4(), self.context("staff")
        create = CreateHandOut(
            context=context,
            campaign_id=campaign_id,
            hand_out_id=hand_out_id,
            name="Newsletter",
            terms=make_terms(**terms),
        )
        assert isinstance(self.storage.ledger.execute_one(create), HandOutResult)
        lists = HandOutLists(self.storage, uuid4, uuid4)
        upload = lists.begin(hand_out_id, campaign_id, context.now)
        rows = [ListRow(EmailAddress.parse(f"person{nth}@example.com"), "en", {}, codes=codes) for nth in range(people)]
        lists.add(upload, rows, context.now)
        if ends_upload:
            lists.end(upload, context.now)
        return campaign_id

    def reserve(
        self, code: str, email: str, *, reservation_id: UUID | None = None, key: IdempotencyKey | None = None
    ) -> ReserveUse:
        vault = self.storage.vault
        return ReserveUse(
            context=self.context(),
            code_digests=vault.compute_digests("code", code),
            recipient=vault.draft_recipient(EmailAddress.parse(email), uuid4()),
            reservation_id=reservation_id or uuid4(),
            language="zh",
            key=key,
        )

    def redeem(self, code: str, email: str) -> Result:
        return self.run(self.reserve(code, email))

    def attempt(self, reservation_id: UUID, outcome: Outcome = SENT, *, channel: str = "smtp") -> CommandResult:
        context = self.context("worker", "t1")
        claim = ClaimAttempt(context=context, reservation_id=reservation_id, channel=channel, case_id=uuid4())
        reservation = done(self.run(claim)).require_reservation()
        words = outcome.reply if isinstance(outcome, Rejected) else None
        return done(
            self.run(
                RecordOutcome(
                    context=context,
                    reservation_id=reservation_id,
                    delivery=reservation.delivery,
                    attempt=reservation.last_attempt,
                    outcome=outcome,
                    case_id=uuid4(),
                    reply=self.storage.vault.seal_text(words, uuid4(), reservation_id) if words else None,
                )
            )
        )

    def bounce(self, reservation_id: UUID) -> CommandResult:
        """The first email came back, which opens a case."""
        context, case_id = self.context("key"), uuid4()
        bounce = RecordMailReport(
            context=context,
            reservation_id=reservation_id,
            delivery=1,
            reason="mailbox_full",
            case_id=case_id,
            evidence="token",
        )
        return done(self.run(bounce))

    def settle(self, reservation_id: UUID) -> Result:
        return self.run(SettleDue(context=self.context("sweep"), reservation_id=reservation_id, case_id=uuid4()))

    def hand_out_code(self, code_id: UUID, outcome: FinalOutcome | SkipReason = SENT) -> str:
        """Issue the codes of a recipient of a list, and record the outcome of their first email; the first code."""
        query = "SELECT hand_out_id, campaign_id, recipient_id, codes FROM hand_out_recipients WHERE code_id = %s"
        ((hand_out_id, campaign_id, recipient_id, codes),) = self.rows(query, code_id)
        text = ""
        for each in reversed(list_codes_of_line(code_id, codes)):
            text, line_id = generate_code(self.random_source), None if each == code_id else code_id
            issue = IssueCode(
                context=self.context("worker"),
                code_id=each,
                text=self.storage.vault.draft_code(text, each),
                terms=make_terms(),
                bound=True,
                campaign_id=campaign_id,
                handed_out=HandOutPlace(hand_out_id, recipient_id, codes, line_id),
            )
            done(self.run(issue))
        done(self.run(RecordHandOutMail(context=self.context("worker"), code_id=code_id, mail=1, outcome=outcome)))
        return text

    def rows(self, query: str, *params: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url) as conn:
            return conn.execute(query.encode(), params).fetchall()


def correction(
    bench: LedgerBench, reservation_id: UUID, email: str, *, actor: ActorKind = "staff", code: str | None = None
) -> CorrectRecipient:
    vault = bench.storage.vault
    return CorrectRecipient(
        context=bench.context(actor),
        reservation_id=reservation_id,
        recipient=vault.draft_recipient(EmailAddress.parse(email), uuid4()),
        new_reservation_id=uuid4(),
        code_digests=vault.compute_digests("code", code) if code else None,
        token_of=reservation_id,
    )


def done(result: Result) -> CommandResult:
    """The result of a command that was not refused."""
    assert isinstance(result, CommandResult), result
    return result


def check_code(storage: LedgerStore, code_id: UUID) -> list[RowDrift]:
    """Compare one code's rows with its log; no event of it may break a rule."""
    drifts, findings, _ = compare_code(storage, code_id)
    assert findings == []
    return drifts


def assert_no_drift(bench: LedgerBench) -> None:
    """Invariant 7 for every code there is: read models equal a fold of the log."""
    for (code_id,) in bench.rows("SELECT code_id FROM code_balances"):
        assert check_code(bench.storage, code_id) == []
