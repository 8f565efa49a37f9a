"""Those outside: persons who redeem and open links, staff who decide, and who looks into the books meanwhile.

They are not part of the ledger and never crash. What they were promised is kept for the checks.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from uuid import UUID

from domain.deciding import Command, Done, Result
from domain.decisions.accept import AcceptInvite
from domain.decisions.bounce import RecordBounce
from domain.decisions.command import Context
from domain.decisions.refund import RefundReservation
from domain.decisions.reserve import IdempotencyKey, ReserveUse
from domain.decisions.resolve import RefundAfterOutage, Resolution, ResolveReservation
from domain.events import ActorKind
from domain.ports import Letter
from domain.tokens import read_token
from projections.vault import FoundDraft, Sealed
from tests.simulation.kernel import Process
from tests.simulation.parts import PRESS, Api, Site

PERSONS = 5
TRIES_MAX = 5
RESOLUTIONS: tuple[Resolution, ...] = ("sent", "refunded", "retry")


@dataclass(frozen=True)
class Ack:
    """A promise: this person has this reservation. `key` is what the client called its request."""

    code: int
    person: int
    key: str | None
    reservation_id: UUID


@dataclass
class People:
    """Everybody outside.

    Attributes:
        codes: Texts of the codes, as their digests.
        is_open: False once the doors are closed: nobody begins anything new.
    """

    site: Site
    apis: list[Api]
    codes: list[bytes]
    acks: list[Ack] = field(default_factory=list)
    refusals: int = 0
    is_open: bool = True

    def __post_init__(self) -> None:
        """They begin."""
        self.haste = self.site.kernel.random.choice([0.0, 0.0, 0.8])
        self.process = Process("outside")
        self.site.mail.on_taken = self._letter_arrives

    def begin(self, persons: int, until_s: float) -> None:
        """Let so many persons and some staff come, until then."""
        kernel, random = self.site.kernel, self.site.kernel.random
        for _ in range(persons):
            kernel.spawn(self.process, self._person, random.uniform(0, until_s) * random.random())
        kernel.spawn(self.process, self._staff, random.uniform(5, until_s / 2))
        kernel.spawn(self.process, self._operator, random.uniform(5, until_s * 2))

    def redeem(self, code: int, person: int, key: str | None = None, again: UUID | None = None) -> Result | None:
        """One request; None without an answer."""
        kernel = self.site.kernel
        scope = sha256(b"%d/%d/" % (code, person) + key.encode()).digest() if key is not None else b""
        command = ReserveUse(
            context=self._context("person"),
            code_digests=(self.codes[code],),
            recipient=person_draft(person, kernel.new_id()),
            reservation_id=kernel.new_id(),
            language="zh",
            again=again,
            key=IdempotencyKey(scope_digest=scope, body_digest=again.bytes if again else b"") if key else None,
        )
        kernel.note("asks", "code", code, "person", person, "key", key, "again", again)
        result = self._call(command)
        if isinstance(result, Done):
            ack = Ack(code, person, key, result.about().reservation_id)
            self.acks.append(ack)
            kernel.note("is promised", ack.reservation_id)
        elif result is not None:
            self.refusals += 1
            kernel.note("is refused", result.code)
        return result

    def hear_of_doubt(self, item: UUID) -> None:
        """Support gives a use back before anybody knows better."""
        random = self.site.kernel.random
        if self.is_open and random.random() < self.haste:
            act = partial(self._act, partial(self._resolve, item, "refunded", str(self.site.kernel.new_id())))
            self.site.kernel.spawn(self.process, act, random.choice([0.1, 2, 30]))

    def _person(self) -> None:
        """Redeems; without an answer asks again with the same key; later perhaps again for a further use."""
        kernel, random = self.site.kernel, self.site.kernel.random
        code, person = random.randrange(len(self.codes)), random.randrange(PERSONS)
        again: UUID | None = None
        for _ in range(random.choice([1, 2, 3])):
            key = f"k{random.randrange(10**6)}" if random.random() < 0.7 else None
            if random.random() < 0.2:
                kernel.counts["double click"] += 1
                kernel.spawn(self.process, partial(self.redeem, code, person, key, again), random.uniform(0, 0.01))
            result = self._until_answered(code, person, key, again)
            kernel.sleep(random.choice([1, 20, 100, 400]))
            if not self.is_open:
                return
            if key is not None and random.random() < 0.3:
                kernel.counts["page loaded again"] += 1
                self.redeem(code, person, key, again)
            again = result.about().reservation_id if isinstance(result, Done) and random.random() < 0.5 else None

    def _until_answered(self, code: int, person: int, key: str | None, again: UUID | None) -> Result | None:
        kernel = self.site.kernel
        for _ in range(TRIES_MAX):
            if (result := self.redeem(code, person, key, again)) is not None:
                return result
            kernel.sleep(kernel.random.choice([0.1, 3, 30]))
        return None

    def _letter_arrives(self, letter: Letter) -> None:
        """A link is opened, perhaps; or the letter comes back."""
        kernel, random = self.site.kernel, self.site.kernel.random
        if letter.template != "invite" or not self.is_open:
            return
        delivery = read_token(PRESS.secret, letter.link.rpartition("/")[2])
        if delivery is None:
            raise AssertionError("a letter's link is not of this ledger")
        if random.random() < 0.4:
            kernel.counts["link opened"] += 1
            command: Callable[[], Command] = lambda: AcceptInvite(  # noqa: E731 - time and ids are those of the act
                context=self._context("person"),
                reservation_id=delivery.reservation_id,
                delivery=delivery.number,
                case_id=kernel.new_id(),
            )
            kernel.spawn(self.process, lambda: self._act(command), random.choice([0.1, 30, 200]))
        if self.site.faults.happens("mail: came back later"):
            bounce: Callable[[], Command] = lambda: RecordBounce(  # noqa: E731 - the same
                context=self._context("key"),
                reservation_id=delivery.reservation_id,
                delivery=delivery.number,
                reason="mailbox_unknown",
                case_id=kernel.new_id(),
            )
            kernel.spawn(self.process, lambda: self._act(bounce), random.choice([0.1, 30, 200]))

    def _staff(self) -> None:
        """Decide what is in doubt, and give a use back now and then."""
        kernel, random, store = self.site.kernel, self.site.kernel.random, self.site.store
        while self.is_open:
            doubtful = [
                key for key, item in store.reservations.items() if item.case_id or (item.ever_unknown and item.is_live)
            ]
            if doubtful and random.random() < 0.8:
                item, how = random.choice(doubtful), random.choice(RESOLUTIONS)
                self._act(partial(self._resolve, item, how, str(kernel.new_id())))
            elif store.reservations and random.random() < 0.1:
                item = random.choice(list(store.reservations))
                self._act(partial(self._refund, item, str(kernel.new_id())))
            kernel.sleep(random.choice([3, 15, 60]))

    def _operator(self) -> None:
        """Refund after an outage: everything that may be, or one by one, perhaps twice."""
        kernel, random = self.site.kernel, self.site.kernel.random
        if not self.is_open or random.random() < 0.7:
            return
        include_sent = random.random() < 0.3
        kernel.counts["refund after an outage"] += 1
        for item in list(self.site.store.reservations) * random.choice([1, 2]):
            self._act(partial(self._after_outage, item, include_sent))

    def _resolve(self, item: UUID, resolution: Resolution, request: str) -> Command:
        return ResolveReservation(
            context=self._context("staff", request),
            reservation_id=item,
            resolution=resolution,
            case_id=self.site.kernel.new_id(),
        )

    def _refund(self, item: UUID, request: str) -> Command:
        return RefundReservation(context=self._context("staff", request), reservation_id=item, cause="staff")

    def _after_outage(self, item: UUID, include_sent: bool) -> Command:
        return RefundAfterOutage(
            context=self._context("operator", "outage"), reservation_id=item, include_sent=include_sent
        )

    def _act(self, command: Callable[[], Command]) -> None:
        """Ask once more if there was no answer; the same request again is the same act."""
        for _ in range(2):
            if self._call(command()) is not None:
                return
            self.site.kernel.sleep(1.0)

    def _call(self, command: Command) -> Result | None:
        return self.site.kernel.random.choice(self.apis).call(command)

    def _context(self, actor: ActorKind, request_id: str | None = None) -> Context:
        return Context(now=self.site.now(), actor=actor, actor_id=actor, request_id=request_id)


def address_of(person: int) -> str:
    """Where a person's letters go."""
    return f"person{person}@example.com"


def person_draft(person: int, new_id: UUID) -> FoundDraft:
    """A person as the vault would draft them; nothing is sealed here, since nothing is hidden from a simulation."""
    address = address_of(person).encode()
    return FoundDraft(new_id=new_id, digests=(sha256(address).digest(),), pepper_id=1, seal=lambda: Sealed(address, 1))


def code_draft(text: str, new_id: UUID) -> FoundDraft:
    """The same of a code."""
    sealed = Sealed(text.encode(), 1)
    return FoundDraft(
        new_id=new_id, digests=(sha256(text.encode()).digest(),), pepper_id=1, seal=lambda: sealed, hint=text[-4:]
    )
