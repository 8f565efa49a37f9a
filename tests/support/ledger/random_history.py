"""Random histories on a real ledger: people, workers, staff and time do what they like to some codes."""

import random
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from msgspec.structs import replace

from domain.application import case_ids
from domain.command_bus import Command
from domain.commands.add_note import NoteOnCode, NoteOnReservation
from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.pause import PauseCode, ResumeCode
from domain.commands.code.revoke import RevokeCode
from domain.commands.context import CommandContext
from domain.commands.delivery.accept_invite import AcceptInvite
from domain.commands.delivery.claim_attempt import ClaimAttempt
from domain.commands.delivery.record_bounce import RecordMailReport
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.commands.reservation.cancel import CancelReservation
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.refund import RefundReservation
from domain.commands.reservation.request_resend import RequestResend
from domain.commands.reservation.resolve_case import ResolveReservation
from domain.commands.reservation.settle_due import SettleDue
from domain.events.event import ActorKind
from domain.ports import Accepted, Outcome, OutcomeUnknown, Rejected
from domain.results import CommandResult, Result
from domain.values.identifiers import EmailAddress
from tests.support.ledger.ledger_bench import LedgerBench

OUTCOMES: tuple[Outcome, ...] = (
    Accepted(server="mx:25", reply_code=250),
    Accepted(server="mx:25", reply_code=250),
    Rejected(server="mx:25", reason="temporary", final=False, reply_code=451),
    Rejected(server="mx:25", reason="address_refused", final=True, about_address=True, reply_code=550),
    OutcomeUnknown(server="mx:25", cause="connection_lost"),
)
ACTS = ("redeem", "redeem", "redeem", "claim", "claim", "record", "record", "settle", "refund", "accept", "bounce")
STAFF_ACTS = ("correct", "resend", "cancel", "note", "pause", "resume", "resume", "terms", "note on code", "revoke")
CODE_ACTS = frozenset({"pause", "resume", "terms", "note on code", "revoke"})
RECORDED_AT_ONCE = 0.6
REVOKED = 0.05
"""How often a revoking is really one: a code that is revoked has little left to happen to it."""


class RandomHistory:
    """Lets things happen; the same seed gives the same history."""

    def __init__(self, bench: LedgerBench, seed: int, codes: int = 2) -> None:
        self.bench, self.random = bench, random.Random(seed)
        limits = (1, 4, 9, None)
        self.codes = [bench.issue(self.random.choice(limits), bound=self.random.random() < 0.3) for _ in range(codes)]
        self.reservations: list[UUID] = []
        self.shift = timedelta()

    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            if self.random.random() < 0.1:
                self.shift += timedelta(seconds=self.random.choice([30, 70, 2000]))
            action = self.random.choice((*ACTS, "resolve", *STAFF_ACTS))
            if action in CODE_ACTS:
                self._run(self._about_code(action))
                continue
            if action == "redeem" or not self.reservations:
                self._run(self._redeem())
                continue
            reservation_id = self.random.choice(self.reservations)
            self._run(self._about(action, reservation_id))
            if action == "claim" and self.random.random() < RECORDED_AT_ONCE:
                self._run(self._about("record", reservation_id))

    def _run(self, command: Command) -> None:
        result: Result = self.bench.run(command)
        if (
            isinstance(result, CommandResult)
            and result.reservation
            and result.reservation.reservation_id not in self.reservations
        ):
            self.reservations.append(result.reservation.reservation_id)

    def _redeem(self) -> Command:
        person = f"p{self.random.randrange(7)}@example.com"
        command = self.bench.reserve(self.random.choice(self.codes), person)
        again = self.random.choice([None, None, *self.reservations[-2:]])
        return replace(command, context=self._context("person"), again=again)

    def _about_code(self, action: str) -> Command:
        code_id = self.bench.reader.find_code(self.random.choice(self.codes))
        assert code_id is not None
        about: dict[str, Any] = {"context": self._context("staff"), "code_id": code_id}
        if action == "revoke" and self.random.random() < REVOKED:
            return RevokeCode(**about, case_ids=case_ids(uuid4))
        if action == "terms":
            return ChangeTerms(**about, changes={"max_uses": self.random.choice([1, 5, 20, None])})
        if action == "note on code":
            return NoteOnCode(**about, note=self.bench.storage.vault.seal_text("a note", uuid4()))
        return PauseCode(**about) if action == "pause" else ResumeCode(**about)

    def _by_staff(self, action: str, reservation_id: UUID) -> Command:
        vault = self.bench.storage.vault
        about: dict[str, Any] = {"context": self._context("staff"), "reservation_id": reservation_id}
        if action == "correct":
            address = EmailAddress.parse(f"p{self.random.randrange(7)}@example.com")
            draft = vault.draft_recipient(address, uuid4())
            return CorrectRecipient(**about, recipient=draft, new_reservation_id=uuid4())
        if action == "note":
            return NoteOnReservation(**about, note=vault.seal_text("a note", uuid4(), reservation_id))
        return RequestResend(**about) if action == "resend" else CancelReservation(**about)

    def _about(self, action: str, reservation_id: UUID) -> Command:
        if action in STAFF_ACTS:
            return self._by_staff(action, reservation_id)
        case: dict[str, Any] = {"reservation_id": reservation_id, "case_id": uuid4()}
        draw = self.random.choice
        commands: dict[str, Any] = {
            "claim": lambda: ClaimAttempt(context=self._context("worker"), channel="smtp", **case),
            "record": lambda: RecordOutcome(
                context=self._context("worker"),
                delivery=draw([1, 1, 1, 2]),
                attempt=draw([1, 1, 2]),
                outcome=draw(OUTCOMES),
                **case,
            ),
            "settle": lambda: SettleDue(context=self._context("sweep"), **case),
            "refund": lambda: RefundReservation(
                context=self._context("staff"), reservation_id=reservation_id, cause="staff"
            ),
            "accept": lambda: AcceptInvite(context=self._context("person"), delivery=1, **case),
            "bounce": lambda: RecordMailReport(
                context=self._context("key"), delivery=1, reason="mailbox_unknown", evidence="token", **case
            ),
            "resolve": lambda: ResolveReservation(
                context=self._context("staff"), resolution=draw(["sent", "refunded", "retry"]), **case
            ),
        }
        command: Command = commands[action]()
        return command

    def _context(self, actor: ActorKind) -> CommandContext:
        context = self.bench.context(actor, request_id=uuid4().hex)
        return replace(context, now=context.now + self.shift)
