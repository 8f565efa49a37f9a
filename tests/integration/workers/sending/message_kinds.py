"""Each kind of what workers send, for the contract of kinds: what is due, a worker, and what became of it."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar, Final

from domain.commands.campaign.waiting_list import OfferUses
from domain.commands.context import CommandContext
from domain.policy import Policy
from domain.ports import OutboundMessage, Outcome, Rejected, Removal, RemovalOutcome
from domain.values.identifiers import EmailAddress
from domain.values.limits.thresholds import parse_thresholds
from projections.work_queue.due_access import BUSY_S
from projections.work_queue.outbox import LEASE_S
from projections.work_queue.threshold_digest import ThresholdDigestRow
from tests.integration.workers.sending.access_rig import REMIND_DAYS, UNTIL_DUE, AccessRig, ReminderRig
from tests.integration.workers.sending.hand_out_rig import HandOutRig
from tests.integration.workers.sending.waiting_rig import WaitingRig, make_waiting_rig
from tests.support.fake_channel import FakeChannel
from tests.support.inline_executor import InlineExecutor
from tests.support.ledger.ledger_bench import LedgerBench, done
from workers.channels.mail_message import message_bytes
from workers.sending.delivery_steps import DeliverySteps
from workers.sending.hand_outs import HandOutSender
from workers.sending.invitations import InvitationBatchSender
from workers.sending.notices import NoticeSender
from workers.sending.threshold_digest import ThresholdDigestSender
from workers.sending.waiting_offers import WaitingOfferSender

PEOPLE: Final = ("li.wei@example.com", "wang.fang@example.com")
SECOND: Final = timedelta(seconds=1)
TOO_BIG: Final = Rejected(server="mx:25", reason="message_refused", final=True)
Stop = Callable[[], bool]


def never() -> bool:
    return False


class WatchedChannel(FakeChannel):
    """A channel during whose next sending something happens."""

    def __init__(self) -> None:
        super().__init__()
        self.during: Callable[[], object] | None = None

    def send(self, message: OutboundMessage) -> Outcome:
        outcome = super().send(message)
        self._happen()
        return outcome

    def revoke(self, removal: Removal) -> RemovalOutcome:
        outcome = super().revoke(removal)
        self._happen()
        return outcome

    def answer(self, *outcomes: RemovalOutcome) -> None:
        self._script.extend(outcomes)  # type: ignore[arg-type]  # no kind gets an outcome of another one

    def _happen(self) -> None:
        during, self.during = self.during, None
        if during is not None:
            during()


class MessageKind(ABC):
    """A kind of what is sent, over a real ledger whose clock a test moves.

    Attributes:
        sender: Name of the class that `send_due` gets.
        lease: Length of a lease.
        wait: So long after a failure, it is due again.
        attempts_max: How many attempts count.
        people_max: How many messages can be due at once, up to two.
        repeats_unknown: Whether a message is sent again that may have been sent.
        repeats_lost_lease: The same, if its worker ended while it sent.
        repeats_bytes: Whether the repeat is the same to the last byte, and not only by its Message-ID.
        sent: The state of what was sent.
        unknown: The state of what may have been sent, where it is not sent again.
    """

    sender: ClassVar[str]
    lease: ClassVar[timedelta] = timedelta(seconds=LEASE_S)
    wait: ClassVar[timedelta] = timedelta(minutes=3)
    attempts_max: ClassVar[int] = 5
    people_max: ClassVar[int] = 2
    repeats_unknown: ClassVar[bool] = True
    repeats_lost_lease: ClassVar[bool] = True
    repeats_bytes: ClassVar[bool] = True
    sent: ClassVar[str] = "sent"
    unknown: ClassVar[str] = "unknown"

    def __init__(self, bench: LedgerBench, steps: DeliverySteps) -> None:
        self.bench, self.channel = bench, WatchedChannel()
        self.longest_send = timedelta(0)
        self.now = bench.storage.recorder.clock.now() + SECOND
        self._steps = steps

    @property
    def steps(self) -> DeliverySteps:
        return replace(self._steps, now=lambda: self.now, longest_send=self.longest_send)

    @abstractmethod
    def prepare(self, people: Sequence[str]) -> None:
        """Have one message due for each person."""

    @abstractmethod
    def run(self, should_stop: Stop = never) -> None:
        """Run a new worker once."""

    @abstractmethod
    def states(self) -> Iterator[str]:
        """The state of each message; `waiting` for those that are sent later."""

    def count_states(self) -> Counter[str]:
        return Counter(self.states())

    def passes(self, time: timedelta) -> None:
        self.now += time

    def asked(self) -> list[OutboundMessage | Removal]:
        return [*self.channel.sent, *self.channel.revoked]

    def contents(self) -> list[object]:
        """What the channel was asked for, as it leaves the worker."""
        return [
            message_bytes(each, "ledger@example.com") if isinstance(each, OutboundMessage) else each
            for each in self.asked()
        ]


class Invitation(MessageKind):
    """Invitations of one message to workers."""

    sender = "_InvitationBatch"
    lease = timedelta(seconds=Policy().lease_s)
    wait = timedelta(minutes=2)
    attempts_max = Policy().attempts_max

    def prepare(self, people: Sequence[str]) -> None:
        code = self.bench.issue(None, bound=False)
        self.ids = [done(self.bench.redeem(code, each)).require_reservation().reservation_id for each in people]

    def run(self, should_stop: Stop = never) -> None:
        InvitationBatchSender(self.steps, InlineExecutor(), 1, lambda: self.channel).run(self.ids, "t1", should_stop)

    def states(self) -> Iterator[str]:
        for (state,) in self.bench.rows("SELECT status FROM reservations"):
            yield "waiting" if state in {"live", "unknown"} else state


class HandOut(MessageKind):
    """Emails with handed-out codes."""

    sender = HandOutSender.__name__

    def prepare(self, people: Sequence[str]) -> None:
        self.rig = HandOutRig(self.bench, self.steps, self.channel, self.now, self.bench.create_campaign())
        self.hand_out_id = self.rig.create()
        self.rig.add(self.hand_out_id, *people)

    def run(self, should_stop: Stop = never) -> None:
        self.rig.now, self.rig.steps = self.now, self.steps
        sender = self.rig.sender()
        replace(sender, slots=1, steps=replace(sender.steps, now=lambda: self.now)).run(should_stop)

    def states(self) -> Iterator[str]:
        for state, count in self.rig.states(self.hand_out_id).items():
            yield from ["waiting" if state == "queued" else state] * count


class Notice(MessageKind):
    """Notices of refunds."""

    sender = NoticeSender.__name__
    repeats_unknown = False

    def prepare(self, people: Sequence[str]) -> None:
        for each in people:
            reserved = done(self.bench.redeem(self.bench.issue(), each)).require_reservation()
            self.bench.attempt(reserved.reservation_id, TOO_BIG)
        self.rig = AccessRig(self.bench, self.steps, self.channel, self.now)

    def run(self, should_stop: Stop = never) -> None:
        sender = self.rig.postman()
        replace(sender, steps=self.steps).run(should_stop)

    def states(self) -> Iterator[str]:
        for due_at, outcome in self.bench.rows("SELECT due_at, outcome FROM outbox"):
            yield outcome if due_at is None else "waiting"


class Reminder(Notice):
    """Reminders of invitations: notices with one difference."""

    repeats_lost_lease = False

    def prepare(self, people: Sequence[str]) -> None:
        campaign_id = self.bench.create_campaign(remind_days=REMIND_DAYS)
        rig = ReminderRig(self.bench, self.steps, self.channel, self.now, campaign_id=campaign_id)
        for each in people:
            rig.invite(each)
        self.now += UNTIL_DUE
        rig.now = self.now
        rig.clean_up()
        self.rig = rig


class WaitingOffer(MessageKind):
    """Emails about offers to people on a waiting list."""

    sender = WaitingOfferSender.__name__
    repeats_unknown = repeats_lost_lease = repeats_bytes = False  # a repeat names a later end of the offer

    def prepare(self, people: Sequence[str]) -> None:
        self.rig: WaitingRig = make_waiting_rig(self.bench, self.steps)
        self.rig.channel, self.rig.now = self.channel, self.now
        for each in people:
            self.rig.wait(each.partition("@")[0])
        self.rig.allow(1 + len(people))
        self.bench.storage.ledger.execute_one(OfferUses(context=self.rig.context(), campaign_id=self.rig.campaign_id))

    def run(self, should_stop: Stop = never) -> None:
        self.rig.now = self.now
        replace(self.rig.make_sender(), steps=self.steps).run(should_stop)
        assert self.rig.bugs == []

    def states(self) -> Iterator[str]:
        for due_at, outcome in self.bench.rows("SELECT due_at, outcome FROM waiting_places"):
            yield outcome if due_at is None else "waiting"


class ThresholdDigest(MessageKind):
    """The email to operators about crossed thresholds, of which there is one."""

    sender = ThresholdDigestSender.__name__
    people_max = 1
    repeats_unknown = repeats_lost_lease = False
    sent = unknown = "over"

    def prepare(self, people: Sequence[str]) -> None:
        self.run()
        for each in people:
            done(self.bench.redeem(self.bench.issue(notify_at=parse_thresholds("100%")), each))
        self.run()

    def run(self, should_stop: Stop = never) -> None:
        ThresholdDigestSender(
            ThresholdDigestRow(self.bench.storage, timedelta(0), self.lease),
            self.steps,
            self.channel,
            EmailAddress.parse("ops@example.com"),
            "en",
        ).run(should_stop)

    def states(self) -> Iterator[str]:
        for (due_at,) in self.bench.rows("SELECT due_at FROM threshold_digest"):
            yield "over" if due_at is None else "waiting"


class AccessRemoval(MessageKind):
    """Removals of access that has ended."""

    sender = "_RemovalRun"
    lease = timedelta(seconds=BUSY_S)
    wait = timedelta(hours=2)
    attempts_max = Policy().removal_attempts_max
    sent = "removed"

    def prepare(self, people: Sequence[str]) -> None:
        self.rig = AccessRig(self.bench, self.steps, self.channel, self.now)
        for each in people:
            self.rig.grant_access(self.rig.issue(), each)
        self.now += timedelta(days=30, seconds=1)

    def run(self, should_stop: Stop = never) -> None:
        self.rig.now = self.now
        replace(self.rig.keeper(), longest_send=self.longest_send, context=self._context).work(should_stop)

    def _context(self) -> CommandContext:
        self.rig.now = self.now
        return self.rig.context()

    def states(self) -> Iterator[str]:
        for (reservation_id,) in self.bench.rows("SELECT reservation_id FROM reservations"):
            reservation = self.bench.reader.find_reservation(reservation_id)
            assert reservation is not None
            assert reservation.access is not None
            state = reservation.access.removal
            yield "waiting" if state in {None, "due", "removing"} else str(state)


KINDS: Final[tuple[type[MessageKind], ...]] = (
    Invitation,
    HandOut,
    Notice,
    Reminder,
    WaitingOffer,
    ThresholdDigest,
    AccessRemoval,
)
