"""Clients of a run: each wants a code for an address, and asks with the same key until it has an answer."""

import itertools
import random
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from tests.faults.chaos.observations import Acknowledgement
from tests.faults.rigs.http_client import HONEST, REDEEM, UNREADABLE, send
from tests.faults.rigs.retries import retry
from tests.support.waiting import WAIT_S_MAX

CLIENTS = 8
ANSWER_S_MAX = 30.0
"""A request that takes longer is given up and asked again: its outcome is unknown, as to any client."""
ASKED_AGAIN = 0.1
"""Share of intents that ask again after their answer, as a second click does."""
ON_THE_FIRST = 0.7
"""Share of intents on the first code, which has uses for all of them."""
INBOXES = 10
"""Inboxes that two of five people share by tags: campaigns may count by mailbox."""
TELLING = {200, 202, 400}


class RedeemLoad:
    """Redeems at a steady pace until it is stopped.

    Args:
        prefix: Begins its keys and email addresses, for loads that redeem the same codes.

    Attributes:
        acks: Every acknowledgement so far.
        defects: Answers that must not be.
        gave_up: Intents that got no answer within WAIT_S_MAX.
        unavailable: How often a client was told to ask again.
    """

    def __init__(self, base: str, codes: Sequence[str], seed: int, per_second: float, prefix: str = "") -> None:
        self._base = base
        self._codes = codes
        self._pause_s = CLIENTS / per_second
        self.acks: list[Acknowledgement] = []
        self.refused = 0
        self.defects: list[str] = []
        self.gave_up = 0
        self.unavailable = 0
        self._prefix = prefix
        self._numbers = itertools.count()
        self._asking = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(seed * 1000 + number),), daemon=True)
            for number in range(CLIENTS)
        ]
        for thread in self._threads:
            thread.start()

    def in_flight(self) -> int:
        return self._asking

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(WAIT_S_MAX + ANSWER_S_MAX)

    def _run(self, choice: random.Random) -> None:
        while not self._stopping.is_set():
            started = time.monotonic()
            number = next(self._numbers)
            intent = f"{self._prefix}intent-{number}"
            code = self._codes[0] if choice.random() < ON_THE_FIRST else choice.choice(self._codes)
            body = {"code": code, "email": f"{self._prefix}{_find_name(number)}@example.com"}
            if self._ask_until_answered(intent, body) and choice.random() < ASKED_AGAIN:
                self._ask_until_answered(intent, body)
            self._stopping.wait(max(0.0, self._pause_s - (time.monotonic() - started)))

    def _ask_until_answered(self, intent: str, body: dict[str, str]) -> bool:
        status, answer = retry(partial(self._ask, intent, body)) or (0, {})
        if status in {200, 202}:
            with self._lock:
                reservation_id = str(answer["reservation_id"])
                self.acks.append(Acknowledgement(intent, reservation_id, time.monotonic(), body["email"]))
            return True
        if status == 400:
            self.refused += 1
        elif status:
            self.defects.append(f"{status} {answer} for {intent}")
        else:
            self.gave_up += 1
        return False

    def _ask(self, intent: str, body: dict[str, str]) -> tuple[int, Any] | None:
        """Send one request; None if it has to be sent again."""
        with self._lock:
            self._asking += 1
        try:
            answer = send(self._base, "POST", REDEEM, body, {"Idempotency-Key": intent}, ANSWER_S_MAX)
        finally:
            with self._lock:
                self._asking -= 1
        if answer.status in HONEST and not answer.headers.get("Retry-After"):
            return UNREADABLE, {"without": "Retry-After"}
        self.unavailable += answer.status in HONEST
        if answer.status in {0, *HONEST}:
            return None
        is_text = isinstance(answer.body, str)
        return UNREADABLE if is_text and answer.status in TELLING else answer.status, answer.body


def _find_name(number: int) -> str:
    return f"person{number % INBOXES}+{number}" if number % 5 < 2 else f"person{number}"
