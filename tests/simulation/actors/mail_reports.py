"""Mail servers and recipients that report later what became of an email: late, twice, in any order; and forgers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from uuid import UUID

from domain.command_bus import Command
from domain.commands.context import CommandContext
from domain.model.suppression import ReportKind
from domain.ports import OutboundMessage, TextDraft
from domain.report_intake import MailReport, ReportedOffer, ReportIntake
from domain.results import Result
from domain.values.mail.mail_token import MailRef, mail_token
from projections.database.errors import StorageUnavailableError
from projections.vault.vault import EncryptedText, PrivateText
from tests.simulation.actors.components import MESSAGES, SharedInfrastructure
from tests.simulation.scheduler import SimulatedProcess

DELIVERIES_MAX = 5
ALLOWED = 0.5
"""Share of the reports after which staff allow emails to the address again."""
REASONS = ("mailbox_full", "mailbox_full", "refused", "expired", "mailbox_unknown", "domain_unknown")
KINDS: tuple[ReportKind, ...] = ("bounced", "bounced", "bounced", "delayed", "complained")


@dataclass
class ReportingServers:
    """Those who report; `acknowledged` is what was answered of all that was truly `reported`."""

    infrastructure: SharedInfrastructure
    process: SimulatedProcess
    call: Callable[[Command], Result | None]
    reported: set[tuple[MailRef, ReportKind]] = field(default_factory=set)
    acknowledged: set[tuple[MailRef, ReportKind]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._intake = ReportIntake(
            secret=MESSAGES.secret,
            execute=self._execute,
            draft_text=_draft_text,
            new_id=self.infrastructure.scheduler.new_id,
            has_recipient=lambda _: True,
            find_offer=self._find_offer,
            leave=self.infrastructure.ledger.execute_one,
        )
        self._offers: dict[UUID, ReportedOffer] = {}

    def report(self, message: OutboundMessage) -> None:
        """Report an email, once or twice, soon or late; perhaps a forger reports another one."""
        scheduler, random = self.infrastructure.scheduler, self.infrastructure.scheduler.random
        self._report(message.ref, message.written_at, random)
        others = sorted(self.infrastructure.store.reservations)
        if others and random.random() < 0.3:
            ref = MailRef("invite", random.choice(others), 1)
            if (ref, "bounced") not in self.reported:
                forged = MailReport("bounced", (mail_token(b"a forger's", ref, message.written_at),), "forged")
                scheduler.spawn(self.process, lambda: self._deliver(forged), random.choice([0.1, 30]))

    def report_offer(self, place_id: UUID, offer: ReportedOffer, random: Random) -> None:
        """Report the email of an offer, which the place may have outlived, or not."""
        self._offers[place_id] = offer
        self._report(MailRef("offer", place_id, 1), self.infrastructure.now(), random)

    def _report(self, ref: MailRef, written_at: datetime, random: Random) -> None:
        kind, reason = random.choice(KINDS), random.choice(REASONS)
        token = mail_token(MESSAGES.secret, ref, written_at)
        self.reported.add((ref, kind))
        report = MailReport(kind, (token,), "it did not arrive", reason=reason)
        for _ in range(random.choice([1, 1, 2])):
            delay = random.choice([0.1, 30, 200, 2000])
            self.infrastructure.scheduler.spawn(self.process, lambda: self._deliver(report), delay)

    def _find_offer(self, place_id: UUID) -> ReportedOffer | None:
        """The statement `reported_offer`."""
        offer = self._offers.get(place_id)
        return offer if offer is not None and offer.recipient_id in self.infrastructure.store.addresses else None

    def _deliver(self, report: MailReport) -> None:
        """Hand a report over, again while there is no answer, as mail servers do."""
        scheduler = self.infrastructure.scheduler
        for _ in range(DELIVERIES_MAX):
            try:
                result = self._intake.take(report, self._context())
            except StorageUnavailableError:
                scheduler.pass_time(scheduler.random.choice([1, 30]))
                continue
            about = "offer report" if result.ref is not None and result.ref.kind == "offer" else "report"
            scheduler.counts[f"{about}: {result.outcome}"] += 1
            if result.ref is not None:
                self.acknowledged.add((result.ref, report.kind))
                self._allow_again(result.ref)
            return

    def _allow_again(self, ref: MailRef) -> None:
        private, store = Random(ref.subject_id.int + ref.number), self.infrastructure.store
        recipient_id = self._find_recipient(ref)
        if recipient_id in {key for key, _ in store.suppressed} and private.random() < ALLOWED:
            self.infrastructure.scheduler.counts["address allowed again"] += 1
            store.allow_recipient(recipient_id)

    def _find_recipient(self, ref: MailRef) -> UUID:
        store = self.infrastructure.store
        if ref.kind == "offer":
            return self._offers[ref.subject_id].recipient_id
        if ref.kind == "hand_out":
            return store.handed_out[ref.subject_id].recipient_id
        return store.reservations[ref.subject_id].recipient_id

    def _execute(self, commands: Sequence[Command]) -> list[Result]:
        results = [self.call(command) for command in commands]
        if any(result is None for result in results):
            raise StorageUnavailableError("there was no answer")
        return [result for result in results if result is not None]

    def _context(self) -> CommandContext:
        return CommandContext(now=self.infrastructure.now(), actor="worker", actor_id="mailbox")


def _draft_text(text: str, text_id: UUID, reservation_id: UUID | None) -> TextDraft:
    return PrivateText(text_id, reservation_id, EncryptedText(text.encode(), 1))
