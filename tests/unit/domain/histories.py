"""Histories in words: what happens to a code one step after the other, and what each step is answered with.

A step is `person.verb:value/delivery@attempt+#request>label=answer`; all but the verb may be left out. Then the person
is li. `60s` lets time pass, as do `1h` and `30d`. The reservation that a step begins is known by the person's name, or
by its label instead. The answer is `changed`, `unchanged`, a reservation's label, or a refusal's code and perhaps
reason: `CODE_HELD`, `NOT_FOUND/why`. A step without an answer is not refused.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from operator import attrgetter
from typing import Any, Final, Self
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.commands.access.rebind import RebindReservation, RequestRebind
from domain.commands.access.settle_access import RecordRemovalOutcome, SettleAccess
from domain.commands.code.change_terms import ChangeTerms
from domain.commands.reservation.close_for_erasure import CloseForErasure
from domain.errors import Refusal
from domain.events.campaign import Counting
from domain.model.reservation import Reservation
from domain.ports import Accepted, NotifiedOnly, Outcome, OutcomeUnknown, Rejected, RemovalOutcome, RetryLater
from domain.results import CampaignResult, CommandResult, HandOutResult, Result, WaitingResult
from tests.support.ledger.scenario import BUSY, LOST, NO_CONNECTION, REFUSED, SENT, Scenario, ScenarioDraft

STEP: Final = re.compile(
    r"((?P<who>[\w+]+)\.)?(?P<verb>[a-z]+)(:(?P<value>[\w:]+))?(/(?P<delivery>\d))?(@(?P<attempt>\d))?"
    r"(?P<access>[+-])?(#(?P<request>[\w-]+))?(>(?P<label>\w+))?(=(?P<answer>\S+))?"
)
OF_A_PERSON: Final = {
    "redeem",
    "redeemother",
    "reserve",
    "deliver",
    "park",
    "fail",
}  # a reservation without a label has their name
SECONDS: Final = {"s": 1, "h": 3600, "d": 86_400}
OUTCOMES: Final[dict[str, Outcome]] = {
    "sent": SENT,
    "refused": REFUSED,
    "busy": BUSY,
    "unreachable": NO_CONNECTION,
    "lost": LOST,
    "full": RetryLater(server="team", reason="full", wait=timedelta()),
    "altered": Rejected(server="vault", reason="address_mismatch", final=True, needs_review=True),
}
REMOVALS: Final[dict[str, RemovalOutcome]] = {
    "gone": Accepted(server="team"),
    "told": NotifiedOnly(server="mx:25"),
    "failed": Rejected(server="team", reason="temporary", final=False),
    "never": Rejected(server="team", reason="gone", final=True),
    "unreachable": NO_CONNECTION,
    "doubtful": OutcomeUnknown(server="team", cause="timeout"),
    "now": RetryLater(server="team", reason="full", wait=timedelta()),
    "later": RetryLater(server="team", reason="full", wait=timedelta(days=9)),
}


Answered = Result | CampaignResult | HandOutResult | WaitingResult


@dataclass(frozen=True)
class Step:
    """One step of a history, taken apart."""

    who: str
    verb: str
    value: str
    delivery: int | None
    attempt: int | None
    access: bool | None
    request: str | None
    label: str
    answer: str | None

    @classmethod
    def read(cls, text: str) -> Self:
        """Read a step."""
        match = STEP.fullmatch(text)
        assert match, f"not a step: {text}"
        who = match["who"] or "li"
        return cls(
            who=who,
            verb=match["verb"],
            value=match["value"] or "",
            delivery=int(match["delivery"]) if match["delivery"] else None,
            attempt=int(match["attempt"]) if match["attempt"] else None,
            access=match["access"] == "+" if match["access"] else None,
            request=match["request"],
            label=match["label"] or (who if match["verb"] in OF_A_PERSON else ""),
            answer=match["answer"],
        )

    def requested(self, default: str) -> dict[str, Any]:
        """The id of the request."""
        return {"request_id": self.request or default}

    def numbered(self) -> dict[str, Any]:
        """The delivery, where one is named."""
        return {"delivery": self.delivery} if self.delivery else {}


class History(Scenario):
    """A scenario in words, and the reservations of its steps by their labels."""

    def __init__(self, steps: str = "", **terms: Any) -> None:
        super().__init__(**terms)
        self.ids: dict[str, UUID] = {}
        self.run_steps(steps)

    def run_steps(self, steps: str) -> Self:
        """Let the steps happen, and compare each answer that is named."""
        for text in steps.split():
            if re.fullmatch(r"-?[\d.]+[shd]", text):
                self.passes(float(text[:-1]) * SECONDS[text[-1]])
                continue
            step = Step.read(text)
            result = VERBS[step.verb](self, step)
            if isinstance(result, UUID):
                self.ids[step.label] = result
                continue
            self.compare(step, result, text)
            if step.label and isinstance(result, CommandResult) and result.reservation and result.changed:
                self.ids[step.label] = result.reservation.reservation_id
        return self

    def compare(self, step: Step, result: Answered, text: str) -> None:
        """Compare the answer to a step."""
        actual = answer(result)
        if step.answer in self.ids:
            assert isinstance(result, CommandResult), f"{text}: {actual}"
            assert result.require_reservation().reservation_id == self.ids[step.answer], text
        elif step.answer:
            assert step.answer in {actual, actual.partition("/")[0]}, f"{text}: {actual}"
        else:
            assert not isinstance(result, Refusal), f"{text}: {actual}"

    @property
    def waiting(self) -> str:
        """Who waits for a use of the campaign, in order; those who have an offer with a star."""
        names = {value: key.decode() for key, value in self.working_set.recipient_ids.items()}
        return " ".join(names[each.recipient_id] + "*" * bool(each.offered_until) for each in self.campaign.waiting)

    def of(self, label: str = "li") -> Reservation:
        """A reservation by its label."""
        return self.reservation(self.ids[label])


def answer(result: Answered) -> str:
    """What a command was answered: `changed`, `unchanged`, or the code of a refusal, with its reason if it has one."""
    if not isinstance(result, Refusal):
        return "changed" if result.changed else "unchanged"
    reason = getattr(result, "why", "") or result.facts.get("why")
    return f"{result.code}/{reason}" if reason else result.code


def rebind(history: History, step: Step) -> Result:
    """Staff move an access to another group."""
    return history.run(
        RebindReservation(
            context=history.context("staff", step.request),
            reservation_id=history.ids[step.who],
            new_reservation_id=history.new_id(),
            group=step.value,
        )
    )


def ask(history: History, group: str = "blue", person: str = "li", **fields: Any) -> Result:
    """A person asks to move the access of their newest use to another group, unless a field names another one."""
    command = RequestRebind(
        context=history.context("person"),
        code_digests=[b"code"],
        recipient=ScenarioDraft([person.encode()], history.new_id()),
        new_reservation_id=history.new_id(),
        group=group,
        language="en",
        token_of=history.newest_use(person),
    )
    return history.run(replace(command, **fields))


def correct(history: History, step: Step) -> Result:
    """Staff name the right person; or the person does, with the code and the token of the reservation."""
    if step.verb == "correct":
        return history.correct(history.ids[step.who], step.value)
    return history.correct(history.ids[step.who], step.value, actor="person", code=b"code")


def change(history: History, **changes: Any) -> Result:
    """Staff change terms of the code."""
    command = ChangeTerms(context=history.context("operator"), code_id=history.code_id, changes=changes)
    return history.run(command)


def attempt(history: History, step: Step) -> Result:
    """A worker claims, and records the outcome that the verb names."""
    return history.attempt(history.ids[step.who], OUTCOMES[step.verb])


def look(history: History, step: Step) -> Result:
    """The sweep looks whether an access is to be announced or has ended."""
    return history.run(SettleAccess(context=history.context("sweep"), reservation_id=history.ids[step.who]))


def removal(history: History, step: Step) -> Result:
    """A group's external system answers when it is asked to remove an access."""
    access = history.of(step.who).access
    return history.run(
        RecordRemovalOutcome(
            context=history.context("sweep"),
            reservation_id=history.ids[step.who],
            attempt=step.attempt or (access.removal_attempts if access else 0) + 1,
            channel="webhook",
            outcome=REMOVALS[step.value],
            case_id=history.new_id(),
        )
    )


def later(seconds: float) -> RetryLater:
    """A channel asks for another attempt after some seconds."""
    return RetryLater(server="team", reason="full", wait=timedelta(seconds=seconds))


def change_campaign(history: History, step: Step) -> Answered:
    """Staff change terms of the campaign, as `name:7:other:none`, and perhaps which uses its limits count."""
    words = step.value.split(":") if step.value else []
    values = (None if word == "none" else int(word) if word.isdecimal() else word for word in words[1::2])
    counting: dict[str, Counting | None] = {"set": None, "setall": "all", "setnew": "from_now"}
    return history.change_campaign(counting[step.verb], **dict(zip(words[::2], values, strict=True)))


VERBS: Final[dict[str, Callable[[History, Step], Answered | UUID]]] = {
    "redeem": lambda it, step: it.redeem(step.who, again=it.ids[step.value] if step.value else None),
    "reserve": lambda it, step: it.reserved(step.who, again=it.ids[step.value] if step.value else None),
    "deliver": lambda it, step: it.sent(step.who, again=it.ids[step.value] if step.value else None),
    "park": lambda it, step: it.parked(step.who),
    "fail": lambda it, step: it.given_back(step.who),
    "claim": lambda it, step: it.claim(it.ids[step.who], worker=step.value or "w1"),
    **dict.fromkeys(OUTCOMES, attempt),
    "later": lambda it, step: it.attempt(it.ids[step.who], later(int(step.value))),
    "answer": lambda it, step: it.outcome(
        it.ids[step.who], OUTCOMES[step.value], attempt=step.attempt, delivery=step.delivery
    ),
    "settle": lambda it, step: it.settle(it.ids[step.who]),
    "accept": lambda it, step: it.accept(it.ids[step.who], **step.numbered()),
    "bounce": lambda it, step: it.bounce(
        it.ids[step.who], request_id=step.request, reason=step.value or "mailbox_full", **step.numbered()
    ),
    "resend": lambda it, step: it.resend(it.ids[step.who], **step.requested("s1")),
    "refund": lambda it, step: it.refund(it.ids[step.who], revoke_access=step.access, **step.requested("r1")),
    "reset": lambda it, step: it.refund(it.ids[step.who], held_only=True),
    "cancel": lambda it, step: it.cancel(it.ids[step.who], **step.requested("c1")),
    "resolve": lambda it, step: it.resolve(
        it.ids[step.who],
        step.value,  # type: ignore[arg-type]  # the text is a resolution
        revoke_access=step.access,
        **step.requested("s1"),
    ),
    "outage": lambda it, step: it.outage(it.ids[step.who], include_sent=bool(step.access)),
    "correct": correct,
    "selfcorrect": correct,
    "rebind": rebind,
    "ask": lambda it, step: ask(it, step.value, step.who),
    "removal": removal,
    "removed": lambda it, step: it.removed(it.ids[step.who]),
    "look": look,
    "close": lambda it, step: it.run(
        CloseForErasure(context=it.context("operator", "f1"), reservation_id=it.ids[step.who], case_id=it.new_id())
    ),
    "pause": lambda it, _: it.pause(),
    "resume": lambda it, _: it.resume(),
    "revoke": lambda it, step: it.revoke(**({"cases": int(step.value)} if step.value else {})),
    "revokemore": lambda it, _: it.continue_revocation(),
    "limit": lambda it, step: change(it, max_uses=int(step.value)),
    "issue": lambda it, step: it.issue(step.value.encode(), max_uses=9, bound=False),
    "redeemother": lambda it, step: it.redeem(step.who, code=b"other"),
    **dict.fromkeys(("set", "setall", "setnew"), change_campaign),
    "pausecampaign": lambda it, _: it.pause_campaign(),
    "resumecampaign": lambda it, _: it.resume_campaign(),
    "endcampaign": lambda it, _: it.end_campaign(),
    "wait": lambda it, step: it.wait(step.who),
    "leave": lambda it, step: it.leave(step.who),
    "mail": lambda it, step: it.mail_offer(step.who, step.value or "sent"),  # type: ignore[arg-type]  # an outcome
    "offer": lambda it, _: it.offer_uses(),
}


@dataclass(frozen=True)
class Case:
    """A history and what it leads to.

    Args:
        steps: The history.
        ends: The kinds of its last events, in order.
        kinds: The kinds of all events after the issue of the code.
        balance: How many uses are used and reserved.
        last: Fields of the last event.
        newest: Fields of the newest event of a kind, as `kind.field`.
        has: Attributes of the reservation, `access.ending` too.
        of: The label of that reservation.
        waiting: Who waits for a use of the campaign, in order; those who have an offer with a star.
        campaign: Attributes of the campaign.
        terms: What the scenario is made with.
    """

    steps: str
    ends: str = ""
    kinds: str | None = None
    balance: tuple[int, int] | None = None
    last: Mapping[str, object] = field(default_factory=dict)
    newest: Mapping[str, object] = field(default_factory=dict)
    has: Mapping[str, object] = field(default_factory=dict)
    of: str = "li"
    waiting: str | None = None
    campaign: Mapping[str, object] = field(default_factory=dict)
    terms: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> History:
        """Let it happen, and compare."""
        history = History(self.steps, **self.terms)
        ends = self.ends.split()
        assert history.kinds[len(history.kinds) - len(ends) :] == ends
        assert self.kinds is None or history.kinds == self.kinds.split()
        assert self.balance is None or history.balance == self.balance
        event = history.events[-1]
        assert {name: getattr(event, name) for name in self.last} == self.last
        newest = {type(event).__name__: event for event in history.events}
        for name, value in self.newest.items():
            kind, _, part = name.partition(".")
            assert getattr(newest[kind], part) == value, name
        if self.has:
            reservation = history.of(self.of)
            assert {name: attrgetter(name)(reservation) for name in self.has} == self.has
        assert self.waiting is None or history.waiting == self.waiting
        for name, value in self.campaign.items():
            assert getattr(history.campaign, name) == value, name
        return history


def cases(**table: Case) -> pytest.MarkDecorator:
    """A test of each case, named as the case is."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in table.items()])
