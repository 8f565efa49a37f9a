"""Commands of people, workers, staff and time, the same for both stores: ids, time and choices come from a seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from domain.command_bus import Command
from domain.commands.code.issue import IssueCode
from domain.commands.context import CommandContext
from domain.commands.delivery.accept_invite import AcceptInvite
from domain.commands.delivery.claim_attempt import ClaimAttempt
from domain.commands.delivery.record_bounce import RecordMailReport
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.commands.reservation.refund import RefundReservation
from domain.commands.reservation.reserve import ReserveUse
from domain.commands.reservation.resolve_case import RefundAfterOutage, Resolution, ResolveReservation
from domain.commands.reservation.settle_due import SettleDue
from domain.events.event import ActorKind
from domain.ports import Accepted, Outcome, OutcomeUnknown, Rejected, RetryLater
from domain.results import CommandResult, Result
from domain.values.identifiers import EmailAddress, generate_code
from domain.writes import IdempotencyKey
from projections.vault.vault import Vault
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.stores import ContractStore

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SENT = Accepted(server="mx:25", reply_code=250)
BUSY = Rejected(server="mx:25", reason="temporary", final=False, reply_code=451, reply="greylisted")
REFUSED = Rejected(server="mx:25", reason="address_refused", final=True, about_address=True, reply_code=550)
FAILED = Rejected(server="mx:25", reason="message_refused", final=True, reply_code=552, reply="too big")
LOST = OutcomeUnknown(server="mx:25", cause="connection_lost")


def done(result: Result) -> CommandResult:
    assert isinstance(result, CommandResult), result
    return result


@dataclass
class RandomCommands:
    """Makes commands; the same seed makes the same ones."""

    vault: Vault
    seed: int = 1
    now: datetime = START
    codes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def new_id(self) -> UUID:
        return UUID(int=self.random.getrandbits(128), version=4)

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def context(self, actor: ActorKind = "person", request_id: str | None = None) -> CommandContext:
        return CommandContext(now=self.now, actor=actor, actor_id="w1", request_id=request_id)

    def issue(self, max_uses: int | None = 1, *, bound: bool = True, expires_in_s: float | None = None) -> IssueCode:
        """A new code; its text is the last of `codes`."""
        text, code_id = generate_code(self.random), self.new_id()
        self.codes.append(text)
        return IssueCode(
            context=self.context("operator"),
            code_id=code_id,
            text=self.vault.draft_code(text, code_id),
            terms=make_terms(
                max_uses=max_uses,
                expires_at=None if expires_in_s is None else self.now + timedelta(seconds=expires_in_s),
            ),
            bound=bound,
        )

    def redeem(
        self,
        person: str = "li",
        *,
        code: str | None = None,
        again: UUID | None = None,
        key: tuple[bytes, bytes] | None = None,
    ) -> ReserveUse:
        """A redeem of a code (the last one if none is named). `key`: digests of scope and body."""
        return ReserveUse(
            context=self.context(),
            code_digests=self.vault.compute_digests("code", code or self.codes[-1]),
            recipient=self.vault.draft_recipient(EmailAddress.parse(f"{person}@example.com"), self.new_id()),
            reservation_id=self.new_id(),
            language="zh",
            again=again,
            key=None if key is None else IdempotencyKey(scope_digest=key[0], body_digest=key[1]),
        )

    def claim(self, reservation_id: UUID) -> ClaimAttempt:
        context = self.context("worker", "t1")
        return ClaimAttempt(context=context, reservation_id=reservation_id, channel="smtp", case_id=self.new_id())

    def record(self, reservation_id: UUID, outcome: Outcome = SENT, attempt: int = 1) -> RecordOutcome:
        reply = outcome.reply if isinstance(outcome, Rejected) else ""
        return RecordOutcome(
            context=self.context("worker", "t1"),
            reservation_id=reservation_id,
            delivery=1,
            attempt=attempt,
            outcome=outcome,
            case_id=self.new_id(),
            reply=self.vault.seal_text(reply, self.new_id(), reservation_id) if reply else None,
        )

    def settle(self, reservation_id: UUID) -> SettleDue:
        return SettleDue(context=self.context("sweep"), reservation_id=reservation_id, case_id=self.new_id())

    def refund(self, reservation_id: UUID, *, note: str | None = None) -> RefundReservation:
        text = None if note is None else self.vault.seal_text(note, self.new_id(), reservation_id)
        context = self.context("staff", str(self.new_id()))
        return RefundReservation(context=context, reservation_id=reservation_id, cause="staff", note=text)

    def resolve(self, reservation_id: UUID, resolution: Resolution) -> ResolveReservation:
        context = self.context("staff", str(self.new_id()))
        return ResolveReservation(
            context=context, reservation_id=reservation_id, resolution=resolution, case_id=self.new_id()
        )

    def anything(self, known_ids: Sequence[UUID]) -> list[Command]:
        """A batch of one to four commands; `known` are reservations that they may name."""
        if self.random.random() < 0.2:
            self.passes(self.random.choice([1, 12, 30, 70, 70, 400, 2000]))
        if self.random.random() < 0.01:
            self.passes(8 * 86400)
        return [self._anything(known_ids) for _ in range(self.random.choice([1, 1, 2, 4]))]

    def _anything(self, known_ids: Sequence[UUID]) -> Command:
        pick = self.random.choice
        if not known_ids or self.random.random() < 0.35:
            again = pick([None, None, None, *known_ids[-3:]])
            key = pick([None, None, (pick([b"k1", b"k2", b"k3"]), pick([b"b1", b"b1", b"b2"]))])
            code = pick([*self.codes, *self.codes, "NOSUCHCODE"])
            return self.redeem(f"p{self.random.randrange(6)}", code=code, again=again, key=key)
        reservation_id = pick([*known_ids, *known_ids[-4:]])
        case: dict[str, Any] = {"reservation_id": reservation_id, "case_id": self.new_id()}
        staff = self.context("staff", pick(["s1", "s2", "s3"]))
        later: Outcome = RetryLater(server="team", reason="full", wait=timedelta(seconds=90))
        ends: list[Outcome] = [SENT, SENT, SENT, BUSY, REFUSED, FAILED, LOST, later]
        choices: list[Command] = [
            self.claim(reservation_id),
            self.claim(reservation_id),
            self.claim(reservation_id),
            self.record(reservation_id, pick(ends), pick([1, 1, 2])),
            self.record(reservation_id, pick(ends), pick([1, 1, 2])),
            self.settle(reservation_id),
            self.settle(reservation_id),
            self.refund(reservation_id, note=pick([None, "asked for it"])),
            AcceptInvite(context=self.context(), delivery=1, **case),
            RecordMailReport(context=self.context("key"), delivery=1, reason="mailbox_full", evidence="token", **case),
            ResolveReservation(context=staff, resolution=pick(["sent", "refunded", "retry"]), **case),
            RefundAfterOutage(context=staff, reservation_id=reservation_id, include_sent=pick([True, False])),
        ]
        return pick(choices)


@dataclass
class StoreBench:
    store: ContractStore
    acts: RandomCommands

    def run(self, *commands: Command) -> list[Result]:
        return self.store.ledger.execute(commands)

    def reserved(self, person: str = "li") -> UUID:
        return done(self.run(self.acts.redeem(person))[0]).require_reservation().reservation_id

    def attempt(self, reservation_id: UUID, outcome: Outcome = SENT) -> None:
        claimed = done(self.run(self.acts.claim(reservation_id))[0]).require_reservation()
        self.run(self.acts.record(reservation_id, outcome, claimed.last_attempt))
