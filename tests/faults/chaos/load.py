"""Clients of a run: each wants a code for an address, and asks with the same key until it has an answer."""

import http.client
import itertools
import json
import random
import threading
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from tests.faults.chaos.observations import Acknowledgement
from tests.support.waiting import WAIT_S_MAX

CLIENTS = 8
ANSWER_S_MAX = 30.0
"""A request that takes longer is given up and asked again: its outcome is unknown, as to any client."""
INTENT_S_MAX = WAIT_S_MAX
RETRY_S = 0.2
ASKED_AGAIN = 0.1
"""Share of intents that ask again after their answer, as a second click does."""
ON_THE_FIRST = 0.7
"""Share of intents on the first code, which has uses for all of them."""
INBOXES = 10
"""Inboxes that two of five people share by tags: campaigns may count by mailbox."""
TELLING = {200, 202, 400}
HONEST = {503, 429}


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
        self._address = urlsplit(base)
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
        """Requests that wait for their answer now."""
        return self._asking

    def stop(self) -> None:
        """Let every client end what it began."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(INTENT_S_MAX + ANSWER_S_MAX)

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
        """Whether it was acknowledged."""
        ends = time.monotonic() + INTENT_S_MAX
        while time.monotonic() < ends:
            status, answer = self._ask(intent, body)
            if status in {200, 202}:
                with self._lock:
                    reservation_id = str(answer["reservation_id"])
                    self.acks.append(Acknowledgement(intent, reservation_id, time.monotonic(), body["email"]))
                return True
            if status == 400:
                self.refused += 1
                return False
            if status and status not in HONEST:
                self.defects.append(f"{status} {answer} for {intent}")
                return False
            self.unavailable += status in HONEST
            time.sleep(RETRY_S)
        self.gave_up += 1
        return False

    def _ask(self, intent: str, body: dict[str, str]) -> tuple[int, dict[str, object]]:
        """One request; status 0 if no answer came."""
        connection = http.client.HTTPConnection(self._address.hostname or "", self._address.port, timeout=ANSWER_S_MAX)
        headers = {"Content-Type": "application/json", "Idempotency-Key": intent}
        with self._lock:
            self._asking += 1
        try:
            connection.request("POST", "/api/v1/public/redeem", json.dumps(body), headers)
            response = connection.getresponse()
            raw, status = response.read(), response.status
            if status in HONEST and not response.headers["Retry-After"]:
                return 999, {"without": "Retry-After"}
        except (OSError, http.client.HTTPException):
            return 0, {}
        finally:
            with self._lock:
                self._asking -= 1
            connection.close()
        try:
            document: dict[str, object] = json.loads(raw)
        except ValueError:
            return status if status not in TELLING else 999, {"raw": raw[:200].decode(errors="replace")}
        return status, document


def _find_name(number: int) -> str:
    return f"person{number % INBOXES}+{number}" if number % 5 < 2 else f"person{number}"
