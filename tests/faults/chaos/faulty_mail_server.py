"""A mail server whose mood changes: it accepts, refuses, stalls and drops, each mood for a few emails."""

import random
import threading
import time
from collections import Counter
from typing import NamedTuple

from tests.faults.rigs.retries import pause
from tests.support.servers.mail_server import MailServer
from tests.support.servers.mail_session import (
    Behavior,
    DelayedReply,
    Disconnect,
    ReceivedMessage,
    ReplyWith,
    SendOctets,
    Stage,
    Stall,
)

MOODS: dict[str, tuple[Stage, Behavior, int]] = {
    "busy (451)": ("rcpt", ReplyWith(451, "try later"), 4),
    "closing (421)": ("mail", ReplyWith(421, "closing"), 2),
    "no such user (550)": ("rcpt", ReplyWith(550, "no such user"), 2),
    "too big (552)": ("dot", ReplyWith(552, "too big"), 1),
    "drops at the greeting": ("banner", Disconnect(), 2),
    "drops before the letter": ("data", Disconnect(), 2),
    "stalls in the letter": ("content", Stall(takes=False), 2),
    "takes it and drops": ("dot", Disconnect(takes=True), 3),
    "drops it and drops": ("dot", Disconnect(takes=False), 2),
    "takes it and stalls": ("dot", Stall(takes=True), 2),
    "babbles after the letter": ("dot", SendOctets(takes=True), 2),
}
"""Stage, behavior, and for how many emails."""
SLOWNESS_S = 0.15
"""Each email takes so long, so that there always are some on their way."""
MOOD_S = (0.4, 1.6)


class Arrival(NamedTuple):
    """An email that the server accepted, and when, in seconds."""

    at: float
    received: ReceivedMessage


class FaultyMailServer(MailServer):
    """The server, with a thread that changes its mood; `moods` counts the emails that each mood met."""

    def __init__(self, seed: int) -> None:
        self.moods: Counter[str] = Counter()
        self._names = {id(behavior): name for name, (_, behavior, _) in MOODS.items()}
        self._fair = threading.Event()
        self._arrivals: list[Arrival] = []
        super().__init__()
        self.at("dot", DelayedReply(SLOWNESS_S))
        self._changing = threading.Thread(target=self._change, args=(random.Random(seed),), daemon=True)

    def change_moods(self) -> None:
        self._changing.start()

    def take(self, message: ReceivedMessage) -> None:
        self._arrivals.append(Arrival(time.time(), message))
        super().take(message)

    def arrivals(self) -> list[Arrival]:
        return list(self._arrivals)

    def code_emails(self) -> list[Arrival]:
        return [arrival for arrival in self.arrivals() if b".code-" in arrival.received.content]

    def clear_up(self) -> None:
        self._fair.set()
        self._changing.join(5)
        self.behave()

    def rule(self, stage: Stage, recipient: str | None) -> Behavior | None:
        """As scripted; each message that a mood affected is counted."""
        rule = super().rule(stage, recipient)
        if (name := self._names.get(id(rule))) is not None:
            self.moods[name] += 1
        return rule

    def _change(self, choice: random.Random) -> None:
        while not pause(choice, MOOD_S, self._fair):
            stage, behavior, message_count = choice.choice(list(MOODS.values()))
            self.at(stage, behavior, times=message_count)
            if choice.random() < 0.1:
                self.drop_connections()
