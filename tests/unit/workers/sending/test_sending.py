import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_args

import pytest
from msgspec.structs import replace

from domain.events.reservation import UseReserved
from domain.model.reservation import KEPT_CAMPAIGN_TERMS, KEPT_TERMS, Reservation
from domain.ports import Language, OutboundMessage
from domain.values.email_branding import DEFAULT_BRANDING, EmailBranding
from domain.values.redeem_window import RedeemWindow
from projections.database.errors import StorageUnavailableError
from projections.telemetry.metrics import ERRORS
from tests.schema.event_examples import CAMPAIGN_TERMS, TERMS
from tests.support.channel_builders import MESSAGE
from tests.support.inline_executor import InlineExecutor
from tests.support.ledger.code_terms import make_campaign_terms
from tests.support.ledger.scenario import START, Scenario
from tests.support.waiting import WAIT_S_MAX
from workers.channels.mail_message import render_parts
from workers.sending.branding_cache import GROUPS_MAX, KEPT_S, BrandingCache
from workers.sending.loop import RECORD_ATTEMPTS_MAX, Ended, send_at_once, send_due
from workers.sending.message_factory import HandOutMail, MessageFactory, create_message_factory

SLOTS = 3


@dataclass
class Numbers:
    """A kind of what is sent: numbers, of which each turn leases the next ones.

    Attributes:
        remaining: What is due.
        send: Sends one.
        skipped: What ends without being sent, after its lease.
        outage: Turns, from 1, in which the database is unavailable.
    """

    remaining: list[int]
    send: Callable[[int], str] = str
    skipped: frozenset[int] = frozenset()
    outage: range = range(0)
    executor: ThreadPoolExecutor | InlineExecutor = field(default_factory=InlineExecutor)
    slots: int = SLOTS
    leased: list[list[int]] = field(default_factory=list)
    recorded: dict[int, str | None] = field(default_factory=dict)
    turns: int = 0

    def turn(self, ended: Sequence[Ended[int, str]], free: int) -> Sequence[int] | None:
        self.turns += 1
        if self.turns in self.outage:
            raise StorageUnavailableError("outage")
        self.recorded |= dict(ended)
        leased, self.remaining = self.remaining[:free], self.remaining[free:]
        self.leased.append(leased)
        return [number for number in leased if number not in self.skipped] if leased else None

    def start(self, leased: Sequence[int]) -> Mapping[Future[str], int]:
        return {self.executor.submit(self.send, number): number for number in leased}


def test_everything_due_is_sent_and_recorded_with_the_next_lease() -> None:
    kind = Numbers([*range(5)])

    send_due(kind)

    assert kind.recorded == {number: str(number) for number in range(5)}
    assert kind.leased == [[0, 1, 2], [3, 4], []]


def test_message_that_ends_unsent_ends_no_run() -> None:
    kind = Numbers([*range(5)], skipped=frozenset({0, 1, 2}))

    send_due(kind)

    assert kind.recorded == {3: "3", 4: "4"}


def test_slow_message_does_not_delay_the_others() -> None:
    kind, others = Numbers([*range(9)]), threading.Event()

    def send(number: int) -> str:
        if number == 0:
            assert others.wait(WAIT_S_MAX)
        elif number == 8:
            others.set()
        return str(number)

    kind.send = send
    with ThreadPoolExecutor(SLOTS) as kind.executor:
        send_due(kind)

    assert 0 in list(kind.recorded)[-SLOTS:]  # with those that ended at about the same time
    assert len(kind.recorded) == 9
    assert all(len(leased) < SLOTS for leased in kind.leased[1:])


def test_nothing_is_leased_after_the_request_to_stop() -> None:
    kind = Numbers([*range(9)])

    send_due(kind, lambda: kind.turns >= 1)

    assert (kind.leased, sorted(kind.recorded)) == ([[0, 1, 2], []], [0, 1, 2])


def test_run_that_is_stopped_before_it_begins_does_nothing() -> None:
    kind = Numbers([1])

    send_due(kind, lambda: True)

    assert kind.turns == 0


def test_bug_leaves_its_message_without_an_outcome() -> None:
    def send(number: int) -> str:
        if number == 1:
            raise ZeroDivisionError
        return str(number)

    before = ERRORS.labels("celery_error")._value.get()

    class AtOnce(Numbers):
        def start(self, leased: Sequence[int]) -> Mapping[Future[str], int]:
            return {send_at_once(send, number): number for number in leased}

    send_due(kind := AtOnce([*range(4)]))

    assert kind.recorded == {0: "0", 1: None, 2: "2", 3: "3"}
    assert ERRORS.labels("celery_error")._value.get() == before + 1


@pytest.mark.parametrize("turns", [1, RECORD_ATTEMPTS_MAX - 1, RECORD_ATTEMPTS_MAX])
def test_outcomes_are_offered_again_after_an_outage(turns: int) -> None:
    kind = Numbers([*range(9)], outage=range(2, 2 + turns))

    send_due(kind)

    is_recorded = turns < RECORD_ATTEMPTS_MAX
    assert kind.recorded == ({0: "0", 1: "1", 2: "2"} if is_recorded else {})
    assert [leased for leased in kind.leased if leased] == [[0, 1, 2]]
    assert kind.turns == 1 + turns + is_recorded


RED, BLUE = EmailBranding(accent="#b0301c"), EmailBranding(accent="#1f5fbf")


class Groups:
    def __init__(self) -> None:
        self.brandings: dict[str, EmailBranding] = {"red": RED}
        self.read: list[str] = []
        self.now = 0.0
        self.cache = BrandingCache(self.find, lambda: self.now)

    def find(self, group: str) -> EmailBranding:
        self.read.append(group)
        return self.brandings.get(group, DEFAULT_BRANDING)


def test_branding_is_read_once_until_it_may_have_changed() -> None:
    groups = Groups()
    first = [groups.cache.find(name) for name in ("red", "blue") * 3]
    groups.brandings["red"] = BLUE
    groups.now = KEPT_S - 0.1
    before = groups.cache.find("red")
    groups.now = KEPT_S
    after = groups.cache.find("red")

    assert first == [RED, DEFAULT_BRANDING] * 3
    assert (before, after) == (RED, BLUE)
    assert groups.read == ["red", "blue", "red"]


def test_branding_of_the_group_that_was_read_first_is_dropped() -> None:
    groups = Groups()
    names = [f"group {number}" for number in range(GROUPS_MAX + 1)]
    for name in names:
        groups.cache.find(name)
    groups.read.clear()
    groups.cache.find(names[1])
    groups.cache.find(names[0])

    assert groups.read == [names[0]]


FACTORY: Final = create_message_factory("secret", "https://ledger.example.com", "ledger@example.com")
SCENARIO: Final = Scenario(
    campaign=make_campaign_terms(**{name: CAMPAIGN_TERMS[name] for name in KEPT_CAMPAIGN_TERMS[UseReserved]}),
    **{name: TERMS[name] for name in KEPT_TERMS},
)
RESERVATION: Final = replace(SCENARIO.reservation(SCENARIO.reserved("li")), delivery=2, request_id="0123456789abcdef")
SHARED: Final = {field.name: field.default for field in fields(OutboundMessage) if hasattr(RESERVATION, field.name)}
"""Fields of a message that a reservation has too, and their defaults."""


def list_messages(factory: MessageFactory, reservation: Reservation) -> list[OutboundMessage]:
    recipient, later = MESSAGE.recipient, START + timedelta(days=1)
    return [
        factory.invitation(reservation, recipient),
        factory.farewell(reservation, recipient),
        factory.ends_soon(reservation, recipient, 7, START),
        factory.reminder(reservation, recipient, later),
        factory.refund_notice(reservation, recipient, later),
        factory.correction_notice(reservation, recipient, later),
        factory.move_notice(reservation, recipient, later),
    ]


def hand_out_mail(**changes: Any) -> HandOutMail:
    about = {"code_id": RESERVATION.code_id, "recipient_id": RESERVATION.recipient_id, "number": 1, "code": "CODE"}
    return HandOutMail(**{**about, "language": "en", "group": None, "written_at": START, **changes})


@pytest.mark.parametrize("name", SHARED)
def test_messages_say_each_field_of_their_reservation(name: str) -> None:
    value = getattr(RESERVATION, name)

    assert value != SHARED[name], f"give RESERVATION in {__file__} a value of {name} that is not the default"
    assert {getattr(message, name) for message in list_messages(FACTORY, RESERVATION)} == {value}


def test_messages_look_as_their_group_wants() -> None:
    branding = EmailBranding(accent="#1f5fbf")
    factory = create_message_factory(
        "secret",
        "https://ledger.example.com",
        "ledger@example.com",
        find_branding=lambda group: branding if group == "blue" else DEFAULT_BRANDING,
    )
    messages = list_messages(factory, replace(RESERVATION, group="blue"))
    messages.append(factory.handed_out_code(hand_out_mail(group="blue"), MESSAGE.recipient))

    assert [message.branding for message in messages] == [branding] * len(messages)
    assert factory.invitation(replace(RESERVATION, group=None), MESSAGE.recipient).branding == DEFAULT_BRANDING


def test_message_leaves_out_a_request_id_that_a_caller_made_up() -> None:
    """It could be anything; only an id of the ledger's own form leaves it."""
    invitation = FACTORY.invitation(replace(RESERVATION, request_id="li@example.com"), MESSAGE.recipient)

    assert invitation.request_id is None


def write_codes(language: Language, ends: Sequence[datetime | None], starts_at: datetime | None = None) -> list[str]:
    """The subject, text and HTML of an email with a code for each end, the first one first, and those of a reminder."""
    window, codes = RedeemWindow(starts_at, ends[0]), [("CODE", ends_at) for ends_at in ends]
    mails = [
        hand_out_mail(language=language, window=window, codes=codes, total=len(ends), is_reminder=is_reminder)
        for is_reminder in (False, True)
    ]
    parts = [render_parts(FACTORY.handed_out_code(mail, MESSAGE.recipient)) for mail in mails]
    return [f"{each.subject}\n{text}" for each in parts for text in (each.text, each.html)]


END: Final = datetime(2027, 3, 4, 5, 6, tzinfo=UTC)
FIRST_ENDS: Final[dict[Language, Sequence[str]]] = {
    "en": (
        "The first code expires on 2027-03-04 at 05:06 UTC",
        "expire from 2027-03-04",
        "first of them expires on 2027",
    ),
    "zh": ("最早的兑换截止时间：2027-03-04 05:06", "2027-03-04 起陆续到期", "最早将于 2027-03-04"),
}
ALL_END: Final[dict[Language, Sequence[str]]] = {
    "en": ("until 2027-03-04 05:06 UTC", "codes expire on 2027-03-04", "They expire on 2027-03-04"),
    "zh": ("\n兑换截止时间：2027-03-04 05:06", "2027-03-04 到期", "，将于 2027-03-04"),
}
"""What the text of an email with several codes says, and the subject and the text of its reminder."""


@pytest.mark.parametrize("language", get_args(Language))
@pytest.mark.parametrize("other", [None, END + timedelta(days=1), END])
def test_email_says_the_end_of_all_its_codes_only_if_they_end_together(
    language: Language, other: datetime | None
) -> None:
    emails = write_codes(language, [END, other, END])
    expected, unexpected = (ALL_END, FIRST_ENDS) if other == END else (FIRST_ENDS, ALL_END)

    for of_first, of_both in ((True, emails[:2]), (False, emails[2:])):
        said = slice(0, 1) if of_first else slice(1, 3)
        assert all(words in email for words in expected[language][said] for email in of_both)
        assert not any(words in email for words in unexpected[language][said] for email in of_both)


@pytest.mark.parametrize(("language", "words"), [("en", "from 2027-03-01 05:06 UTC"), ("zh", "自 2027-03-01 05:06")])
def test_email_with_codes_that_start_later_and_end_apart_says_both_times(language: Language, words: str) -> None:
    for email in write_codes(language, [END, None], END - timedelta(days=3))[:2]:
        assert words in email
        assert FIRST_ENDS[language][0] in email
